"""How a wrong copy of the weights came about, found by trying. Plain NumPy.

Each wrong parameter is held against a table of hypotheses (:data:`HYPOTHESES`); the first that reproduces what the port
holds, bit for bit or to float32's rounding where it computes, is the cause. Layers with one cause make one finding.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from parity.diagnosis.weight_arrangements import Arrangement, Weight, describe, wrong_arrangements
from parity.diagnosis.weight_conversions import COPIED, Conversion, conversions, quantised
from parity.match.alignment import Match
from parity.transfer.held_weights import HeldWeights, Parameter, attribute_of, cast
from parity.transfer.mismatches import NEUTRAL
from parity.verdict import Finding

Array = np.ndarray
Shape = tuple[int, ...]
KIND = "wrong-weights"
FRESH = {
    "bias": 0.0, "beta": 0.0, "gamma": 1.0, "moving_mean": 0.0, "moving_variance": 1.0, "alpha": 0.25,
}  # fmt: skip
"""What a layer that was just made holds: biases of many layers, normalisations, PReLU."""
PARTNERS = {"gamma": "beta", "beta": "gamma", "moving_mean": "moving_variance", "moving_variance": "moving_mean"}
STATISTICS = {"moving_mean", "moving_variance"}
PROBES = 64  # values compared before whole arrays are
SHOWN = 4  # layers named in one message
COPY = "parity.copy_to_torch(reference, port) copies every weight rightly"


@dataclass(frozen=True)
class Cause:
    """Why one parameter is wrong: a ``topic`` (what makes two layers' causes one), words, a fix, and whose weights."""

    topic: str
    words: str
    fix: str
    other: tuple[str, str] = ("", "")


def explain_weights(held: HeldWeights, images: Sequence[Shape]) -> list[Finding]:
    """One finding a cause, at the first layer that it affects.

    ``images`` are shapes ``(*spatial, channels)`` that the reference computes.
    """
    unneutral = [_unneutral(*one) for one in held.unneutral]
    if not held.wrong:
        return unneutral
    search = _Search(held, images)
    by_layer: dict[str, list[tuple[Parameter, Cause]]] = defaultdict(list)
    for parameter in held.wrong:
        by_layer[parameter.match.key].append((parameter, search.cause(parameter)))
    groups: dict[object, list[_Fault]] = defaultdict(list)
    for causes in by_layer.values():
        fault = _layer_fault(causes, held)
        groups[fault.topic].append(fault)
    total = len({parameter.match.key for parameter in held.parameters})
    return [_finding(faults, total) for faults in groups.values()] + unneutral


# The hypotheses


class _Search:
    """The search for the cause of each wrong parameter; what needs all weights is gathered once."""

    def __init__(self, held: HeldWeights, images: Sequence[Shape]):
        self.held, self.images = held, images
        self.siblings: dict[str, list[Parameter]] = defaultdict(list)
        for parameter in held.parameters:
            self.siblings[parameter.match.key].append(parameter)

    def cause(self, wrong: Parameter) -> Cause:
        """The first hypothesis that reproduces what the port holds."""
        return next(cause for hypothesis in HYPOTHESES if (cause := hypothesis(self, wrong)) is not None)

    def arranged(self, source: Parameter, held: Array, conversion: Conversion) -> Arrangement | None:
        """The arrangement of a parameter, converted, that is what the port holds; None if there is none."""
        weight = self.weight(source)
        converted = conversion(source.value)
        if converted.size != held.size:
            return None
        places = np.random.default_rng(0).integers(0, held.size, min(PROBES, held.size))
        largest = float(np.abs(held).max(initial=0))
        probed = held.reshape(-1)[places].astype(np.float64)
        for one in (weight.right, *wrong_arrangements(weight)):
            if conversion.agrees(probed, one.take(converted, places), largest):
                whole = one(converted).reshape(held.shape)
                if conversion.agrees(held.astype(np.float64), whole, largest):
                    return one
        return None

    def weight(self, parameter: Parameter) -> Weight:
        """What its arrangements depend on."""
        return Weight(parameter.slot, parameter.value.shape, parameter.transform, self.images)

    @cached_property
    def by_content(self) -> dict[tuple[int, int], list[Parameter]]:
        """The reference's parameters by what they hold, whatever the order of the values."""
        found: dict[tuple[int, int], list[Parameter]] = defaultdict(list)
        for parameter in self.held.parameters:
            found[_content(parameter.value)].append(parameter)
        return found


def _fresh(search: _Search, wrong: Parameter) -> Cause | None:
    """Left as a new layer holds it."""
    value = FRESH.get(wrong.slot)
    if value is None or not wrong.held.size or not (wrong.held == value).all():
        return None
    return Cause("fresh", f"left at {value:g}, never copied", f"copy the reference's {wrong.slot}")


def _sibling(search: _Search, wrong: Parameter) -> Cause | None:
    """Another parameter of the same layer."""
    likely = PARTNERS.get(wrong.slot)
    for other in sorted(search.siblings[wrong.match.key], key=lambda one: one.slot != likely):
        if other.slot != wrong.slot and _same(wrong.held, other.right):
            words = f"holds the reference's {other.slot}"
            return Cause(words, words, f"copy {wrong.slot} to {wrong.attribute}", (wrong.match.key, other.slot))
    return None


def _rearranged(search: _Search, wrong: Parameter) -> Cause | None:
    """The right parameter in another arrangement, its values rounded, scaled or otherwise converted."""
    for conversion in conversions(wrong.value, wrong.held):
        found = search.arranged(wrong, wrong.held, conversion)
        if found is None:
            continue
        weight = search.weight(wrong)
        moved, fix = describe(weight, found, wrong.held.shape)
        words = "; ".join(part for part in (moved, conversion.words) if part)
        fixes = "; ".join(part for part in (fix if moved else "", conversion.fix) if part)
        return Cause(re.sub(r"^(rows|columns|values) ", "", words), words, fixes)
    return None


def _other_layer(search: _Search, wrong: Parameter) -> Cause | None:
    """A parameter of another layer, as it should be copied or in another arrangement."""
    if not np.ptp(wrong.held):
        return None
    for source in search.by_content.get(_content(wrong.held), ()):
        if source.match.key == wrong.match.key:
            continue
        found = search.arranged(source, wrong.held, COPIED)
        if found is None:
            continue
        what = f"{source.match.key}'s {source.slot}"
        moved, _ = describe(search.weight(source), found, wrong.held.shape)
        words = f"holds the weights of another layer: {what}" + (f", {moved}" if moved else "")
        fix = f"copy {wrong.match.key}'s own {wrong.slot}"
        return Cause("another layer's", words, fix, (source.match.key, source.slot))
    return None


def _shuffled(search: _Search, wrong: Parameter) -> Cause | None:
    """The right values in an order that no arrangement gives: along one axis, or throughout."""
    right = wrong.right
    if right.shape != wrong.held.shape or _content(wrong.value) != _content(wrong.held):
        return None
    for axis in range(right.ndim):
        order = _order_along(axis, right, wrong.held)
        if order is not None:
            name = f"axis {axis}" if right.ndim > 1 else "values"
            listed = ", ".join(map(str, order[:8])) + (", …" if len(order) > 8 else "")
            words = f"{name} in another order: takes [{listed}] of the reference's"
            return Cause(words, words, "copy it in the reference's order")
    words = "holds the reference's values in another order, none of those tried"
    return Cause(words, words, f"copy it in the reference's order; {COPY}")


def _quantised(search: _Search, wrong: Parameter) -> Cause | None:
    """Rounded to eight bits."""
    right = wrong.right
    words = quantised(right, wrong.held) if right.shape == wrong.held.shape else ""
    return Cause(words, words, "copy the values in float32") if words else None


def _partly(search: _Search, wrong: Parameter) -> Cause | None:
    """Right in the greater part of its values, or shifted by one row."""
    right, held = cast(wrong.right, wrong.held.dtype), wrong.held
    if right.shape != held.shape:
        return None
    for shift in (1, -1):
        moved = np.roll(right, shift, 0)
        inner = slice(1, None) if shift == 1 else slice(None, -1)
        if len(right) > 2 and np.array_equal(moved[inner], held[inner]):
            words = f"rows shifted by {shift:+d}"
            return Cause(words, words, "copy row n to row n")
    same = right == held
    if 2 * same.sum() <= same.size:
        return None
    first = [int(n) for n in np.argwhere(~same)[0]]
    words = f"{int((~same).sum())} of {same.size} values are not the reference's, the first at {first}"
    return Cause("partly", words, "copy all of it, and leave it as it is")


def _unknown(search: _Search, wrong: Parameter) -> Cause:
    """Nothing that was tried."""
    bound = _fresh_bound(wrong)
    hint = f" (all within ±{bound:.3g}, as torch's fresh ones)" if bound else ""
    if wrong.held.size and not np.ptp(wrong.held):
        hint = f" (all are {float(wrong.held.flat[0]):g})"
    words = f"equals none of the reference's, in any order tried: was it copied?{hint}"
    return Cause("fresh", words, f"copy the reference's {wrong.slot}")


HYPOTHESES: list[Callable[[_Search, Parameter], Cause | None]] = [
    _fresh,
    _sibling,
    _rearranged,
    _other_layer,
    _shuffled,
    _quantised,
    _partly,
    _unknown,
]


# What they amount to


@dataclass(frozen=True)
class _Fault:
    """All that is wrong with the weights of one layer."""

    match: Match
    topic: object
    words: str
    fix: str
    slots: tuple[str, ...]


def _layer_fault(causes: list[tuple[Parameter, Cause]], held: HeldWeights) -> _Fault:
    """The causes of one layer's parameters as one."""
    match = causes[0][0].match
    slots = tuple(parameter.slot for parameter, _ in causes)
    topics = [cause.topic for _, cause in causes]
    exchanged = _exchanged(causes)
    attributes = ", ".join(parameter.attribute for parameter, _ in causes)
    if exchanged:
        return _Fault(match, exchanged, exchanged, _own_places(held, match), slots)
    if set(topics) == {"fresh"}:
        return _fresh_fault(match, causes, held)
    if set(topics) == {"another layer's"} and len({cause.other[0] for _, cause in causes}) == 1:
        other = causes[0][1].other[0]
        words = f"holds the weights of another layer: {other}'s ({attributes})" if len(causes) > 1 else (
            f"{attributes} {causes[0][1].words}"
        )  # fmt: skip
        return _Fault(match, "another layer's", words, f"copy {match.key}'s own weights{_sharing(causes)}", slots)
    if len(set(topics)) == 1:
        words = f"{attributes}: {causes[0][1].words}"
        return _Fault(match, topics[0], words, causes[0][1].fix, slots)
    words = "; ".join(f"{parameter.attribute}: {cause.words}" for parameter, cause in causes)
    fixes = dict.fromkeys(f"{parameter.attribute}: {cause.fix}" for parameter, cause in causes)
    return _Fault(match, tuple(sorted({*topics})), words, "; ".join(fixes), slots)


def _fresh_fault(match: Match, causes: list[tuple[Parameter, Cause]], held: HeldWeights) -> _Fault:
    """Never copied: all of a layer, its statistics, or one parameter."""
    slots = tuple(parameter.slot for parameter, _ in causes)
    own = [parameter for parameter in held.parameters if parameter.match is match]
    attributes = ", ".join(parameter.attribute for parameter, _ in causes)
    listed = "; ".join(f"{parameter.attribute}: {cause.words}" for parameter, cause in causes)
    fix = f"copy the reference's {', '.join(slots)} to {attributes}"
    shared = _shared(causes)
    if shared:
        return _Fault(match, "shared", f"{shared}; {attributes} of this one are its own", f"{fix} too", slots)
    if {*slots} == STATISTICS:
        return _Fault(match, "statistics", f"the running statistics were not copied: {listed}", fix, slots)
    if len(causes) == len(own) > 1:
        words = f"its weights ({attributes}) equal none of the reference's, in any order tried: were they copied?"
        bounds = [_fresh_bound(parameter) for parameter, _ in causes]
        if all(bounds):
            words += f" All are within ±{max(bounds):.3g}, as torch's fresh ones"
        elif all(parameter.slot in FRESH for parameter, _ in causes):
            words += f" They are a new layer's: {listed}"
        return _Fault(match, "fresh", words, f"copy the reference's weights; {COPY}", slots)
    topic = "fresh" if len(causes) == len(own) else ("fresh", slots)
    return _Fault(match, topic, listed, fix, slots)


def _exchanged(causes: list[tuple[Parameter, Cause]]) -> str:
    """Pairs of a layer's parameters that hold each other's values, if that is all that is wrong with it."""
    taken = {parameter.slot: (parameter.attribute, cause.other) for parameter, cause in causes}
    parts, mentioned = [], set()
    for slot, (attribute, (layer, other)) in taken.items():
        if layer != causes[0][0].match.key or other not in taken or taken[other][1] != (layer, slot):
            return ""
        if other not in mentioned:
            mentioned.add(slot)
            there = taken[other][0]
            parts.append(f"{slot} and {other} are exchanged: {attribute} holds {other}, {there} holds {slot}")
    return "; ".join(parts)


def _own_places(held: HeldWeights, match: Match) -> str:
    own = (parameter for parameter in held.parameters if parameter.match is match)
    return "copy " + ", ".join(f"{parameter.slot} to {parameter.attribute}" for parameter in own)


def _shared(causes: list[tuple[Parameter, Cause]]) -> str:
    """Weights that the reference shares between layers, and that were copied to another of the port's only."""
    others = [parameter.shared_with for parameter, _ in causes if parameter.shared_with]
    if not others:
        return ""
    names = ", ".join(dict.fromkeys(match.port.name for match in others[0]))
    return f"the reference shares these weights with the layer whose copy is {names}, and they were copied there only"


def _sharing(causes: list[tuple[Parameter, Cause]]) -> str:
    shared = _shared(causes)
    return f" ({shared})" if shared else ""


def _finding(faults: list[_Fault], total: int) -> Finding:
    """One cause, at the first layer that has it."""
    first = faults[0]
    keys = [fault.match.key for fault in faults]
    message = f"{first.match.label}: {first.words}"
    if len(faults) > 1:
        every = "all " if len(faults) == total else ""
        others = ", ".join(fault.match.port.name for fault in faults[1 : 1 + SHOWN])
        more = "" if len(faults) <= 1 + SHOWN else ", …"
        message = f"{every}{len(faults)} layers ({first.match.port.name}, {others}{more}): {message}"
    if first.topic == "another layer's" and len(faults) > 1:
        message = f"{len(faults)} layers hold the weights of another: " + "; ".join(
            f"{fault.match.label} {fault.words}" for fault in faults[:SHOWN]
        )
    evidence = {"layers": [fault.match.port.name for fault in faults], "reference_layers": keys,
                "parameters": list(first.slots)}  # fmt: skip
    return Finding(KIND, first.match.port.name, first.match.key, message, first.fix, "weights", evidence)


def _unneutral(match: Match, slot: str) -> Finding:
    """A scale or offset that the reference does not have."""
    attribute, neutral = attribute_of(match, slot), NEUTRAL[slot]
    message = f"{match.label}: the reference has no {slot}, and {attribute} is not {neutral:g} throughout"
    fix = f"set {attribute} to {neutral:g}, as the reference computes without it"
    evidence = {"layers": [match.port.name], "reference_layers": [match.key], "parameters": [slot]}
    return Finding(KIND, match.port.name, match.key, message, fix, "weights", evidence)


# Comparing


def _same(held: Array, right: Array) -> bool:
    return held.shape == right.shape and np.array_equal(held, cast(right, held.dtype))


def _content(array: Array) -> tuple[int, int]:
    """Equal for arrays that hold the same float32 values, in whatever order."""
    bits = (cast(np.asarray(array), np.dtype(np.float32)) + np.float32(0)).reshape(-1).view(np.uint32)
    mixed = bits.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return array.size, int(mixed.sum(dtype=np.uint64))


def _order_along(axis: int, right: Array, held: Array) -> list[int] | None:
    """Which slice of ``right`` each slice of ``held`` along an axis is; None if they are not the same slices."""
    places = {part.tobytes(): n for n, part in enumerate(_slices(cast(right, held.dtype), axis))}
    order = [places.get(part.tobytes()) for part in _slices(held, axis)]
    return [n for n in order if n is not None] if None not in order else None


def _slices(array: Array, axis: int) -> Iterator[Array]:
    yield from np.ascontiguousarray(np.moveaxis(array, axis, 0))


def _fresh_bound(wrong: Parameter) -> float:
    """The bound of torch's uniform initialisation, 1/√(inputs), if all values lie within it; else 0."""
    inputs = wrong.match.reference.products
    bound = float(inputs**-0.5)
    return bound if wrong.slot in ("kernel", "bias") and float(np.abs(wrong.held).max(initial=0)) <= bound else 0.0
