"""The float32 runs of both sides beside their float64 runs: rounding, and what cannot be judged. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parity.numerics.difference import difference, integers, wide

Array = np.ndarray
ALIKE = "NaN or infinite on both sides alike: {} of {} values"
OVERFLOW = "float32 overflows on both sides ({} of {} values): judged in float64 alone"
AT_THE_EDGE = (
    "integers that follow from a comparison or from rounding to whole numbers: float32 puts {} of {} values on the "
    "other side of the edge; judged in float64 alone"
)
COARSE = "float32 rounds {:.1g} of the values, as coarse as half precision or coarser: judged in float64 alone"
BEHIND = "behind {}, which cannot be judged in float32: judged in float64 alone"


@dataclass(frozen=True)
class SinglePrecision:
    """How far both float32 runs are apart, and the port's from its float64 run; absolute, infinite for a lone NaN.

    ``note`` is to be said even if all is well, ``abstain`` why the float32 values cannot be judged.
    """

    apart: float
    port_rounding: float
    note: str = ""
    abstain: str = ""


def single_precision(expected: tuple[Array, Array], got: tuple[Array, Array]) -> SinglePrecision:
    """Compare ``(float64, float32)`` of the reference and of the port, all of one shape.

    An array in which both sides overflow is not judged: the order of a sum decides where, and whether infinities meet.
    Nor are integers of which float32 moves some across an edge, since a value may be as near to it as one likes.
    """
    alike = ~np.isfinite(wide(expected[0])) & ~np.isfinite(wide(got[0]))
    lost = ~np.isfinite(wide(expected[1])) & ~np.isfinite(wide(got[1])) & ~alike
    apart, port = difference(got[1], expected[1]), difference(got[1], got[0])
    count, size, abstain = int(lost.sum()), expected[0].size, ""
    if count:
        abstain = OVERFLOW.format(count, size)
    elif apart.absolute > 0 and apart.finite and integers(*expected, *got):
        abstain = AT_THE_EDGE.format(round(apart.mismatched * size), size)
    note = ALIKE.format(int(alike.sum()), size) if alike.any() else ""
    return SinglePrecision(apart.absolute, port.absolute, note, abstain)
