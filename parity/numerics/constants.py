"""Which constant of one side is the other side's, rounded to float32 or computed in float32. Plain NumPy.

A constant that one side holds in float32 differs by up to half a unit of 2^-23 from the number that the other side
computes with. The difference is explained by computing with the reference's value in its place, never by a wider limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np

Array = np.ndarray
# Rounding to the nearest float32 moves a number by 2^-24 of itself; its square and what is made of it twice as far.
NUMBER_APART = 2.0**-23
# A window or a filter bank computed in float32 went through some sixteen roundings, each of 2^-24 of its scale.
ARRAY_APART = 2.0**-20
# A float32 number whose significand ends in this many zeros is taken as exact (1, 0.5, 255): the rounding of another
# number ends so once in 4096.
EXACT_BITS = 12
SMALL, LARGE = 64, 1 << 20
FORMS: tuple[Callable[[Array], Array], ...] = (lambda x: x, lambda x: 1 / x, lambda x: -x, np.sqrt, np.square)
"""What is made of a constant before it is applied: a division for a product, a deviation of a variance."""


@dataclass(frozen=True)
class Exchanged:
    """A constant of the port for which the reference's value was taken."""

    port: str
    reference: str

    def __str__(self) -> str:
        return f"{self.port} in the port, {self.reference} in the reference"


@dataclass
class KnownConstants:
    """The reference's constants, and what was exchanged for them so far."""

    arrays: list[Array]
    exchanged: dict[Exchanged, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.arrays = _distinct([np.asarray(x, np.float64) for x in self.arrays if x.dtype.kind == "f"])
        small = [x.reshape(-1) for x in self.arrays if x.size <= SMALL]
        with np.errstate(all="ignore"):
            self._numbers = np.unique(np.concatenate(small)) if small else np.zeros(0)
            self._forms = [form(self._numbers) for form in FORMS]

    def number(self, value: float) -> float:
        """The reference's number that rounding makes of ``value``, or of which it makes ``value``; else ``value``."""
        for form in self._forms if value and np.isfinite(value) else ():
            near = np.abs(form - value) <= NUMBER_APART * abs(value)
            for place in np.flatnonzero(near & (form != value)):
                if held_in_float32(self._numbers[place]) or held_in_float32(np.float64(value)):
                    self.exchanged[Exchanged(repr(float(value)), repr(float(self._numbers[place])))] = None
                    return float(form[place])
        return value

    def array(self, value: Array) -> Array:
        """The same for an array: as a whole in any order of its axes, or each of a few numbers by itself."""
        wide = value.astype(np.float64)
        if value.size == 1:
            return np.full(value.shape, self.number(float(wide.reshape(-1)[0])))
        for other in self._fitting(wide):
            apart = np.abs(other - wide).max()
            if 0 < apart <= ARRAY_APART * np.abs(wide).max() and (held_in_float32(other) or held_in_float32(wide)):
                name = f"an array of shape {value.shape}, up to {apart:.2g} apart"
                self.exchanged[Exchanged(name, "that array")] = None
                return other
        if value.size <= SMALL:
            return np.array([self.number(float(x)) for x in wide.reshape(-1)]).reshape(value.shape)
        return wide

    def _fitting(self, value: Array) -> Iterator[Array]:
        """The reference's arrays, and what is made of them, that can be laid out like this one."""
        shape = tuple(n for n in value.shape if n > 1)
        for known in (x for x in self.arrays if x.size == value.size <= LARGE):
            plain = known.squeeze()
            for axes in permutations(range(plain.ndim)) if plain.ndim <= 4 else ():
                if tuple(plain.shape[axis] for axis in axes) == shape:
                    moved = plain.transpose(axes).reshape(value.shape)
                    with np.errstate(all="ignore"):
                        yield from (made for form in FORMS if np.isfinite(made := form(moved)).all())


def held_in_float32(values: Array | np.floating) -> bool:
    """Whether all these numbers are float32's, and at least one of them is no simple fraction."""
    with np.errstate(over="ignore"):
        narrow = np.asarray(values, np.float32)
    if not np.array_equal(narrow.astype(np.float64), np.asarray(values, np.float64)):
        return False
    return bool((narrow.reshape(-1).view(np.uint32) & ((1 << EXACT_BITS) - 1)).any())


def _distinct(arrays: list[Array]) -> list[Array]:
    found = {(x.shape, x.tobytes()): x for x in arrays if x.size and np.isfinite(x).all()}
    return list(found.values())
