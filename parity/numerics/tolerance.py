"""Tolerances derived from measured rounding. Plain NumPy.

Nothing here is a chosen tolerance. A float64 difference is compared with the rounding that the reference itself shows
between float32 and float64 on the same inputs, scaled by 2^-29, the ratio of the two formats' unit roundoffs. An array
of few values may by chance show less than its share, so the network's median relative rounding, and that of the layer
before, are the minimum. The factor that remains is :data:`SLACK`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from parity.numerics.difference import TINY, difference, largest_finite_gap, scale

Array = np.ndarray

PRECISION_RATIO = 2.0**-29
# Over every layer and parameter of all the project's own pairs, float64 differences stay below 15 times the scaled
# rounding (median of the pairs' largest: 3.3); a semantic bug on a good probe is 1e5 times beyond 64.
SLACK = 64.0
FLOAT64_ROUNDOFF = 2.0**-53
FLOAT32_ROUNDOFF = 2.0**-24
HALF_ROUNDOFF = 2.0**-11
"""Where the reference's own float32 rounding is more than this, relative to the scale, its float32 run is no better
than one in half precision: it cannot show that of the port, and its rounding no longer grows in proportion to
float64's. Batch norms of four values each do that, one behind the other."""
NUDGE = 2.0**-37
"""Relative change of a network's inputs, by which such layers are measured instead: what it grows to stays in
proportion up to 2^26 times, and is 2^16 times float64's rounding."""
# Smallest normal number of float32. Kernels may flush what is smaller to zero, which is no measure of rounding.
FLOAT32_TINY = float(np.finfo(np.float32).tiny)
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
    """The (absolute) rounding of one array: what it shows, or the network's typical share if that is more.

    What float32 overflows or underflows (below its normal numbers) is not rounding.
    """
    return max(shown_rounding(reference64, reference32), typical * scale(reference64))


def shown_rounding(exact: Array, rounded: Array) -> float:
    """The largest (absolute) rounding among the values that float32 can hold."""
    return max(largest_finite_gap(rounded, exact) - FLOAT32_TINY, 0.0)


def times_rounding(apart: float, own: float, port: float, scale: float) -> float:
    """A float32 difference as a multiple of rounding.

    That is of the larger of both sides' own; or the port's own rounding against the reference's, if that is worse. No
    array rounds by less than half a unit of float32 at its scale, and none below float32's smallest normal number.
    """
    own = max(own, scale * FLOAT32_ROUNDOFF, FLOAT32_TINY)
    return max(apart / max(own, port), port / own) if np.isfinite(port) else float("inf")


def float64_limit(reference64: Array, reference32: Array, typical: float = 0.0) -> float:
    """How far (absolutely) a float64 twin may be from ``reference64``, from the reference's own float32 rounding."""
    rounding = own_rounding(reference64, reference32, typical)
    return SLACK * max(rounding * PRECISION_RATIO, scale(reference64) * FLOAT64_ROUNDOFF, TINY)
