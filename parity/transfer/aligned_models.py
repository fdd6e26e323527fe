"""A reference and its port, aligned: captured, matched, laid out, and loaded with weights. Plain NumPy."""

from __future__ import annotations

import gc
import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from parity.capture import drawn_inputs
from parity.capture.adapter import ModelAdapter
from parity.capture.dry_run import FirstRuns, heavy
from parity.capture.steps import Step, Trace
from parity.match.alignment import Match, Matching
from parity.match.data_flow import output_sources, step_sources
from parity.match.unmatched import Unmatched
from parity.numerics.array_layouts import Layout, describe_order, fitting_layouts
from parity.numerics.copies import LARGE, equal
from parity.numerics.weight_axes import WeightTransform
from parity.transfer.held_weights import HeldWeights, held_weights
from parity.transfer.layout_search import find_layouts
from parity.transfer.mismatches import NEUTRAL, Conflict, find_conflicts, unrecorded_parameters
from parity.transfer.model_layouts import Layouts
from parity.transfer.settled_weights import Weights
from parity.verdict import Scope, UnusableInput

Array = np.ndarray
MANY_VALUES = 2**23
"""Number of values of one run, 268 MB in all five runs of a condition, from which on they are compared as they come."""
DRIVEN = ("activation", "pool", "global-pool", "upsample", "merge")
"""Kinds whose settings may differ without effect on the values that happen to be there."""
NO_PADDING = ("valid", "padding=0")


@dataclass
class AlignedModels:
    """Everything that is measured with.

    ``inputs`` is a batch in the reference's layout; ``weights`` maps (reference step, parameter) to the float64 value
    that both sides are given. Those ``perturbed`` are not what the reference held. With ``held`` the
    port keeps its own weights, which were compared with right copies. ``crash`` is the port's error where it cannot run
    what the reference runs, ``stopped`` the module that failed. A ``brief`` pair is measured on one batch in evaluation
    mode. ``given``: the inputs are the caller's. ``modes`` are those in which the pair is measured. ``rearranged`` are
    pairs that turned out to be parts of two arrangements of the same computation. ``one_sample``: the network is so
    large that it is measured on one.
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
    one_sample: bool = False
    returned: dict[tuple[str, str], bool] = field(default_factory=dict, init=False, repr=False)
    _loaded: dict[str, list[str]] = field(default_factory=lambda: {"reference": [], "port": []}, init=False, repr=False)

    @contextmanager
    def precision(self, dtype: str) -> Iterator[None]:
        """Within this context both sides compute in ``dtype``, on :attr:`weights` rounded to it."""
        with self.reference_in(dtype), self.port_in(dtype):
            yield

    @contextmanager
    def reference_in(self, dtype: str) -> Iterator[None]:
        """The same for the reference alone, which keeps its weights but for those perturbed."""
        loaded = self._loaded["reference"]
        with self.reference.precision(dtype):
            if dtype not in loaded:
                for match, slot in self.perturbed:
                    self.reference.write(match.reference, slot, self.weights[match.key, slot])
                self.reference.keep_state()
                loaded.append(dtype)
            yield

    @contextmanager
    def port_in(self, dtype: str) -> Iterator[None]:
        """The same for the port alone, which keeps weights of its own if it is judged with them.

        Weights are transformed once: in float32 the port takes over what it still holds in float64, rounded.
        """
        loaded = self._loaded["port"]
        with self.port.precision(dtype):
            if dtype not in loaded:
                if self.held is None and "float64" in loaded:
                    self.port.copy_weights_from("float64")
                elif self.held is None:
                    self._write_port()
                    if dtype == "float64" and not self.returned:
                        self._check_returned()
                self.port.keep_state()
                loaded.append(dtype)
            yield

    def release(self, side: Literal["reference", "port"], dtype: str) -> None:
        """Free one side's weights in ``dtype`` if they are many; the next use loads them again."""
        if self.heavy and dtype in self._loaded[side]:
            (self.reference if side == "reference" else self.port).release(dtype)
            self._loaded[side].remove(dtype)

    @cached_property
    def heavy(self) -> bool:
        """Whether the port has so many weights that only one copy of them is held at a time."""
        return heavy(self.reference_trace, self.port_trace)

    @property
    def values_per_sample(self) -> int:
        """How many values the layers of the reference compute for one sample."""
        count = sum(math.prod(shape) for shape in self.reference_trace.shapes.values())
        return count // max(len(self.inputs[0]) if self.inputs and self.inputs[0].ndim else 1, 1)

    @property
    def frugal(self) -> bool:
        """Whether values are compared while the port runs instead of being kept."""
        batch = len(self.inputs[0]) + (0 if self.given else 2 - self.brief)
        return self.heavy or self.values_per_sample * batch > MANY_VALUES

    def restore_state(self) -> None:
        """Put running statistics back to what was loaded, after a run that stopped."""
        self.reference.restore_state()
        self.port.restore_state()

    def _write_port(self) -> None:
        """Transform and write the port's weights; parameters that it alone has get their neutral value."""
        for match in self.matching.matches:
            transform = self.layouts.weight_transform(match)
            for slot in match.reference.shapes:
                if slot not in match.port.shapes or (match.key, slot) in self.unwritten:
                    continue
                value = self.weights.held(match.key, slot)
                shape = tuple(match.port.shapes[slot])
                if transform.shape(slot, value.shape) == shape:
                    for columns, rows in _blocks(transform, slot, value):
                        self.port.write(match.port, slot, transform.torch_view(slot, value[columns]), rows)
                else:
                    self.port.write(match.port, slot, np.full(shape, value.flat[0]))
            for slot in set(match.port.shapes) - set(match.reference.shapes):
                if slot in NEUTRAL:
                    self.port.write(match.port, slot, np.full(match.port.shapes[slot], NEUTRAL[slot]))

    def _check_returned(self) -> None:
        """Enter for every weight that was transferred whether it comes back bit for bit, in float64."""
        for match in self.matching.matches:
            transform = self.layouts.weight_transform(match)
            for slot, shape in match.reference.shapes.items():
                if (match.key, slot) in self.blocked or slot not in match.port.shapes:
                    continue
                value, back = self.weights.held(match.key, slot), self.port.read(match.port, slot)
                blocks = list(_blocks(transform, slot, value))
                if len(blocks) == 1:
                    same = equal(transform.keras_view(slot, back, shape), value)
                else:
                    pairs = ((transform.torch_view(slot, value[columns]), back[rows]) for columns, rows in blocks)
                    same = all(equal(sent, here) for sent, here in pairs)
                self.returned[match.key, slot] = same

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
            match.reference.kind in DRIVEN and _settings(match.reference) != _settings(match.port)
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
        weights = Weights()
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
    perturbed, and what the port's conversion rounded counts as the reference's value too. Nothing is written yet: see
    :meth:`AlignedModels.precision`.
    """
    layouts = Layouts(runs.port.layouts, mirrored=mirrored)
    if not runs.port.crash:
        layouts = _searched_layouts(reference, port, runs, matching, mirrored, seed)
    conflicts = find_conflicts(matching, layouts, reference, port)
    if not runs.port.crash:
        port_inputs = [layout.to_port(x) for layout, x in zip(layouts.inputs, runs.inputs, strict=True)]
        conflicts += unrecorded_parameters(
            reference, (runs.reference.steps, runs.inputs), port, (runs.port.trace.steps, port_inputs)
        )
    weights, perturbed = _settled_weights(reference, port, matching, conflicts, seed, perturb and copy_weights)
    held = None
    if not copy_weights:
        held = held_weights(reference, port, matching, layouts, conflicts)
        perturbed = _rounded_weights(reference, weights, held)
    return AlignedModels(
        reference, port, runs.inputs, runs.reference, runs.port.trace, matching, layouts, conflicts, weights, perturbed,
        seed, brief, runs.port.crash, runs.port.stopped, runs.given, scope, held, one_sample=runs.one_sample,
    )  # fmt: skip


def _settings(step: Step) -> dict[str, Any]:
    """A layer's settings, with one word for no padding."""
    padding = step.attributes.get("padding")
    return {**step.attributes, **({"padding": "valid"} if padding in NO_PADDING else {})}


