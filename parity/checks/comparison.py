"""Comparing the port's values with the reference's, layer by layer, while the port runs or afterwards. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from parity.capture.steps import ELEMENTWISE, Trace
from parity.checks.conditions import Condition
from parity.checks.layer_measurement import OUTPUT, LayerMeasurement, SameConstants
from parity.checks.messages import OUTPUTS, describe_shapes
from parity.checks.rounded_constants import run_with_same_constants
from parity.checks.single_precision import BEHIND, COARSE, SinglePrecision, single_precision
from parity.match.alignment import Match
from parity.numerics.difference import Difference, difference, scale
from parity.numerics.tolerance import (
    FLOAT64_ROUNDOFF,
    HALF_ROUNDOFF,
    NUDGE,
    PRECISION_RATIO,
    SLACK,
    float64_limit,
    own_rounding,
    rounding_limit,
    shown_rounding,
    typical_rounding,
)

Array = np.ndarray
SATURATED = 0.25  # of the scale: values that move so far no longer move in proportion


def compared(condition: Condition) -> list[LayerMeasurement]:
    """Every layer and output under one condition, from runs whose values were kept."""
    comparison = Comparison(condition, condition.reference64, condition.reference32)
    for trace, take in (
        (condition.port64, comparison.take_chained),
        (condition.isolated, comparison.take_isolated),
        (condition.port32, comparison.take_single),
    ):
        for name, value in trace.outputs.items():
            take(name, value)
    return comparison.layers()


def compare_with_same_constants(condition: Condition) -> SameConstants | None:
    """The same with the reference's constants in the port, whose float64 runs are made again; None if it has them."""
    same = run_with_same_constants(condition)
    if same is None:
        return None
    traces = {**condition.traces, "port64": same.port64, "isolated": same.isolated}
    return SameConstants(compared(replace(condition, traces=traces, isolated_result=same.isolated.result)), same.note)


@dataclass(frozen=True)
class Expected:
    """The reference's values of one layer or output in both precisions, and what follows from them.

    ``limit`` is the absolute float64 limit, ``chain_limit`` that of the port's own run, ``own_rounding`` the absolute
    rounding, ``products`` the most products that a value sums in any layer so far.
    """

    values: Array
    rounded: Array
    scale: float
    limit: float
    chain_limit: float
    own_rounding: float
    products: int

    @property
    def coarse(self) -> bool:
        """Whether float32 keeps fewer digits than half precision, as behind many batch norms of few values."""
        return self.own_rounding > HALF_ROUNDOFF * self.scale > 0


