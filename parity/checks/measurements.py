"""Every layer's value on both sides under every condition: chained, isolated, in float64 and in float32. Plain NumPy.

*Chained*: each side runs on its own. *Isolated*: the port runs with every matched layer's output replaced by the
reference's, so each layer is judged on the reference's input and a fault does not spread to the layers behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from parity.capture import drawn_inputs
from parity.capture.steps import Trace
from parity.match.alignment import Match
from parity.numerics.difference import (
    ROUNDING_LIMIT,
    Difference,
    difference,
    float64_limit,
    own_rounding,
    rounding_limit,
    scale,
    typical_rounding,
)
from parity.numerics.layouts import Layout, crossed_shape, fitting
from parity.transfer.aligned_models import Comparison
from parity.verdict import UnusableInput, first_line

Array = np.ndarray
OUTPUT = "output"


@dataclass
class Condition:
    """One way of running both sides. ``refused`` says why they could not be, ``broken`` that the port is to blame."""

    name: str
    training: bool
    inputs: list[Array]
    reference64: Trace = field(default_factory=Trace)
    port64: Trace = field(default_factory=Trace)
    isolated: Trace = field(default_factory=Trace)
    reference32: Trace = field(default_factory=Trace)
    port32: Trace = field(default_factory=Trace)
    refused: str = ""
    broken: bool = False


@dataclass(frozen=True)
class Reading:
    """One layer (``match``) or one network output under one condition; differences in the reference's layout.

    ``limit`` is the absolute float64 limit. ``own_rounding`` and ``port_rounding`` are what each side shows between
    its own float32 and float64, ``apart32`` is the distance between both float32 runs, all absolute.
    ``abstain`` says why the layer cannot be judged.
    """

    key: str
    condition: str
    match: Match | None
    scale: float
    limit: float
    chained: Difference | None = None
    isolated: Difference | None = None
    own_rounding: float = 0.0
    port_rounding: float = 0.0
    apart32: float | None = None
    rounding_limit: float = ROUNDING_LIMIT
    mismatch: str = ""
    abstain: str = ""
    chain_abstain: str = ""

    @property
    def rounding(self) -> float | None:
        """The float32 difference as a multiple of rounding: of the larger of both sides' own, or of the port's own
        rounding against the reference's, whichever is worse."""
        if self.apart32 is None:
            return None
        floor = self.scale * 2.0**-24
        own = max(self.own_rounding, floor)
        return max(self.apart32 / max(own, self.port_rounding), self.port_rounding / own)


