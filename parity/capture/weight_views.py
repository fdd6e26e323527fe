"""Weights that are applied to a tensor one value a channel, or one for all: ``x * self.gamma``, ``x + self.offset``.

For the observers of both frameworks. Plain Python.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

W = TypeVar("W")


class WeightViews(Generic[W]):
    """Follows weights through operations that change their shape at most, during one run."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, W]] = {}

    def add(self, tensor: Any, weight: W) -> None:
        """Note that ``tensor`` is the value of ``weight``."""
        self._known[id(tensor)] = tensor, weight

    def of(self, tensor: Any) -> W | None:
        """The weight that a tensor is, maybe of another shape; None if it is none."""
        known = self._known.get(id(tensor))
        return known[1] if known is not None and known[0] is tensor else None


def spread(weight: Sequence[int], x: Sequence[int], axes: Sequence[int]) -> bool:
    """Whether a weight of that shape holds one value, or one for each place along one of ``axes`` of ``x``."""
    count = math.prod(weight)
    if count == 1 or len(weight) > len(x):
        return len(weight) <= len(x)
    places = [axis - (len(x) - len(weight)) for axis in axes]
    return any(place >= 0 and weight[place] == count == x[axis] for place, axis in zip(places, axes, strict=True))
