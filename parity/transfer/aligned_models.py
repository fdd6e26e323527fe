"""A reference and its port, prepared for measuring: traced, matched, laid out, and given the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from parity.capture import drawn_inputs
from parity.capture.dry_run import first_runs
from parity.capture.steps import Trace
from parity.match.alignment import Match, Matching, match_steps
from parity.match.data_flow import Unknown, ends, everything, feeds, unknown_values
from parity.transfer.layout_search import find_layouts
from parity.transfer.layouts import Layouts
from parity.transfer.mismatches import Conflict, find_conflicts, unclaimed
from parity.verdict import UnusableInput

Array = np.ndarray
NEUTRAL = {"gamma": 1.0, "beta": 0.0, "bias": 0.0}


@dataclass
class Comparison:
    """Everything that the rungs measure with.

    ``random`` is a random batch in the reference's layout; ``weights`` maps (reference step, slot) to the float64
    value both sides are given, once in each of the precisions ``loaded``; those ``enlivened`` are not what the
    reference held. ``crash`` is the port's error where it cannot run what the reference runs, ``stopped`` the module
    that failed. A ``brief`` one draws one sample, and is measured on one batch in evaluation mode.
    """

    reference: Any
    port: Any
    random: list[Array]
    matching: Matching
    layouts: Layouts
    reference_trace: Trace
    port_trace: Trace
    weights: dict[tuple[str, str], Array]
    conflicts: list[Conflict]
    seed: int = 0
    crash: str = ""
    stopped: str = ""
    enlivened: list[tuple[Match, str]] = field(default_factory=list)
    brief: bool = False
    loaded: list[str] = field(default_factory=list, init=False)

    @contextmanager
    def working(self, dtype: str) -> Iterator[None]:
        """Both sides in ``dtype``, carrying the same weights."""
        with ExitStack() as stack:
            stack.enter_context(self.reference.working(dtype))
            stack.enter_context(self.port.working(dtype))
            if dtype not in self.loaded:
                self._load()
                self.loaded.append(dtype)
            yield

    def restore(self) -> None:
        """Back to the running statistics that were loaded, after a run that did not come to its end."""
        self.reference.restore_state()
        self.port.restore_state()

    def _load(self) -> None:
        """Give both sides :attr:`weights`. They cross once; in another precision they are the same, rounded."""
        for match, slot in self.enlivened:
            self.reference.write(match.reference, slot, self.weights[match.key, slot])
        if self.loaded:
            self.port.adopt(self.loaded[0])
        else:
            self._cross()
        self.reference.keep_state()
        self.port.keep_state()

    def _cross(self) -> None:
        """Write the port's weights; parameters that it alone has get their neutral value."""
        blocked = {(conflict.reference_layer, conflict.slot) for conflict in self.conflicts}
        for match in self.matching.matches:
            crossing = self.layouts.crossing(match)
            for slot in match.reference.shapes:
                if slot in match.port.shapes and (match.key, slot) not in blocked:
                    self.port.write(match.port, slot, crossing.to_torch(slot, self.weights[match.key, slot]))
            for slot in set(match.port.shapes) - set(match.reference.shapes):
                if slot in NEUTRAL:
                    self.port.write(match.port, slot, np.full(match.port.shapes[slot], NEUTRAL[slot]))

    @cached_property
    def ends(self) -> list[list[str]]:
        """The keys of the matches that each network output comes from."""
        keys = {match.key for match in self.matching.matches}
        return [[name for name in names if name in keys] for names in ends(self.reference_trace, keys)]

    @cached_property
    def unmatchable(self) -> dict[str, str]:
        """Why lone layers cannot be judged: their weights follow no rule, or they stand where such a layer stands.

        Lone layers that are not in it are missing on the other side.
        """
        found = {
            step.name: "its own weights have no counterpart"
            if step.kind == "own"
            else f"{step.kind.removeprefix('opaque:')} has no counterpart of a known kind"
            for step in (*self.matching.only_reference, *self.matching.only_port)
            if step.foreign
        }
        partner = {match.key: match.port.name for match in self.matching.matches}
        mine, theirs = feeds(self.reference_trace.steps, partner), feeds(self.port_trace.steps, partner.values())
        for a in self.matching.only_reference:
            here = {partner.get(name, name) for name in everything(mine[a.name])}
            for b in self.matching.only_port:
                if here == everything(theirs[b.name]) and a.foreign != b.foreign:
                    plain, strange = (b, a) if a.foreign else (a, b)
                    if plain.parametrised or plain.kind == "dropout":
                        found[plain.name] = f"it may stand for {strange.name}: {found[strange.name]}"
        return found

    def unknown_input(self, match: Match | None, upstream: bool = False) -> str:
        """Why what a layer is given (None: the network's output) cannot be judged; "" if it can.

        It comes from a layer without a counterpart whose weights do not cross: directly, or with ``upstream`` through
        layers that can be judged by themselves.
        """
        for unknown, name, steps in (
            (self._unknown[0], match.key if match else "", self.matching.only_reference),
            (self._unknown[1], match.port.name if match else "", self.matching.only_port),
        ):
            source = (unknown.upstream if upstream else unknown.given).get(name)
            if source:
                kind = next(step.kind for step in steps if step.name == source).removeprefix("opaque:")
                what = f"{source} ({kind}), whose" if kind != "own" else f"{source}, whose own"
                return f"fed by {what} weights no rule carries across"
        return ""

    @cached_property
    def _unknown(self) -> tuple[Unknown, Unknown]:
        visible = [match for match in self.matching.matches if match.reference.visible]
        lone = self.matching.only_reference, self.matching.only_port
        foreign = [[step.name for step in steps if step.foreign] for steps in lone]
        return (
            unknown_values(self.reference_trace, {match.key for match in visible}, foreign[0]),
            unknown_values(self.port_trace, {match.port.name for match in visible}, foreign[1]),
        )

    def to_port(self, inputs: list[Array]) -> list[Array]:
        """Network inputs in the port's layout."""
        return [layout.to_port(x) for layout, x in zip(self.layouts.inputs, inputs, strict=True)]