class Measurements:
    """Runs both sides once per condition, on first use, and hands out readings."""

    def __init__(self, comparison: Comparison):
        self.comparison = comparison

    @cached_property
    def mode_dependent(self) -> bool:
        """Whether training mode differs from evaluation mode at all."""
        steps = [*self.comparison.reference_trace.steps, *self.comparison.port_trace.steps]
        return any(step.mode_dependent for step in steps)

    @property
    def modes(self) -> tuple[str, ...]:
        """``evaluation``, and ``training`` where that differs and the comparison is not brief."""
        return ("evaluation", "training") if self.mode_dependent and not self.comparison.brief else ("evaluation",)

    @cached_property
    def conditions(self) -> list[Condition]:
        """Every mode on an adversarial batch and, unless the comparison is brief, on a single sample."""
        brief = self.comparison.brief
        batch = drawn_inputs.adversarial(self.comparison.random, brief)
        single = [x[:1] for x in self.comparison.random]
        plan = [
            (f"{mode}, batch of {len(inputs[0])}", mode == "training", inputs)
            for mode in self.modes
            for inputs in ((batch,) if brief else (batch, single))
        ]
        self._share_float32_slopes()
        with self.comparison.working("float64"):
            conditions = [self._in_float64(*planned) for planned in plan]
        with self.comparison.working("float32"):
            for condition in conditions:
                if not condition.refused:
                    self._add_float32(condition)
        return conditions

    @cached_property
    def readings(self) -> list[Reading]:
        """Every matched layer and every network output under every condition that both sides run.

        A layer's rounding is the most it shows on any batch of the mode: a single small value may show little by luck.
        """
        found = []
        for training in (False, True):
            some = [r for c in self.conditions if c.training == training and not c.refused for r in self._read(c)]
            most: dict[str, tuple[float, float]] = {}
            for reading in some:
                rounding, limit = most.get(reading.key, (0.0, 0.0))
                most[reading.key] = (max(rounding, reading.own_rounding), max(limit, reading.limit))
            found += [replace(r, own_rounding=most[r.key][0], limit=most[r.key][1]) for r in some]
        return found

    def _in_float64(self, name: str, training: bool, inputs: list[Array]) -> Condition:
        comparison = self.comparison
        try:
            reference = comparison.reference.run(inputs, training)
        except Exception as error:
            if not training:
                raise UnusableInput(f"the reference does not run in {name}: {first_line(error)}") from error
            comparison.restore()
            return Condition(name, training, inputs, refused=f"the reference does not run: {first_line(error)}")
        try:
            port = comparison.port.run(comparison.to_port(inputs), training)
        except Exception as error:
            comparison.restore()
            statistics = training and isinstance(error, ValueError)
            reason = "batch statistics refused" if statistics else f"the port does not run in {name}"
            return Condition(name, training, inputs, refused=f"{reason}: {first_line(error)}", broken=not statistics)
        forced = {
            match.port.name: self.layout(match).to_port(reference.outputs[match.key])
            for match in comparison.matching.matches
            if self._forcible(match, reference, port)
        }
        isolated = comparison.port.run(comparison.to_port(inputs), training, replace=forced)
        return Condition(name, training, inputs, reference, port, isolated)

    def _add_float32(self, condition: Condition) -> None:
        comparison = self.comparison
        try:
            condition.reference32 = comparison.reference.run(condition.inputs, condition.training)
        except Exception as error:
            raise UnusableInput(f"the reference does not run in float32: {first_line(error)}") from error
        try:
            condition.port32 = comparison.port.run(comparison.to_port(condition.inputs), condition.training)
        except Exception as error:
            comparison.restore()
            condition.refused, condition.broken = f"the port does not run in float32: {first_line(error)}", True

    def layout(self, match: Match) -> Layout:
        """How that layer's output crosses."""
        return self.comparison.layouts.outputs[match.key]

    def _forcible(self, match: Match, reference: Trace, port: Trace) -> bool:
        a, b = reference.outputs.get(match.key), port.outputs.get(match.port.name)
        return a is not None and b is not None and self.layout(match).fits(a.shape, b.shape)

    def _share_float32_slopes(self) -> None:
        """Keras keeps a stock LeakyReLU's slope in float32: evaluate the port at the same rounded constant."""
        for match in self.comparison.matching.matches:
            a, b = match.reference.attributes.get("slope"), match.port.attributes.get("slope")
            if match.reference.float32_slope and a is not None and b is not None and np.float32(a) == np.float32(b):
                self.comparison.port.set_slope(match.port, float(np.float32(a)))

    def _read(self, condition: Condition) -> Iterator[Reading]:
        seen = [match.key for match in self.comparison.matching.matches if match.reference.visible]
        typical = typical_rounding((condition.reference64.outputs[k], condition.reference32.outputs[k]) for k in seen)
        inherited, products = 0.0, 1
        for match in self.comparison.matching.matches:
            products = max(products, match.reference.products)
            if not match.reference.visible:
                continue
            abstain = self.comparison.unknown_input(match)
            blocked = self.comparison.unknown_input(match, upstream=True)
            reading = self._reading(match, condition, abstain, blocked, max(typical, inherited))
            inherited = reading.own_rounding / reading.scale if reading.scale else inherited
            yield replace(reading, rounding_limit=rounding_limit(products))
        abstain = self.comparison.unknown_input(None)
        blocked = self.comparison.unknown_input(None, upstream=True)
        for number, expected in enumerate(condition.reference64.result):
            least = max(typical, inherited)
            reading = self._output(number, expected, condition, abstain, blocked, least)
            yield replace(reading, rounding_limit=rounding_limit(products))

    def _reading(self, match: Match, condition: Condition, abstain: str, blocked: str, typical: float) -> Reading:
        layout, name = self.layout(match), match.port.name
        expected, got = condition.reference64.outputs[match.key], condition.port64.outputs.get(name)
        if got is None or not layout.fits(expected.shape, got.shape):
            due = crossed_shape(expected.shape, layout.channels_first)
            mismatch = f"got {None if got is None else got.shape}, expected {due}"
            return Reading(match.key, condition.name, match, scale(expected), 0.0, mismatch=mismatch, abstain=abstain)
        values = (expected, got, condition.isolated.outputs.get(name))
        values32 = (condition.reference32.outputs[match.key], condition.port32.outputs[name])
        return _compared(match.key, condition.name, match, layout, values, values32, typical, (abstain, blocked))

    def _output(
        self, number: int, expected: Array, condition: Condition, abstain: str, blocked: str, typical: float
    ) -> Reading:
        name = OUTPUT if len(condition.reference64.result) == 1 else f"{OUTPUT} {number}"
        results = condition.port64.result
        got = results[number] if number < len(results) else None
        layout = None if got is None else self.output_layout(number, expected, got)
        if got is None or layout is None:
            mismatch = f"got {None if got is None else got.shape}, expected {expected.shape}"
            return Reading(name, condition.name, None, scale(expected), 0.0, mismatch=mismatch, abstain=abstain)
        values = (expected, got, condition.isolated.result[number])
        values32 = (condition.reference32.result[number], condition.port32.result[number])
        return _compared(name, condition.name, None, layout, values, values32, typical, (abstain, blocked))

    def output_layout(self, number: int, expected: Array, got: Array) -> Layout | None:
        """How a network output crosses; None if no layout turns one shape into the other."""
        if number in self.comparison.layouts.results:
            return self.comparison.layouts.results[number]
        candidates = fitting(expected.shape, got.shape, self.comparison.layouts.mirrored)
        ends = self.comparison.ends[number] if number < len(self.comparison.ends) else []
        last = self.comparison.layouts.outputs[ends[0]] if ends else None
        if last is not None and last.order is None and not last.channels_first:
            candidates.reverse()
        return next(iter(candidates), None)


def _compared(
    key: str,
    condition: str,
    match: Match | None,
    layout: Layout,
    values: tuple[Array, Array, Array | None],
    values32: tuple[Array, Array],
    typical: float,
    abstain: tuple[str, str],
) -> Reading:
    expected, chained, isolated = values
    got = layout.to_reference(chained)
    expected32, got32 = values32[0].astype(np.float64), layout.to_reference(values32[1]).astype(np.float64)
    limit = float64_limit(expected, expected32, typical)
    return Reading(
        key,
        condition,
        match,
        scale(expected),
        limit,
        chained=difference(got, expected, limit),
        isolated=None if isolated is None else difference(layout.to_reference(isolated), expected, limit),
        own_rounding=own_rounding(expected, expected32, typical),
        port_rounding=difference(got32, got).absolute,
        apart32=difference(got32, expected32).absolute,
        abstain=abstain[0],
        chain_abstain=abstain[1],
    )
