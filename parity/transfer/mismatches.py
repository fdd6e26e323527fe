"""Which parameters cannot be transferred from one model to the other, and why. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from parity.capture.adapter import ModelAdapter
from parity.capture.steps import Step
from parity.match.alignment import Match, Matching
from parity.transfer.model_layouts import Layouts

Side = Literal["", "reference", "port"]
NEUTRAL = {"gamma": 1.0, "beta": 0.0, "bias": 0.0}
"""Values of parameters with which a layer computes as if it had none."""


class WeightMismatch(ValueError):
    """The two models' weights do not correspond; the message lists every key and shape concerned."""


@dataclass(frozen=True)
class Conflict:
    """One parameter that cannot be transferred.

    ``shared``: the side that alone shares it with another layer, which is ``first`` in the reference. What the
    reference shares can be written to each of the port's layers; in training these part.
    """

    layer: str
    reference_layer: str
    slot: str
    message: str
    shared: Side = ""
    first: str = ""

    @property
    def keys(self) -> set[tuple[str, str]]:
        """``(reference layer, parameter)`` of all that it concerns."""
        return {(layer, self.slot) for layer in (self.reference_layer, self.first) if layer}


def find_conflicts(matching: Matching, layouts: Layouts, reference: ModelAdapter, port: ModelAdapter) -> list[Conflict]:
    """Every parameter without a counterpart of the right shape, or shared between layers on one side alone."""
    conflicts = [conflict for match in matching.matches for conflict in _within(match, layouts)]
    for step in matching.only_reference:
        conflicts += [
            Conflict("", step.name, slot, f"{step.name}.{slot} {shape} finds no layer in the port")
            for slot, shape in step.shapes.items()
        ]
    for step in matching.only_port:
        conflicts += [
            Conflict(step.name, "", slot, f"{step.name}.{slot} {shape} finds no layer in the reference")
            for slot, shape in step.shapes.items()
        ]
    return conflicts + list(_shared_unevenly(matching.matches, reference, port))


def unrecorded_parameters(
    reference: ModelAdapter, reference_steps: list[Step], port: ModelAdapter, port_steps: list[Step]
) -> list[Conflict]:
    """Every parameter that belongs to no recorded step."""
    conflicts = [
        Conflict("", path, "", f"{path} belongs to no layer that ran in the reference")
        for path in reference.unrecorded_parameters(reference_steps)
    ]
    return conflicts + [
        Conflict(path, "", "", f"{path} belongs to no layer that ran in the port")
        for path in port.unrecorded_parameters(port_steps)
    ]


def _within(match: Match, layouts: Layouts) -> Iterator[Conflict]:
    a, b = match.reference, match.port
    for slot in [*a.shapes, *(slot for slot in b.shapes if slot not in a.shapes)]:
        if slot not in b.shapes:
            message = f"{a.name}.{slot} {a.shapes[slot]} has no counterpart in {b.name}"
        elif slot not in a.shapes:
            message = f"{b.name}.{slot} {b.shapes[slot]} has no counterpart in {a.name}"
        else:
            transformed = layouts.weight_transform(match).shape(slot, a.shapes[slot])
            if transformed == tuple(b.shapes[slot]):
                continue
            message = f"{a.name}.{slot} {a.shapes[slot]} becomes {transformed}, but {b.name} holds {b.shapes[slot]}"
        yield Conflict(b.name, a.name, slot, message)


def _shared_unevenly(matches: list[Match], reference: ModelAdapter, port: ModelAdapter) -> Iterator[Conflict]:
    """Weights that one side shares between two layers while the other holds two."""
    partners: dict[tuple[Side, int], tuple[int, str, str]] = {}
    for match in matches:
        for slot in (slot for slot in match.reference.shapes if slot in match.port.shapes):
            ids = reference.variable_id(match.reference, slot), port.variable_id(match.port, slot)
            names = f"{match.key}.{slot}", f"{match.port.name}.{slot}"
            sides: tuple[Side, Side] = ("reference", "port")
            for side, (own, other), (name, other_name) in zip(
                sides, (ids, ids[::-1]), (names, names[::-1]), strict=True
            ):
                known, before, first = partners.setdefault((side, own), (other, other_name, match.key))
                if known != other:
                    message = f"{name} is shared in the {side}, but its counterparts are two: {before} and {other_name}"
                    yield Conflict(match.port.name, match.key, slot, message, side, first)
