"""Comparing arrays: how far apart, and where. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
# A Python number: dividing by it overflows to infinity without NumPy's warning.
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Difference:
    """The distance of two arrays of one shape.

    ``alike`` counts the values that are NaN, or the same infinity, on both sides: these are equal.
    """

    absolute: float
    relative: float
    mismatched: float
    worst: tuple[int, ...]
    got: float
    expected: float
    alike: int = 0

    @property
    def finite(self) -> bool:
        """False if one side holds NaN or infinity where the other does not."""
        return bool(np.isfinite(self.absolute))


def difference(got: Array, expected: Array, limit: float = 0.0) -> Difference:
    """Largest absolute difference, the same over the largest expected value, and where it is.

    ``mismatched`` is the share of values further apart than ``limit``. NaN equals NaN, and an infinity itself; NaN or
    infinity on one side alone is infinitely far.
    """
    if got.shape != expected.shape:
        raise ValueError(f"shapes differ: got {got.shape}, expected {expected.shape}")
    if not got.size:
        return Difference(0.0, 0.0, 0.0, (), 0.0, 0.0)
    got, expected = wide(got), wide(expected)
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.asarray(np.abs(got - expected))
    alike = 0
    if not np.isfinite(gap.max()):
        same = ~np.isfinite(got) & (got == expected) | np.isnan(got) & np.isnan(expected)
        alike = int(np.count_nonzero(same))
        gap[same] = 0.0
        gap[np.isnan(gap)] = np.inf
    worst = np.unravel_index(int(np.argmax(gap)), gap.shape)
    absolute = float(gap[worst])
    return Difference(
        absolute,
        absolute / max(scale(expected), TINY),
        float(np.mean(gap > limit)),
        tuple(int(i) for i in worst),
        _number(got[worst]),
        _number(expected[worst]),
        alike,
    )


def largest_finite_gap(got: Array, expected: Array) -> float:
    """The largest absolute difference where both sides are finite; zero where neither is anywhere."""
    with np.errstate(invalid="ignore", over="ignore"):
        return scale(np.abs(wide(got) - wide(expected)))


def integers(*arrays: Array) -> bool:
    """Whether every value of every array is an integer or a truth value, whatever its type."""
    return all(x.dtype.kind in "biu" or bool(np.isfinite(x).all() and (x == np.rint(x)).all()) for x in arrays)


def wide(array: Array) -> Array:
    """The array in double precision, whatever its type; complex numbers stay complex."""
    return np.asarray(array, np.complex128 if array.dtype.kind == "c" else np.float64)


def scale(array: Array) -> float:
    """The largest finite magnitude in an array."""
    if not array.size:
        return 0.0
    if array.dtype.kind == "c":
        return scale(np.abs(array))
    largest = max(float(array.max()), -float(array.min()))
    if np.isfinite(largest):
        return largest
    return scale(array[np.isfinite(array)])


def _number(value: np.number) -> float:
    """A value for messages; of a complex one, its magnitude."""
    return float(np.abs(value)) if value.dtype.kind == "c" else float(value)
