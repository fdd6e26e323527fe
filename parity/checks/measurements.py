"""Differences of every layer's values under every condition, and how they stand to rounding. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from parity.capture.steps import ELEMENTWISE
from parity.checks.conditions import Condition
from parity.checks.messages import OUTPUTS, describe_shapes
from parity.checks.rounded_constants import with_same_constants
from parity.checks.single_precision import BEHIND, single_precision
from parity.match.alignment import Match
from parity.numerics.array_layouts import Layout
from parity.numerics.difference import Difference, difference, scale
from parity.numerics.tolerance import (
    PRECISION_RATIO,
    ROUNDING_LIMIT,
    SLACK,
    float64_limit,
    own_rounding,
    rounding_limit,
    shown_rounding,
    times_rounding,
    typical_rounding,
)
from parity.transfer.aligned_models import AlignedModels

Array = np.ndarray
OUTPUT = "output"


@dataclass(frozen=True)
class LayerMeasurement:
    """One layer (``match``) or one network output (``output``, its number) under one condition.

    Differences are in the reference's layout. ``limit`` is the absolute float64 limit. ``own_rounding`` and
    ``port_rounding`` are what each side shows between its own float32 and float64, ``float32_difference`` is the
    distance between both float32 runs, all absolute. ``mismatch`` says which shapes differ. ``abstain`` says why the
    layer cannot be judged on the reference's input, ``chain_abstain`` why not on its own upstream, ``float32_abstain``
    why not in float32; ``fed_by_wrong_shape`` names a layer before it whose output has another shape and cannot be
    replaced. ``note`` is to be said even if all is well.
    """

    key: str
    condition: str
    match: Match | None
    output: int | None
    scale: float
    limit: float = 0.0
    chained: Difference | None = None
    isolated: Difference | None = None
    own_rounding: float = 0.0
    port_rounding: float = 0.0
    float32_difference: float | None = None
    rounding_limit: float = ROUNDING_LIMIT
    mismatch: str = ""
    abstain: str = ""
    chain_abstain: str = ""
    fed_by_wrong_shape: str = ""
    training: bool = False
    float32_abstain: str = ""
    note: str = ""

    @property
    def beyond(self) -> bool:
        """Whether float64 differs by more than its limit, in the chain or in isolation."""
        return any(found is not None and found.absolute > self.limit for found in (self.chained, self.isolated))

    @property
    def within_float32(self) -> bool:
        """Whether nothing differs by more than float32 rounds: neither float64 nor float32."""
        apart = [found.absolute for found in (self.chained, self.isolated) if found is not None]
        apart += [] if self.float32_difference is None else [self.float32_difference]
        own = self.own_rounding, self.port_rounding, self.scale
        return all(times_rounding(one, *own) <= self.rounding_limit for one in apart)

    @property
    def rounding(self) -> float | None:
        """The float32 difference as a multiple of rounding: of the larger of both sides' own, or of the port's own
        rounding against the reference's, whichever is worse."""
        if self.float32_difference is None:
            return None
        return times_rounding(self.float32_difference, self.own_rounding, self.port_rounding, self.scale)


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
    layers = list(_compared_layers(condition))
    if not any(layer.beyond and layer.within_float32 for layer in layers):
        return layers
    same = with_same_constants(condition)
    if same is None:
        return layers
    again = _compared_layers(replace(condition, port64=same.port64, isolated=same.isolated))
    return [
        replace(new, note="; ".join(filter(None, (same.note, new.note))))
        if old.beyond and old.within_float32 and not new.beyond
        else old
        for old, new in zip(layers, again, strict=True)
    ]


def _compared_layers(condition: Condition) -> Iterator[LayerMeasurement]:
    """The layers in the reference's order, then the outputs.

    Each layer's rounding counts as at least the network's typical and the previous layer's, relative to its scale.
    """
    models, exact, rounded = condition.models, condition.reference64, condition.reference32
    keys = [match.key for match in models.matching.matches if match.reference.visible]
    typical = typical_rounding((exact.outputs[key], rounded.outputs[key]) for key in keys)
    inherited, faint, products, edge = 0.0, 0.0, 1, ""
    for match in models.matching.matches:
        products = max(products, match.reference.products)
        if not match.reference.visible:
            continue
        layer = _compared_layer(models, match, condition, max(typical, inherited), faint)
        inherited = layer.own_rounding / layer.scale if layer.scale else inherited
        faint = 0.0 if layer.scale else layer.own_rounding
        layer = replace(layer, float32_abstain=layer.float32_abstain or edge)
        yield _judgeable(layer, condition, match, models.matching.sources.get(match.key, ()), products)
        edge = edge or (BEHIND.format(match.key) if layer.float32_abstain else "")
    for number in range(len(exact.result)):
        layer = _compared_output(models, number, condition, max(typical, inherited), faint)
        layer = replace(layer, float32_abstain=layer.float32_abstain or edge)
        yield _judgeable(layer, condition, None, [models.ends[number]] if number < len(models.ends) else [], products)
    for number in range(len(exact.result), len(condition.port64.result)):
        mismatch = OUTPUTS.format(len(condition.port64.result), len(exact.result))
        yield LayerMeasurement(
            f"{OUTPUT} {number}", condition.name, None, number, 0.0, mismatch=mismatch, training=condition.training
        )


