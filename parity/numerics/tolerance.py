"""Tolerances derived from measured rounding. Plain NumPy.

Nothing here is a chosen tolerance. A float64 difference is compared with the rounding that the reference itself shows
between float32 and float64 on the same inputs, scaled by 2^-29, the ratio of the two formats' unit roundoffs. An array
of few values may by chance show less than its share, so the network's median relative rounding, and that of the layer
before, are the minimum. The factor that remains is :data:`SLACK`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from parity.numerics.difference import TINY, difference, scale

Array = np.ndarray

PRECISION_RATIO = 2.0**-29
# Over every layer and parameter of all the project's own pairs, float64 differences stay below 15 times the scaled
# rounding (median of the pairs' largest: 3.3); a semantic bug on a good probe is 1e5 times beyond 64.
SLACK = 64.0
FLOAT64_ROUNDOFF = 2.0**-53
# Over the same pairs the port's float32 rounding stays below 3 times the reference's (other summation orders) up to
# 1600 products a value; one step in half precision (unit roundoff 2^-11) would be 2^13 times. By the triangle
# inequality float32 outputs of twins that agree in float64 differ by no more than both roundings together.
ROUNDING_LIMIT = 8.0
MEASURED_PRODUCTS = 1600


def rounding_limit(products: int) -> float:
    """Largest ratio of the port's float32 rounding to the reference's, where the widest layer so far sums ``products``.

    n products added one after another round by √n units, in blocks or in pairs by hardly more than one (Higham and
    Mary 2019, doi:10.1137/18M1226312), and kernels choose either: beyond what was measured the limit grows with √n.
    At 8192 products oneDNN on AVX2 rounded 9.3 times as much as TensorFlow, limit 18; half precision 200 times or more.
    """
    return ROUNDING_LIMIT * max(1.0, (products / MEASURED_PRODUCTS) ** 0.5)


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
