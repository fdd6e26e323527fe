"""Comparing arrays: how far apart, and where. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
# A Python number: dividing by it overflows to infinity without NumPy's warning.
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Difference:
    """The distance of two arrays of one shape."""

    absolute: float
    relative: float
    mismatched: float
    worst: tuple[int, ...]
    got: float
    expected: float

    @property
    def finite(self) -> bool:
        """False if either side holds NaN or infinity."""
        return bool(np.isfinite(self.absolute))


def difference(got: Array, expected: Array, limit: float = 0.0) -> Difference:
    """Largest absolute difference, the same over the largest expected value, and where it is.

    ``mismatched`` is the share of values further apart than ``limit``. NaN or infinity on either side is infinitely
    far.
    """
    if got.shape != expected.shape:
        raise ValueError(f"shapes differ: got {got.shape}, expected {expected.shape}")
    if not got.size:
        return Difference(0.0, 0.0, 0.0, (), 0.0, 0.0)
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    with np.errstate(invalid="ignore"):
        gap = np.asarray(np.abs(got - expected))
    if np.isnan(gap.max()):
        gap[np.isnan(gap)] = np.inf
    worst = np.unravel_index(int(np.argmax(gap)), gap.shape)
    absolute = float(gap[worst])
    return Difference(
        absolute,
        absolute / max(scale(expected), TINY),
        float(np.mean(gap > limit)),
        tuple(int(i) for i in worst),
        float(got[worst]),
        float(expected[worst]),
    )


def scale(array: Array) -> float:
    """The largest finite magnitude in an array."""
    if not array.size:
        return 0.0
    largest = max(float(array.max()), -float(array.min()))
    if np.isfinite(largest):
        return largest
    return scale(array[np.isfinite(array)])