def _judgeable(
    layer: LayerMeasurement,
    condition: Condition,
    match: Match | None,
    sources: Iterable[Iterable[str]],
    products: int,
) -> LayerMeasurement:
    """The measurement with the limit of its rounding, and with the reasons why it cannot be judged by itself."""
    models = condition.models
    matched = {other.key for other in models.matching.matches if other.reference.visible}
    unforced = [name for names in sources for name in names if name in matched and name not in condition.forced]
    return replace(
        layer,
        rounding_limit=rounding_limit(products),
        abstain=models.unmatched.unknown_input(match),
        chain_abstain="" if layer.mismatch else models.unmatched.unknown_input(match, upstream=True),
        fed_by_wrong_shape=unforced[0] if unforced else "",
        isolated=None if unforced else layer.isolated,
        training=condition.training,
    )


def _compared_layer(
    models: AlignedModels, match: Match, condition: Condition, typical: float, faint: float
) -> LayerMeasurement:
    """``faint`` is the (absolute) rounding of the layer before, if all that it returns is zero."""
    layout, name = models.layouts.outputs[match.key], match.port.name
    expected, got = condition.reference64.outputs[match.key], condition.port64.outputs.get(name)
    layer = LayerMeasurement(match.key, condition.name, match, None, scale(expected))
    if got is None or not layout.fits(expected.shape, got.shape):
        shape = None if got is None else got.shape
        return replace(layer, mismatch=describe_shapes(shape, expected.shape, layout.channels_first))
    isolated = condition.isolated.outputs.get(name)
    rounded = condition.reference32.outputs[match.key], condition.port32.outputs[name]
    if not layer.scale and match.reference.kind in ELEMENTWISE:
        given = [trace.inputs.get(match.key) for trace in (condition.reference64, condition.reference32)]
        faint = max(faint, _input_rounding(*given))
    return _with_differences(layer, layout, (expected, got, isolated), rounded, typical, faint)


def _input_rounding(exact: Array | None, rounded: Array | None) -> float:
    """The (absolute) rounding of a layer's input, which is also that of an activation that maps all of it to zero."""
    return 0.0 if exact is None or rounded is None else shown_rounding(exact, rounded)


def _compared_output(
    models: AlignedModels, number: int, condition: Condition, typical: float, faint: float
) -> LayerMeasurement:
    expected, results = condition.reference64.result[number], condition.port64.result
    name = OUTPUT if len(condition.reference64.result) == 1 else f"{OUTPUT} {number}"
    got = results[number] if number < len(results) else None
    layout = None if got is None else models.output_layout(number, expected, got)
    layer = LayerMeasurement(name, condition.name, None, number, scale(expected))
    if got is None or layout is None:
        if got is None:
            return replace(layer, mismatch=OUTPUTS.format(len(results), len(condition.reference64.result)))
        return replace(layer, mismatch=describe_shapes(got.shape, expected.shape))
    rounded = condition.reference32.result[number], condition.port32.result[number]
    isolated = condition.isolated.result[number]
    return _with_differences(layer, layout, (expected, got, isolated), rounded, typical, faint)


def _with_differences(
    layer: LayerMeasurement,
    layout: Layout,
    exact: tuple[Array, Array, Array | None],
    rounded: tuple[Array, Array],
    typical: float,
    faint: float,
) -> LayerMeasurement:
    """The measurement of ``(reference, port, port isolated)`` in float64 and ``(reference, port)`` in float32.

    ``faint`` is the (absolute) rounding of an array that is all zero, which shows none itself.
    """
    least = 0.0 if layer.scale else faint
    expected, got, isolated = exact[0], layout.to_reference(exact[1]), exact[2]
    expected32, got32 = rounded[0], layout.to_reference(rounded[1])
    limit = max(float64_limit(expected, expected32, typical), SLACK * least * PRECISION_RATIO)
    single = single_precision((expected, expected32), (got, got32))
    return replace(
        layer,
        limit=limit,
        chained=difference(got, expected, limit),
        isolated=None if isolated is None else difference(layout.to_reference(isolated), expected, limit),
        own_rounding=max(own_rounding(expected, expected32, typical), least),
        port_rounding=single.port_rounding,
        float32_difference=single.apart,
        float32_abstain=single.abstain,
        note=single.note,
    )
