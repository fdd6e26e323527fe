"""How far two trajectories deviate, and how far they would by rounding alone. Plain NumPy.

The limit is measured: the reference is trained a second time from weights moved by some units in the last place
(:data:`parity.systems.training.lockstep.NUDGE`). Its deviation after ``i`` steps is what rounding does to a faithful
twin in ``i`` steps; :data:`parity.numerics.tolerance.SLACK` times it is allowed. Over all the project's own pairs the
frameworks stay below 9 times (seeds 0 to 3; median of the pairs' largest: 2); a wrong setting deviates by thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from parity.numerics.difference import TINY, Difference, difference, scale
from parity.numerics.tolerance import FLOAT64_ROUNDOFF, SLACK

Array = np.ndarray
# A limit wider than this share of a value's movement since the start could hide a bug: the value is not judged.
BLUR = 1e-2


@dataclass
class Series:
    """One value along a run: distances, absolute limits and the movement since the start (``moved``), one a step.

    ``deviation`` is how far rounding alone moves it. Distances are relative to the value's largest magnitude.
    """

    name: str
    gaps: list[Difference] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)
    deviation: list[float] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)

    def blurred(self, i: int) -> bool:
        """Whether rounding alone moves the value so far that it cannot be judged. A value that does not move on either
        side, as in layers whose stage is still to come, can.
        """
        if not self.moved[i] and not self.gaps[i].absolute:
            return False
        return self.limits[i] > max(BLUR * self.moved[i], SLACK * TINY)

    def diverged(self, i: int) -> bool:
        """Whether the distance is beyond its limit."""
        return not self.gaps[i].absolute <= self.limits[i]

    @property
    def shares(self) -> list[float]:
        """The distances relative to the value's size."""
        return [gap.absolute / (largest or 1.0) for gap, largest in zip(self.gaps, self.scales, strict=True)]

    @property
    def worst(self) -> int:
        """The step at which the distance is nearest to, or furthest beyond, its limit."""
        return int(np.argmax([gap.absolute / limit for gap, limit in zip(self.gaps, self.limits, strict=True)]))

    @property
    def multiple(self) -> float:
        """The largest distance in units of what rounding does."""
        return SLACK * self.gaps[self.worst].absolute / self.limits[self.worst]


def states(
    reference: Sequence[dict[str, Array]], port: Sequence[dict[str, Array]], nudged: Sequence[dict[str, Array]]
) -> dict[str, Series]:
    """A series for each array that both sides hold, index 0 being the start.

    A gradient of few numbers may cancel to less than its rounding: vectors are compared on the scale of the largest
    array of their layer, a bias on that of its kernel.
    """
    found = {name: Series(name) for name in reference[0] if name in port[0]}
    deviation = dict.fromkeys(found, 0.0)
    moved = dict.fromkeys(found, 0.0)
    for expected, got, other in zip(reference, port, nudged, strict=True):
        scales = {name: scale(expected[name]) for name in found}
        for name in found:
            deviation[name] = max(deviation[name], difference(other[name], expected[name]).absolute)
            moved[name] = max(moved[name], difference(expected[name], reference[0][name]).absolute)
        typical = float(np.median([deviation[name] / scales[name] for name in found if scales[name] > 0] or [0.0]))
        layers: dict[str, float] = {}
        for name in found:
            layers[_layer(name)] = max(layers.get(_layer(name), 0.0), scales[name])
        for name, series in found.items():
            series.gaps.append(difference(got[name], expected[name]))
            held = layers[_layer(name)] if expected[name].ndim < 2 else scales[name]
            series.limits.append(_limit(deviation[name], typical, held))
            series.moved.append(moved[name])
            series.deviation.append(deviation[name])
            series.scales.append(scales[name])
    return found


def losses(
    reference: Sequence[dict[str, float]], port: Sequence[dict[str, float]], nudged: Sequence[dict[str, float]]
) -> dict[str, Series]:
    """A series for each reported loss that both sides report, index 0 being the first step.

    A loss may vanish where its terms do not: all losses are compared on the scale of the largest of their step.
    """
    found = {name: Series(name) for name in reference[0] if name in port[0]}
    deviation = dict.fromkeys(found, 0.0)
    for expected, got, other in zip(reference, port, nudged, strict=True):
        largest = scale(np.array(list(expected.values())))
        for name in found:
            deviation[name] = max(deviation[name], difference(np.array(other[name]), np.array(expected[name])).absolute)
        typical = float(np.median(list(deviation.values()))) / max(largest, TINY)
        for name, series in found.items():
            series.gaps.append(difference(np.array(got[name]), np.array(expected[name])))
            series.limits.append(_limit(deviation[name], typical, largest))
            series.moved.append(largest)
            series.deviation.append(deviation[name])
            series.scales.append(largest)
    return found


def _layer(name: str) -> str:
    return name.rpartition("/")[0]


def _limit(deviation: float, typical: float, largest: float) -> float:
    return SLACK * max(deviation, typical * largest, FLOAT64_ROUNDOFF * largest, TINY)