class Comparison:
    """The differences of every layer under one condition.

    The port's outputs are taken by the names of its layers, in the order chained, isolated, float32; of an output that
    is taken twice the last counts. With ``keep`` False only those outputs are held whose float64 values are not the
    reference's: in place of any other, the reference's stand where the rounding of float32 is measured.
    """

    def __init__(self, condition: Condition, exact: Trace, rounded: Trace, keep: bool = True):
        self.condition, self.models, self._keep = condition, condition.models, keep
        self._matches = {match.port.name: match for match in self.models.matching.matches if match.reference.visible}
        self._layers, self._outputs = self._expectations(exact, rounded)
        self._got: dict[str, Array] = {}
        self._chained: dict[str, Difference] = {}
        self._isolated: dict[str, Difference] = {}
        self._single: dict[str, SinglePrecision] = {}

    def take_chained(self, name: str, got: Array) -> None:
        """Take an output of the port's own run."""
        found = self._taken(name, got, self._chained)
        if found is not None:
            differs = found[0].absolute > self._layers[self._matches[name].key].chain_limit
            self._got.pop(name, None)
            if self._keep or differs:
                self._got[name] = found[1] if self._keep else np.array(found[1])

    def take_isolated(self, name: str, got: Array) -> None:
        """Take an output of the port's run on the reference's values."""
        self._taken(name, got, self._isolated)

    def take_single(self, name: str, got: Array) -> None:
        """Take an output of the port's float32 run."""
        self._single.pop(name, None)
        if name in self._chained:
            match = self._matches[name]
            expected, layout = self._layers[match.key], self.models.layouts.outputs[match.key]
            if not layout.fits(expected.values.shape, got.shape):
                return
            exact = self._got.get(name, expected.values)
            self._single[name] = single_precision(
                (expected.values, expected.rounded), (exact, layout.to_reference(got))
            )

    def _taken(self, name: str, got: Array, table: dict[str, Difference]) -> tuple[Difference, Array] | None:
        """Enter the difference of an output; None if it is no matched layer's or has another shape."""
        table.pop(name, None)
        match = self._matches.get(name)
        if match is None:
            return None
        expected, layout = self._layers[match.key], self.models.layouts.outputs[match.key]
        if not layout.fits(expected.values.shape, got.shape):
            return None
        moved = layout.to_reference(got)
        table[name] = difference(moved, expected.values, expected.limit)
        return table[name], moved

    def alike(self) -> frozenset[str]:
        """The reference's names of the layers whose port computes the reference's values from the same input."""
        names = {name: match.key for name, match in self._matches.items()}
        return frozenset(
            names[name] for name, found in self._isolated.items() if found.absolute <= self._layers[names[name]].limit
        )

    def layers(self) -> list[LayerMeasurement]:
        """The measurements in the reference's order, then those of the outputs."""
        return list(self._measured())

    def _measured(self) -> Iterator[LayerMeasurement]:
        models, edge = self.models, ""
        for match in self._matches.values():
            layer = self._layer(match)
            layer = replace(layer, float32_abstain=layer.float32_abstain or edge)
            products = self._layers[match.key].products
            yield self._judgeable(layer, match, models.matching.sources.get(match.key, ()), products)
            edge = edge or (BEHIND.format(match.key) if layer.float32_abstain else "")
        for number, expected in enumerate(self._outputs):
            layer = self._output(number, expected)
            layer = replace(layer, float32_abstain=layer.float32_abstain or edge)
            ends = [models.ends[number]] if number < len(models.ends) else []
            yield self._judgeable(layer, None, ends, expected.products)
        results = self.condition.port64.result
        for number in range(len(self._outputs), len(results)):
            mismatch = OUTPUTS.format(len(results), len(self._outputs))
            yield LayerMeasurement(
                f"{OUTPUT} {number}", self.condition.name, None, number, 0.0, mismatch=mismatch,
                training=self.condition.training,
            )  # fmt: skip

    def _layer(self, match: Match) -> LayerMeasurement:
        expected, layout, name = self._layers[match.key], self.models.layouts.outputs[match.key], match.port.name
        layer = LayerMeasurement(match.key, self.condition.name, match, None, expected.scale)
        chained = self._chained.get(name)
        if chained is None:
            shape = self.condition.port64.shapes.get(name)
            return replace(layer, mismatch=describe_shapes(shape, expected.values.shape, layout.channels_first))
        return _with_differences(layer, expected, chained, self._isolated.get(name), self._single[name])

    def _output(self, number: int, expected: Expected) -> LayerMeasurement:
        condition, results = self.condition, self.condition.port64.result
        name = OUTPUT if len(self._outputs) == 1 else f"{OUTPUT} {number}"
        got = results[number] if number < len(results) else None
        layout = None if got is None else self.models.output_layout(number, expected.values, got)
        layer = LayerMeasurement(name, condition.name, None, number, expected.scale)
        if got is None or layout is None:
            if got is None:
                return replace(layer, mismatch=OUTPUTS.format(len(results), len(self._outputs)))
            return replace(layer, mismatch=describe_shapes(got.shape, expected.values.shape))
        exact, isolated = (layout.to_reference(x) for x in (got, condition.isolated_result[number]))
        single = single_precision(
            (expected.values, expected.rounded), (exact, layout.to_reference(condition.port32.result[number]))
        )
        chained, alone = (difference(x, expected.values, expected.limit) for x in (exact, isolated))
        return _with_differences(layer, expected, chained, alone, single)

    def _judgeable(
        self, layer: LayerMeasurement, match: Match | None, sources: Iterable[Iterable[str]], products: int
    ) -> LayerMeasurement:
        """The measurement with the limit of its rounding, and with the reasons why it cannot be judged by itself."""
        models, forced = self.models, self.condition.forced
        matched = {other.key for other in self._matches.values()}
        unforced = [name for names in sources for name in names if name in matched and name not in forced]
        return replace(
            layer,
            rounding_limit=rounding_limit(products),
            abstain=models.unmatched.unknown_input(match),
            chain_abstain="" if layer.mismatch else models.unmatched.unknown_input(match, upstream=True),
            fed_by_wrong_shape=unforced[0] if unforced else "",
            isolated=None if unforced else layer.isolated,
            training=self.condition.training,
        )

    def _expectations(self, exact: Trace, rounded: Trace) -> tuple[dict[str, Expected], list[Expected]]:
        """What is expected of every layer, and of every output.

        Each one's rounding counts as at least the network's typical and the previous layer's, relative to its scale.
        """
        typical = typical_rounding(
            (exact.outputs[match.key], rounded.outputs[match.key]) for match in self._matches.values()
        )
        layers: dict[str, Expected] = {}
        inherited, faint, products = 0.0, 0.0, 1
        for match in self.models.matching.matches:
            products, key = max(products, match.reference.products), match.key
            if not match.reference.visible:
                continue
            values = exact.outputs[key], rounded.outputs[key]
            if match.reference.kind in ELEMENTWISE and not scale(values[0]):
                faint = max(faint, _input_rounding(exact.inputs.get(key), rounded.inputs.get(key)))
            layers[key] = one = _expected(*values, max(typical, inherited), faint, products)
            inherited = one.own_rounding / one.scale if one.scale else inherited
            faint = 0.0 if one.scale else one.own_rounding
        results = zip(exact.result, rounded.result, strict=True)
        outputs = [_expected(*values, max(typical, inherited), faint, products) for values in results]
        if any(one.coarse for one in (*layers.values(), *outputs)):
            nudged = self._nudged()
            places = len(layers)
            layers = {key: _widened(one, nudged.outputs.get(key), places) for key, one in layers.items()}
            outputs = [_widened(*pair, places) for pair in zip(outputs, nudged.result, strict=True)]
        return layers, outputs

    def _nudged(self) -> Trace:
        """The reference's float64 run on inputs that are changed by about :data:`NUDGE`."""
        models, generator = self.models, np.random.default_rng(self.models.seed)
        changed = [
            x * (1 + NUDGE * generator.uniform(-1, 1, x.shape)) if x.dtype.kind == "f" else x
            for x in self.condition.inputs
        ]
        with models.reference_in("float64"):
            return models.reference.run(changed, self.condition.training)


