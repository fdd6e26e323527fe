"""A reference and its port, aligned: captured, matched, laid out, and loaded with weights. Plain NumPy."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from parity.capture import drawn_inputs
from parity.capture.adapter import ModelAdapter
from parity.capture.dry_run import FirstRuns
from parity.capture.steps import Step, Trace
from parity.match.alignment import Match, Matching
from parity.match.data_flow import output_sources, step_sources
from parity.match.unmatched import Unmatched
from parity.numerics.array_layouts import Layout, describe_order, fitting_layouts
from parity.transfer.held_weights import HeldWeights, held_weights
from parity.transfer.layout_search import find_layouts
from parity.transfer.mismatches import NEUTRAL, Conflict, find_conflicts, unrecorded_parameters
from parity.transfer.model_layouts import Layouts
from parity.verdict import Scope, UnusableInput

Array = np.ndarray
Weights = dict[tuple[str, str], Array]
DRIVEN = ("activation", "pool", "global-pool", "upsample", "merge")
"""Kinds whose settings may differ without effect on the values that happen to be there."""


@dataclass
class AlignedModels:
    """Everything that is measured with.

    ``inputs`` is a batch in the reference's layout; ``weights`` maps (reference step, parameter) to the float64 value
    that :meth:`load_weights` gives both sides. Those ``perturbed`` are not what the reference held. With ``held`` the
    port keeps its own weights, which were compared with right copies. ``crash`` is the port's error where it cannot run
    what the reference runs, ``stopped`` the module that failed. A ``brief`` pair is measured on one batch in evaluation
    mode. ``given``: the inputs are the caller's. ``modes`` are those in which the pair is measured. ``rearranged`` are
    pairs that turned out to be parts of two arrangements of the same computation.
    """

    reference: ModelAdapter
    port: ModelAdapter
    inputs: list[Array]
    reference_trace: Trace
    port_trace: Trace
    matching: Matching
    layouts: Layouts
    conflicts: list[Conflict]
    weights: Weights
    perturbed: list[tuple[Match, str]] = field(default_factory=list)
    seed: int = 0
    brief: bool = False
    crash: str = ""
    stopped: str = ""
    given: bool = False
    scope: Scope = "training"
    held: HeldWeights | None = None
    modes: tuple[str, ...] = ("evaluation",)
    rearranged: list[Match] = field(default_factory=list)
    redrawn_from: AlignedModels | None = None
    _loaded: list[str] = field(default_factory=list, init=False, repr=False)

    def load_weights(self, dtype: str) -> None:
        """Give both sides :attr:`weights` in ``dtype``; later calls do nothing.

        Weights are transformed once: in a second precision the port takes over what it holds in the first, rounded. A
        port with weights of its own keeps them.
        """
        if dtype in self._loaded:
            return
        with self._switched_to(dtype):
            for match, slot in self.perturbed:
                self.reference.write(match.reference, slot, self.weights[match.key, slot])
            if self.held is None and self._loaded:
                self.port.copy_weights_from(self._loaded[0])
            elif self.held is None:
                self._write_port()
            self.reference.keep_state()
            self.port.keep_state()
        self._loaded.append(dtype)

    @contextmanager
    def precision(self, dtype: str) -> Iterator[None]:
        """Within this context both sides compute in ``dtype``, on the weights that were loaded in it.

        Raises:
            RuntimeError: none were.
        """
        if dtype not in self._loaded:
            raise RuntimeError(f"no weights are loaded in {dtype}: call load_weights({dtype!r}) first")
        with self._switched_to(dtype):
            yield

    def restore_state(self) -> None:
        """Put running statistics back to what was loaded, after a run that stopped."""
        self.reference.restore_state()
        self.port.restore_state()

    @contextmanager
    def _switched_to(self, dtype: str) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(self.reference.precision(dtype))
            stack.enter_context(self.port.precision(dtype))
            yield

    def _write_port(self) -> None:
        """Transform and write the port's weights; parameters that it alone has get their neutral value."""
        for match in self.matching.matches:
            transform = self.layouts.weight_transform(match)
            for slot in match.reference.shapes:
                if slot not in match.port.shapes or (match.key, slot) in self.unwritten:
                    continue
                value = self.weights[match.key, slot]
                shape = tuple(match.port.shapes[slot])
                fits = transform.shape(slot, value.shape) == shape
                moved = transform.torch_view(slot, value) if fits else np.full(shape, value.flat[0])
                self.port.write(match.port, slot, moved)
            for slot in set(match.port.shapes) - set(match.reference.shapes):
                if slot in NEUTRAL:
                    self.port.write(match.port, slot, np.full(match.port.shapes[slot], NEUTRAL[slot]))

    @cached_property
    def blocked(self) -> set[tuple[str, str]]:
        """``(reference step, parameter)`` of every conflict: what differs as a variable, whatever its value."""
        return {key for conflict in self.conflicts for key in conflict.keys}

    @cached_property
    def unwritten(self) -> set[tuple[str, str]]:
        """``(reference step, parameter)`` of what is not transferred."""
        return {
            (one.reference_layer, one.slot) for one in self.conflicts
            if one.shared != "reference" and not one.training_only
        }  # fmt: skip

    @cached_property
    def unmatched(self) -> Unmatched:
        """What cannot be judged for lack of a counterpart."""
        return Unmatched(self.matching, self.reference_trace, self.port_trace)

    @cached_property
    def ends(self) -> list[list[str]]:
        """The keys of the matches that each network output comes from."""
        keys = {match.key for match in self.matching.matches}
        return [[name for name in names if name in keys] for names in output_sources(self.reference_trace, keys)]

    @cached_property
    def mode_dependent(self) -> bool:
        """Whether training mode differs from evaluation mode at all."""
        return any(step.mode_dependent for step in (*self.reference_trace.steps, *self.port_trace.steps))

    @property
    def arrangement_differs(self) -> bool:
        """Whether a layer that computes stands on one side alone, or a pair of layers has other settings."""
        alone = [*self.matching.only_reference, *self.matching.only_port]
        lone = [step for step in alone if step.kind != "dropout" and step.name not in self.unmatched.reasons]
        return bool(self.rearranged or lone) or any(
            match.reference.kind in DRIVEN and match.reference.attributes != match.port.attributes
            for match in self.matching.matches
        )

    def forget_pairs(self, keys: Collection[str]) -> None:
        """Treat these pairs as steps without counterparts: what they compute is judged with the next pair."""
        dropped = [match for match in self.matching.matches if match.key in keys]
        self.rearranged += dropped
        kept = [match for match in self.matching.matches if match.key not in keys]
        names = {match.key for match in kept}
        self.matching = Matching(
            kept,
            [*self.matching.only_reference, *(match.reference for match in dropped)],
            [*self.matching.only_port, *(match.port for match in dropped)],
            step_sources(self.reference_trace.steps, names),
        )
        for cached in ("unmatched", "ends"):
            vars(self).pop(cached, None)

    def redrawn(self) -> AlignedModels:
        """The same pair on copies of its own, with every transferred weight drawn afresh."""
        rng = np.random.default_rng([self.seed, 11])
        drawn: dict[int, Array] = {}
        weights: Weights = {}
        for match in self.matching.matches:
            for slot in match.reference.shapes:
                variable = self.reference.variable_id(match.reference, slot)
                if variable not in drawn:
                    value = self.weights[match.key, slot]
                    drawn[variable] = drawn_inputs.draw_weight(slot, value, match.reference.products, rng)
                weights[match.key, slot] = drawn[variable]
        every = [(match, slot) for match in self.matching.matches for slot in match.reference.shapes]
        return replace(
            self, reference=self.reference.on_new_copies(), port=self.port.on_new_copies(), weights=weights,
            perturbed=every, held=None, redrawn_from=self,
        )  # fmt: skip

    def output_key(self, name: str) -> str:
        """The name under which an output (``output 0``) is judged: ``output`` where there is one alone."""
        alone = len(self.reference_trace.result) == 1
        return "output" if alone and name == "output 0" else name

    def reordering(self, step: Step) -> str:
        """In which order the port flattens or unflattens the features of a dense layer, if not in the reference's."""
        for side, orders in (("reads", self.layouts.into), ("writes", self.layouts.out_of)):
            order = orders.get(step.name)
            images = [other.output_shape[1:] for other in self.reference_trace.steps if len(other.output_shape) > 2]
            fitting = [shape for shape in images if order is not None and int(np.prod(shape)) == len(order)]
            if order is not None and fitting and step.kind == "dense":
                due = "weights reordered to match" if self.held is None else "its rows must be reordered to match"
                return f"{side} the image as {describe_order(order, fitting[0])}; {due}"
        return ""

    def to_port(self, inputs: list[Array]) -> list[Array]:
        """Network inputs in the port's layout."""
        return [layout.to_port(x) for layout, x in zip(self.layouts.inputs, inputs, strict=True)]

    def output_layout(self, number: int, expected: Array, got: Array) -> Layout | None:
        """The layout of a network output; None if no layout turns one shape into the other."""
        if number in self.layouts.results:
            return self.layouts.results[number]
        candidates = fitting_layouts(expected.shape, got.shape, self.layouts.mirrored)
        keys = self.ends[number] if number < len(self.ends) else []
        last = self.layouts.outputs[keys[0]] if keys else None
        if last is not None and last.order is None and not last.channels_first:
            candidates.reverse()
        return next(iter(candidates), None)