def prepare(
    reference: Any,
    port: Any,
    inputs: list[Array] | None = None,
    *,
    seed: int = 0,
    mapping: dict[str, str] | None = None,
    mirrored: bool = False,
    enliven: bool = True,
    brief: bool = False,
) -> Comparison:
    """Trace both sides in evaluation mode, match their layers, find every layout, and settle the weights.

    Raises:
        UnusableInput: the reference cannot run the inputs, or a weight is NaN or infinite.
    """
    _refuse_sick(reference, port)
    random, reference_trace, trial = first_runs(reference, port, inputs, seed, mirrored, brief)
    matching = match_steps(reference_trace, trial.trace, mapping)
    layouts = Layouts(trial.layouts, mirrored=mirrored)
    to_port = [layout.to_port(x) for layout, x in zip(trial.layouts, random, strict=True)]
    if not trial.crash:
        with reference.working("float64"), port.working("float64"):
            layouts = find_layouts(
                matching,
                trial.layouts,
                [(a.shape, b.shape) for a, b in zip(reference_trace.result, trial.trace.result, strict=False)],
                lambda values: reference.run(random, replace=values),
                lambda values: port.run(to_port, replace=values),
                mirrored,
                seed,
            )
    comparison = Comparison(
        reference, port, random, matching, layouts, reference_trace, trial.trace, {}, [], seed, trial.crash,
        trial.stopped, brief=brief,
    )  # fmt: skip
    comparison.conflicts = find_conflicts(matching, layouts, reference, port)
    if not trial.crash:
        comparison.conflicts += unclaimed(reference, reference_trace.steps, port, trial.trace.steps)
    _settle_weights(comparison, enliven)
    return comparison


def _settle_weights(comparison: Comparison, enliven: bool) -> None:
    settled: dict[int, Array] = {}
    for number, match in enumerate(comparison.matching.matches):
        for slot in match.reference.shapes:
            holder = comparison.reference.holder(match.reference, slot)
            if holder not in settled:
                value = comparison.reference.read(match.reference, slot).astype(np.float64)
                rng = np.random.default_rng([comparison.seed, number, *slot.encode()])
                settled[holder] = drawn_inputs.lively(slot, value, rng) if enliven else value
                if settled[holder] is not value:
                    comparison.enlivened.append((match, slot))
            comparison.weights[match.key, slot] = settled[holder]


def _refuse_sick(reference: Any, port: Any) -> None:
    for side, name in ((reference, "reference"), (port, "port")):
        if sick := side.sick():
            raise UnusableInput(
                f"the {name}'s weights hold NaN or infinity: {', '.join(sick)}; nothing can be compared"
            )