def _widened(expected: Expected, nudged: Array | None, places: int) -> Expected:
    """With a limit from how far a nudge of the inputs moves the values, where float32's rounding does not show it.

    The inputs are nudged once; a run rounds at each of ``places`` layers, and independent roundings add as their root.
    What even a nudge throws about is not judged by itself: each layer still is, on the reference's values.
    """
    if nudged is None or not expected.coarse:
        return expected
    moved = difference(nudged, expected.values).absolute
    grown = SLACK * places**0.5 * moved * FLOAT64_ROUNDOFF / NUDGE
    chain_limit = max(expected.limit, grown if moved < SATURATED * expected.scale else np.inf)
    return replace(expected, chain_limit=chain_limit)


def _expected(values: Array, rounded: Array, typical: float, faint: float, products: int) -> Expected:
    """``faint`` is the (absolute) rounding of an array that is all zero, which shows none itself."""
    size = scale(values)
    least = 0.0 if size else faint
    limit = max(float64_limit(values, rounded, typical), SLACK * least * PRECISION_RATIO)
    return Expected(values, rounded, size, limit, limit, max(own_rounding(values, rounded, typical), least), products)


def _input_rounding(exact: Array | None, rounded: Array | None) -> float:
    """The (absolute) rounding of a layer's input, which is also that of an activation that maps all of it to zero."""
    return 0.0 if exact is None or rounded is None else shown_rounding(exact, rounded)


def _with_differences(
    layer: LayerMeasurement,
    expected: Expected,
    chained: Difference,
    isolated: Difference | None,
    single: SinglePrecision,
) -> LayerMeasurement:
    coarse = COARSE.format(expected.own_rounding / expected.scale) if expected.coarse else ""
    return replace(
        layer,
        limit=expected.limit,
        chain_limit=expected.chain_limit,
        chained=chained,
        isolated=isolated,
        own_rounding=expected.own_rounding,
        port_rounding=single.port_rounding,
        float32_difference=single.apart,
        float32_abstain=single.abstain or coarse,
        note=single.note,
    )