def align(
    reference: ModelAdapter,
    port: ModelAdapter,
    runs: FirstRuns,
    matching: Matching,
    *,
    seed: int = 0,
    mirrored: bool = False,
    perturb: bool = True,
    brief: bool = False,
    scope: Scope = "training",
    copy_weights: bool = True,
) -> AlignedModels:
    """Find every layout, list the weights that do not correspond, and settle the value of each that does.

    ``perturb`` gives constant weights a spread. Without ``copy_weights`` the port keeps what it holds, nothing is
    perturbed, and what the port's conversion rounded counts as the reference's value too. Nothing is written: see
    :meth:`AlignedModels.load_weights`.
    """
    layouts = Layouts(runs.port.layouts, mirrored=mirrored)
    if not runs.port.crash:
        layouts = _searched_layouts(reference, port, runs, matching, mirrored, seed)
    conflicts = find_conflicts(matching, layouts, reference, port)
    if not runs.port.crash:
        conflicts += unrecorded_parameters(reference, runs.reference.steps, port, runs.port.trace.steps)
    weights, perturbed = _settled_weights(reference, port, matching, conflicts, seed, perturb and copy_weights)
    held = None
    if not copy_weights:
        held = held_weights(reference, port, matching, layouts, conflicts)
        perturbed = _rounded_weights(reference, weights, held)
    return AlignedModels(
        reference, port, runs.inputs, runs.reference, runs.port.trace, matching, layouts, conflicts, weights, perturbed,
        seed, brief, runs.port.crash, runs.port.stopped, runs.given, scope, held,
    )  # fmt: skip


