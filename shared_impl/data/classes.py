"""Classes of a source's examples: validation, and balancing that shows each as often as the largest. Plain NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from shared_impl.data.errors import DataError
from shared_impl.data.file_index import UNLABELLED
from shared_impl.draws import Draws

Array = np.ndarray
LISTED = 12  # classes that an error names; the rest are counted
REMEDY = "a subfolder for each class, a column of the csv (data.label_columns), or a set with labels gives them"


class Labelled(Protocol):
    """What these functions need of a source."""

    name: str
    labels: list[str]

    @property
    def classes(self) -> Array:
        """The number of every example's class, int64 ``[N]``."""

    def place(self, index: int) -> str:
        """The file or record that example ``index`` comes from."""


class AllExamples:
    """Which example each place of an epoch shows: each of ``count`` once."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __call__(self, epoch: int, place: int) -> int:
        """The example at ``place`` of an epoch, before its order is drawn."""
        return place


class Balanced:
    """As :class:`AllExamples`, but of each class as many as there are of the largest one.

    ``classes``: int64 ``[N]``. A smaller class is repeated in an order drawn from ``seed`` that continues from one
    epoch to the next: at any time each of its examples has been shown as often as the others, or once more.
    """

    def __init__(self, classes: Array, seed: int) -> None:
        draws = Draws(seed)
        found = [(int(number), np.flatnonzero(classes == number)) for number in np.unique(classes)]
        self._members = [
            members[np.argsort(draws.uniform("balance", (len(members),), number), kind="stable")]
            for number, members in found
        ]
        self._largest = max(map(len, self._members))

    def __len__(self) -> int:
        return len(self._members) * self._largest

    def __call__(self, epoch: int, place: int) -> int:
        """The example at ``place`` of an epoch, before its order is drawn."""
        number, turn = divmod(place, self._largest)
        members = self._members[number]
        return int(members[(epoch * self._largest + turn) % len(members)])


def balanced(source: Labelled, seed: int) -> Balanced:
    """The examples of a source, each class as often as the largest; DataError unless all have a class."""
    if not source.labels:
        raise DataError(f"{source.name}: data.balance=true, but there are no classes: {REMEDY}; or data.balance=false")
    _reject_unlabelled(source, "data.balance=true needs the class of every example")
    return Balanced(source.classes, seed)


def validate_classes(source: Labelled, count: int) -> None:
    """DataError unless every example has one of exactly ``count`` classes."""
    if len(source.labels) != count:
        what = f"there are {len(source.labels)} ({listed(source.labels)}): use model.classes={len(source.labels)}"
        raise DataError(
            f"{source.name}: the networks are conditioned on model.classes={count} classes, but "
            + (what if source.labels else f"there are none: {REMEDY}")
        )
    _reject_unlabelled(source, f"the networks need the class of every example (model.classes={count})")


def listed(names: Sequence[str]) -> str:
    """The classes' names, the first few of many."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _reject_unlabelled(source: Labelled, why: str) -> None:
    without = np.flatnonzero(source.classes == UNLABELLED)
    if len(without):
        raise DataError(
            f"{source.name}: {why}, but {len(without)} of {len(source.classes)} have none "
            f"(the first is {source.place(int(without[0]))}): give them one, or leave them out"
        )