def _blocks(transform: WeightTransform, slot: str, value: Array) -> Iterator[tuple[Any, Any]]:
    """Index pairs that cut a large dense kernel whose rows are reordered, and its counterpart, by output features."""
    plain = transform.layout == "dense" and slot == "kernel" and transform.outputs is None and not transform.ones
    if not plain or transform.inputs is None or value.nbytes < LARGE:
        yield (...,), (...,)
        return
    size = max(LARGE // (value.nbytes // value.shape[1]), 1)
    for start in range(0, value.shape[1], size):
        part = slice(start, start + size)
        yield (slice(None), part), (part,)


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

    def probed(side: ModelAdapter, inputs: list[Array], values: Mapping[str, Array]) -> Trace:
        with side.precision("float64"):
            trace = side.run(inputs, replace=values, skip=True)
        if runs.heavy:
            side.release("float64")
        return trace

    found = find_layouts(
        matching,
        runs.port.layouts,
        [x.shape for x in runs.inputs],
        [(expected.shape, got.shape) for expected, got in results],
        lambda values: probed(reference, runs.inputs, values),
        lambda values: probed(port, port_inputs, values),
        mirrored,
        seed,
    )
    gc.collect()  # recorded runs hang in cycles of hooks and tensors
    return found


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
    weights = Weights()
    perturbed: list[tuple[Match, str]] = []
    settled: dict[int, Array] = {}
    of_port: dict[int, tuple[Array, Array]] = {}
    kept = {(c.reference_layer, c.slot) for c in conflicts if c.training_only}
    for number, match in enumerate(matching.matches):
        for slot in match.reference.shapes:
            variable = reference.variable_id(match.reference, slot)
            if variable not in settled:
                held = reference.read(match.reference, slot)
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
