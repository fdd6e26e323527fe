"""Differences of every layer's values under every condition, and how they stand to rounding. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from parity.checks.comparison import compare_with_same_constants, compared
from parity.checks.conditions import Condition
from parity.checks.frugal_runs import compare_frugally_with_same_constants
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
        found = [layer for c in running if c.family == family for layer in _explained_layers(c)]
        most: dict[str, tuple[float, float]] = {}
        for layer in found:
            rounding, limit = most.get(layer.key, (0.0, 0.0))
            most[layer.key] = (max(rounding, layer.own_rounding), max(limit, layer.limit))
        layers += [replace(x, own_rounding=most[x.key][0], limit=most[x.key][1]) for x in found]
    return layers


def _explained_layers(condition: Condition) -> list[LayerMeasurement]:
    """The layers; those off in float64 by no more than float32 rounds are compared with the same constants too."""
    if condition.measured is None:
        layers, compare_again = compared(condition), compare_with_same_constants
    else:
        layers, compare_again = condition.measured, compare_frugally_with_same_constants
    if not any(layer.beyond and layer.within_float32 for layer in layers):
        return layers
    again = compare_again(condition)
    if again is None:
        return layers
    return [
        replace(new, note="; ".join(filter(None, (again.note, new.note))))
        if old.beyond and old.within_float32 and not new.beyond
        else old
        for old, new in zip(layers, again.layers, strict=True)
    ]
