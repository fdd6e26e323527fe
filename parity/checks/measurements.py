"""Differences of every layer's values under every condition, and how they stand to rounding. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from parity.checks.comparison import compared
from parity.checks.conditions import Condition
from parity.checks.layer_measurement import OUTPUT, LayerMeasurement

__all__ = ("OUTPUT", "LayerMeasurement", "Measurements", "compare_layers")


@dataclass(frozen=True)
class Measurements:
    """The runs of both sides, and every matched layer and network output under every condition that both sides run."""

    conditions: list[Condition]
    layers: list[LayerMeasurement]

    @property
    def running(self) -> list[Condition]:
        """The conditions under which both sides run."""
        return [condition for condition in self.conditions if not condition.refused]

    def of(self, key: str) -> list[LayerMeasurement]:
        """What was measured of one layer, by condition."""
        return [layer for layer in self.layers if layer.key == key]


def compare_layers(conditions: Iterable[Condition]) -> list[LayerMeasurement]:
    """Every matched layer and network output under every condition that both sides run.

    A layer's rounding is the most it shows under any condition of its family: a single small value may show little by
    luck.
    """
    layers: list[LayerMeasurement] = []
    running = [condition for condition in conditions if not condition.refused]
    for family in dict.fromkeys(condition.family for condition in running):
        found = [x for c in running if c.family == family for x in (compared(c) if c.measured is None else c.measured)]
        most: dict[str, tuple[float, float]] = {}
        for layer in found:
            rounding, limit = most.get(layer.key, (0.0, 0.0))
            most[layer.key] = (max(rounding, layer.own_rounding), max(limit, layer.limit))
        layers += [replace(x, own_rounding=most[x.key][0], limit=most[x.key][1]) for x in found]
    return layers