def check_finite(reference: ModelAdapter, port: ModelAdapter) -> None:
    """Raise UnusableInput if a weight or running statistic of either side is NaN or infinite."""
    for nonfinite, name in ((reference.nonfinite_variables(), "reference"), (port.nonfinite_variables(), "port")):
        if nonfinite:
            raise UnusableInput(
                f"the {name}'s weights hold NaN or infinity: {', '.join(nonfinite)}; nothing can be compared"
            )


def _searched_layouts(
    reference: ModelAdapter, port: ModelAdapter, runs: FirstRuns, matching: Matching, mirrored: bool, seed: int
) -> Layouts:
    port_inputs = [layout.to_port(x) for layout, x in zip(runs.port.layouts, runs.inputs, strict=True)]
    results = zip(runs.reference.result, runs.port.trace.result, strict=False)
    with reference.precision("float64"), port.precision("float64"):
        return find_layouts(
            matching,
            runs.port.layouts,
            [x.shape for x in runs.inputs],
            [(expected.shape, got.shape) for expected, got in results],
            lambda values: reference.run(runs.inputs, replace=values),
            lambda values: port.run(port_inputs, replace=values),
            mirrored,
            seed,
        )


def _settled_weights(
    reference: ModelAdapter,
    port: ModelAdapter,
    matching: Matching,
    conflicts: list[Conflict],
    seed: int,
    perturb: bool,
) -> tuple[Weights, list[tuple[Match, str]]]:
    """The float64 value of every parameter of a matched layer, and which of them are new.

    One for layers that share it on either side: equal weights of the reference stay equal where the port has one for
    all of them. What fits only as long as it is constant stays constant.
    """
    weights: Weights = {}
    perturbed: list[tuple[Match, str]] = []
    settled: dict[int, Array] = {}
    of_port: dict[int, tuple[Array, Array]] = {}
    kept = {(c.reference_layer, c.slot) for c in conflicts if c.training_only}
    for number, match in enumerate(matching.matches):
        for slot in match.reference.shapes:
            variable = reference.variable_id(match.reference, slot)
            if variable not in settled:
                held = reference.read(match.reference, slot).astype(np.float64)
                shared = port.variable_id(match.port, slot) if slot in match.port.shapes else 0
                before = of_port.get(shared)
                rng = np.random.default_rng([seed, number, *slot.encode()])
                if before is not None and np.array_equal(before[0], held):
                    value = before[1]
                elif perturb and not _must_stay(match, slot, kept):
                    value = drawn_inputs.perturb_constant(slot, held, rng)
                else:
                    value = held
                settled[variable] = value
                if shared:
                    of_port.setdefault(shared, (held, value))
                if value is not held:
                    perturbed.append((match, slot))
            weights[match.key, slot] = settled[variable]
    return weights, perturbed


def _must_stay(match: Match, slot: str, kept: set[tuple[str, str]]) -> bool:
    """Whether a parameter's counterpart has another number of values."""
    return (match.key, slot) in kept and np.prod(match.reference.shapes[slot]) != np.prod(match.port.shapes[slot])


def _rounded_weights(reference: ModelAdapter, weights: Weights, held: HeldWeights) -> list[tuple[Match, str]]:
    """Enter what the port's conversion rounded as the value of every layer that shares it; list where it is written.

    In float64 the rounding of a weight would show in every layer behind it as a difference in what is computed.
    """
    first: dict[int, tuple[Match, str]] = {}
    values: dict[int, Array] = {}
    for parameter in held.rounded:
        variable = reference.variable_id(parameter.match.reference, parameter.slot)
        if variable not in first:
            first[variable] = parameter.match, parameter.slot
            exact = parameter.held.astype(np.float64)
            values[variable] = parameter.transform.to_keras(parameter.slot, exact, parameter.value.shape)
    for parameter in held.parameters if first else ():
        variable = reference.variable_id(parameter.match.reference, parameter.slot)
        if variable in values:
            weights[parameter.match.key, parameter.slot] = values[variable]
    return list(first.values())
