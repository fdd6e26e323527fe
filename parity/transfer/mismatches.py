"""Which parameters cannot be transferred from one model to the other, and why. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from parity.capture.adapter import ModelAdapter
from parity.capture.steps import Step
from parity.match.alignment import Match, Matching
from parity.transfer.model_layouts import Layouts

Run = tuple[list[Step], list[np.ndarray]]
"""The steps of a run, and its inputs in the model's own layout."""
Side = Literal["", "reference", "port"]
NEUTRAL = {"gamma": 1.0, "beta": 0.0, "bias": 0.0}
"""Values of parameters with which a layer computes as if it had none."""
OUTSIDE = "{} belongs to no layer that ran in the reference"
PER_CHANNEL = ("alpha", "gamma", "beta", "bias")


class WeightMismatch(ValueError):
    """The two models' weights do not correspond; the message lists every key and shape concerned."""


@dataclass(frozen=True)
class Conflict:
    """One parameter that cannot be transferred.

    ``harmless``: it holds what no training changes or no output reads, or what the port alone has and sets to its
    neutral value; values show whether the other side computes the same without it. ``training_only``: it matters once
    weights move. ``extra``: the port alone reads it, in no layer that is known. ``shared``: the side that alone shares
    it with another layer, which is ``first`` in the reference. What the
    reference shares can be written to each of the port's layers; in training these part.
    """

    layer: str
    reference_layer: str
    slot: str
    message: str
    harmless: bool = False
    training_only: bool = False
    extra: bool = False
    shared: Side = ""
    first: str = ""

    @property
    def keys(self) -> set[tuple[str, str]]:
        """``(reference layer, parameter)`` of all that it concerns."""
        return {(layer, self.slot) for layer in (self.reference_layer, self.first) if layer}


def find_conflicts(matching: Matching, layouts: Layouts, reference: ModelAdapter, port: ModelAdapter) -> list[Conflict]:
    """Every parameter without a counterpart of the right shape, or shared between layers on one side alone.

    A layer that stands alone may read again what a matched layer holds (an embedding that is also the last layer).
    """
    known = {
        reference.variable_id(match.reference, slot) for match in matching.matches for slot in match.reference.shapes
    }
    known_in_port = {port.variable_id(match.port, slot) for match in matching.matches for slot in match.port.shapes}
    conflicts = [conflict for match in matching.matches for conflict in _within(match, layouts, reference)]
    for step in matching.only_reference:
        conflicts += [
            Conflict(
                "", step.name, slot, f"{step.name}.{slot} {shape} finds no layer in the port",
                not reference.trainable(step, slot),
            )
            for slot, shape in step.shapes.items()
            if slot not in (step.handle or {}) or reference.variable_id(step, slot) not in known
        ]  # fmt: skip
    for step in matching.only_port:
        conflicts += [
            Conflict(
                step.name, "", slot, f"{step.name}.{slot} {shape} finds no layer in the reference",
                not port.trainable(step, slot),
            )
            for slot, shape in step.shapes.items()
            if slot not in (step.handle or {}) or port.variable_id(step, slot) not in known_in_port
        ]  # fmt: skip
    return conflicts + list(_shared_unevenly(matching.matches, reference, port))


def unrecorded_parameters(
    reference: ModelAdapter, reference_run: Run, port: ModelAdapter, port_run: Run
) -> list[Conflict]:
    """Every parameter that belongs to no recorded step; those that no output reads are harmless."""
    conflicts = []
    for side, adapter, (steps, inputs) in (("reference", reference, reference_run), ("port", port, port_run)):
        paths = adapter.unrecorded_parameters(steps)
        with adapter.precision("float64"):
            unread = adapter.unread_parameters(paths, inputs) if paths else set()
        for path in paths:
            layers = (path, "") if side == "port" else ("", path)
            if path in unread:
                conflicts.append(Conflict(*layers, "", f"{path}: no output of the {side} reads it", harmless=True))
                continue
            read = side == "port"
            text = f"{path} is read by the port, in no layer that is known" if read else OUTSIDE.format(path)
            conflicts.append(Conflict(*layers, "", text, training_only=read, extra=read))
    return conflicts


def constant_in_both(reference: ModelAdapter, match: Match, slot: str) -> bool:
    """Whether one number fills a per-channel parameter, so that a port with another number of them (one slope for all
    channels) computes the same until training moves them apart."""
    value = reference.read(match.reference, slot)
    return slot in PER_CHANNEL and bool(value.size) and float(np.ptp(value)) == 0.0


def _within(match: Match, layouts: Layouts, reference: ModelAdapter) -> Iterator[Conflict]:
    a, b = match.reference, match.port
    training_only = False
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
            training_only = constant_in_both(reference, match, slot)
        yield Conflict(b.name, a.name, slot, message, slot not in a.shapes and slot in NEUTRAL, training_only)


def _equal_weights(reference: ModelAdapter, port: ModelAdapter, matches: list[Match], shared: int, slot: str) -> bool:
    """Whether all weights of the reference whose counterpart is one variable of the port hold equal values."""
    held = [
        reference.read(match.reference, slot) for match in matches
        if slot in match.reference.shapes and slot in match.port.shapes
        and port.variable_id(match.port, slot) == shared
    ]  # fmt: skip
    return all(np.array_equal(value, held[0]) for value in held)


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
                    # the port's two copies start equal; two weights of the reference in one of the port only may
                    equal = side == "reference" or _equal_weights(reference, port, matches, own, slot)
                    message = f"{name} is shared in the {side}, but its counterparts are two: {before} and {other_name}"
                    yield Conflict(
                        match.port.name, match.key, slot, message, training_only=equal, shared=side, first=first
                    )
