"""Comparing arrays: how far apart, where, and how that stands to rounding. Plain NumPy.

Nothing here is a chosen tolerance. A float64 difference is held against the rounding that the reference itself shows
between float32 and float64 on the same inputs, scaled by 2^-29, the ratio of the two formats' unit roundoffs. An array
of few values may show less than its share by luck, so the network's median relative rounding, and that of the layer
before, count as the least. The factor that remains is :data:`SLACK`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

PRECISION_RATIO = 2.0**-29
# Over every layer and parameter of all the project's own pairs, float64 differences stay below 15 times the scaled
# rounding (median of the pairs' largest: 3.3); a semantic bug on a good probe is 1e5 times beyond 64.
SLACK = 64.0
FLOAT64_ROUNDOFF = 2.0**-53
# A Python number: dividing by it overflows to infinity without NumPy's warning.
TINY = float(np.finfo(np.float64).tiny)
# Over the same pairs the port's float32 rounding stays below 3 times the reference's (other summation orders) up to
# 1600 products a value; one step in half precision (unit roundoff 2^-11) would be 2^13 times. By the triangle
# inequality float32 outputs of twins that agree in float64 differ by no more than both roundings together.
ROUNDING_LIMIT = 8.0


MEASURED_PRODUCTS = 1600


def rounding_limit(products: int) -> float:
    """How many times the reference's float32 rounding the port's may be where the widest layer so far adds up so many
    products.

    n products added one after another round by √n units, in blocks or in pairs by hardly more than one (Higham and
    Mary 2019, doi:10.1137/18M1226312), and kernels choose either: beyond what was measured the limit grows with √n.
    At 8192 products oneDNN on AVX2 rounded 9.3 times as much as TensorFlow, limit 18; half precision 200 times or more.
    """
    return ROUNDING_LIMIT * max(1.0, (products / MEASURED_PRODUCTS) ** 0.5)


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


def typical_rounding(pairs: Iterable[tuple[Array, Array]]) -> float:
    """The median, over a network's ``(float64, float32)`` arrays, of the largest rounding relative to the scale."""
    found = [difference(rounded, exact) for exact, rounded in pairs if scale(exact) > 0]
    return float(np.median([one.relative for one in found if one.finite] or [0.0]))


def own_rounding(reference64: Array, reference32: Array, typical: float) -> float:
    """The (absolute) rounding of one array: what it shows, or the network's typical share if that is more."""
    shown = difference(reference32, reference64).absolute
    return max(shown if np.isfinite(shown) else 0.0, typical * scale(reference64))


def float64_limit(reference64: Array, reference32: Array, typical: float = 0.0) -> float:
    """How far (absolutely) a float64 twin may be from ``reference64``, from the reference's own float32 rounding."""
    rounding = own_rounding(reference64, reference32, typical)
    return SLACK * max(rounding * PRECISION_RATIO, scale(reference64) * FLOAT64_ROUNDOFF, TINY)
