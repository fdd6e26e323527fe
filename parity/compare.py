"""Comparing arrays: how far apart, where, and how that stands to rounding. Plain NumPy.

Nothing here is a chosen tolerance. A float64 difference is held against the rounding that the reference itself shows
between float32 and float64 on the same inputs, scaled by 2^-29, the ratio of the two formats' unit roundoffs. The
factor that remains is :data:`SLACK`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray

PRECISION_RATIO = 2.0**-29
# Over every layer and parameter of all the project's own pairs, float64 differences stay below 6 times the scaled
# rounding (docs: `parity verify --all` prints the largest); a semantic bug on a good probe is 1e5 times beyond it.
SLACK = 64.0
FLOAT64_ROUNDOFF = 2.0**-53
# By the triangle inequality the float32 outputs of twins that agree in float64 differ by at most the sum of both
# sides' own rounding; 8 covers other summation orders, 2^13 would be a half-precision step (unit roundoff 2^-11).
ROUNDING_LIMIT = 8.0


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
        gap = np.abs(got - expected)
    gap[~(np.isfinite(got) & np.isfinite(expected))] = np.inf
    worst = np.unravel_index(int(np.argmax(gap)), gap.shape)
    absolute = float(gap[worst])
    return Difference(
        absolute,
        absolute / max(scale(expected), np.finfo(np.float64).tiny),
        float(np.mean(gap > limit)),
        tuple(int(i) for i in worst),
        float(got[worst]),
        float(expected[worst]),
    )


def scale(array: Array) -> float:
    """The largest finite magnitude in an array."""
    finite = np.abs(array[np.isfinite(array)]) if array.size else array
    return float(finite.max()) if finite.size else 0.0


def float64_limit(reference64: Array, reference32: Array) -> float:
    """How far (absolutely) a float64 twin may be from ``reference64``, from the reference's own float32 rounding."""
    rounding = difference(reference32, reference64).absolute
    rounding = rounding if np.isfinite(rounding) else 0.0
    return SLACK * max(rounding * PRECISION_RATIO, scale(reference64) * FLOAT64_ROUNDOFF, np.finfo(np.float64).tiny)
