"""The base class of all data sources: examples by number, as NumPy arrays.

An example is ``{"x": array, "label": int64}``: uint8 ``[H, W, C]`` for a system that learns from images, float32
``[T]`` in [-1, 1] for one that learns from sound, ``T`` samples being what its framing needs.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from shared_impl.config.data import DataConfig
from shared_impl.data.errors import BrokenFile, DataError
from shared_impl.data.file_index import File, FileIndex

T = TypeVar("T")
Example = dict[str, Any]
NAMED = 3  # skipped files that an error or a summary names; the rest are counted


class Source(ABC):
    """Examples by number, in a fixed order.

    ``labels`` are the names of the classes, ``skipped`` the files found unusable so far, ``notes`` remarks for the
    user, and ``fingerprint`` changes with whatever the examples are made from.
    """

    kind: ClassVar[Literal["audio", "image"]]
    fingerprint: str  # sixteen hexadecimal digits
    random = False  # whether ``read`` depends on ``share``

    def __init__(self, data: DataConfig, labels: Sequence[str]) -> None:
        self.name, self.labels, self.notes = data.source, list(labels), list[str]()
        self._strict, self._unusable = data.strict, dict[str, str]()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def place(self, index: int) -> str:
        """The file or record that example ``index`` comes from."""

    @abstractmethod
    def read(self, index: int, share: float) -> tuple[np.ndarray, int]:
        """Example ``index`` and its class; ``share`` in [0, 1) places its random offset. Raises BrokenFile."""

    @abstractmethod
    def read_classes(self) -> Iterable[int]:
        """The class of every example, in order; UNLABELLED where there is none. Decodes nothing."""

    @cached_property
    def classes(self) -> np.ndarray:
        """The class of every example, int64 ``[N]``, read once."""
        return np.fromiter(self.read_classes(), np.int64, len(self))

    def __getitem__(self, index: int) -> Example:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.name}: example {index} of {len(self)}")
        return self.example(index % len(self))[0]

    def example(self, index: int, share: float = 0.0) -> tuple[Example, int]:
        """Example ``index``, or the next whose file can be used, and how many were passed over.

        Which example replaces a broken one thus depends on the data alone, not on the order or on workers. With
        ``data.strict`` the first broken one raises DataError.
        """
        for passed in range(len(self)):
            number = (index + passed) % len(self)
            if self.place(number) in self._unusable:
                continue
            try:
                x, label = self.read(number, share)
            except BrokenFile as error:
                self.skip(error)
            else:
                return {"x": x, "label": np.int64(label)}, passed
        raise DataError(f"{self.name}: nothing usable is left: {self.summary()}")

    def skip(self, error: BrokenFile) -> None:
        """Count a file that cannot be used; with ``data.strict``, raise."""
        if self._strict:
            raise DataError(f"{error} (data.strict=true: nothing is skipped)") from error
        self._unusable.setdefault(error.place, error.reason)

    def usable(self, index: FileIndex, probe: Callable[[Path], T]) -> list[tuple[File, T]]:
        """The files for which ``probe`` raises no BrokenFile, each with its result; DataError if none is left."""
        found = []
        for file in index.files:
            try:
                found.append((file, probe(file.path)))
            except BrokenFile as error:
                self.skip(error)
        if not found:
            raise DataError(f"{self.name}: nothing usable: {self.summary()}")
        return found

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """Place and reason of every file left out, in the order found."""
        return list(self._unusable.items())

    def summary(self) -> str:
        """The skipped files in a line, the first few by name; empty if there are none."""
        return skipped_text(self.skipped)

    def __str__(self) -> str:
        what = {"image": "images", "audio": "clips"}[self.kind]
        return f"{self.name}: {len(self)} {what}" + f" in {len(self.labels)} classes" * bool(self.labels)


def skipped_text(skipped: Sequence[tuple[str, str]]) -> str:
    """The skipped files in one line, the first few by name; empty if there are none."""
    if not skipped:
        return ""
    named = "; ".join(f"{place}: {reason}" for place, reason in skipped[:NAMED])
    more = f"; and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
    return f"{len(skipped)} skipped ({named}{more})"


def fingerprint(*content: object) -> str:
    """Sixteen hexadecimal digits that stand for ``content`` (JSON or bytes)."""
    digest = hashlib.sha256()
    for part in content:
        digest.update(part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode())
    return digest.hexdigest()[:16]
