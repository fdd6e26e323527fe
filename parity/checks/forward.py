"""The rung ``forward``: every layer's values, in float64 and against the rounding of float32. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from parity.checks.arrangement import wrong_by_itself
from parity.checks.between_layers import Origin, find_origin, padded_input
from parity.checks.climbing import Outcome
from parity.checks.conditions import Condition, forced_outputs
from parity.checks.context import CheckContext
from parity.checks.layer_evidence import gather_evidence
from parity.checks.measurements import OUTPUT, LayerMeasurement, Measurements
from parity.checks.messages import OUTPUTS, OUTPUTS_FIX, STOPPED, TF32, TF32_FIX, describe
from parity.diagnosis.between import explain_between
from parity.diagnosis.explain import explain
from parity.numerics.difference import TINY, difference
from parity.transfer.aligned_models import AlignedModels
from parity.verdict import Check, Finding, judge

Array = np.ndarray
DROPS_FIX = (
    "drop as the reference does: the same values (nn.Dropout, whole samples or channels) at the same rate, or none"
)
BEFORE_THE_LAYER = (
    "activation-kind", "scale-factor", "axes-exchanged", "axis-reversed", "channel-order", "flatten-order",
    "batchnorm-epsilon", "layernorm-epsilon", "groupnorm-epsilon",
)  # fmt: skip
"""Kinds of findings that say what runs before the layer at which they show."""
ORDER = "layer-order"


def forward(context: CheckContext) -> Outcome:
    """Every layer's output, chained and isolated, in float64; then float32 against measured rounding."""
    models = context.models
    if models.crash:
        message = STOPPED.format(models.crash)
        return Outcome([Check("forward", OUTPUT, "run", "fail", message=message)], message=message)
    outcome = Outcome()
    measurements = context.measurements
    for condition in measurements.conditions:
        if condition.refused:
            judgement = judge(False, not condition.broken)
            outcome.checks.append(
                Check(
                    "forward", OUTPUT, condition.name, judgement, message=condition.refused,
                    training=condition.training,
                )
            )  # fmt: skip
    explained = _explained(measurements)
    outcome.findings = list(explained.values())
    outcome.findings += _tensor_float_32(models, measurements)
    for layer in measurements.layers:
        outcome.checks += _checks(layer, explained.get(layer.key))
    names = "; ".join(condition.name for condition in measurements.running)
    modes = "" if "training" in models.modes or models.brief else " (training mode changes no value)"
    if models.one_sample:
        modes += f" (one sample: the network computes {models.values_per_sample / 1e6:.0f} million values of each)"
    notes = "".join(f"; {note}" for note in dict.fromkeys(layer.note for layer in measurements.layers) if note)
    outcome.message = f"{len({layer.key for layer in measurements.layers})} values under: {names}{modes}{notes}"
    return outcome


def _tensor_float_32(models: AlignedModels, measurements: Measurements) -> list[Finding]:
    """That float32 differs where products are rounded to TensorFloat-32 and nothing differs in float64."""
    settings = models.port.tensor_float_32()
    coarse = [layer for layer in measurements.layers if (layer.rounding or 0) > layer.rounding_limit]
    if not settings or not coarse or any(wrong_by_itself(layer) for layer in measurements.layers):
        return []
    first = coarse[0].match
    names = (first.port.name, first.key) if first else (OUTPUT, OUTPUT)
    return [Finding("precision", *names, TF32.format(first.label if first else OUTPUT, ", ".join(settings)),
                    TF32_FIX.format(" and ".join(settings)), "forward")]  # fmt: skip


def _checks(layer: LayerMeasurement, finding: Finding | None) -> Iterator[Check]:
    """The checks of one layer under one condition; a difference that begins elsewhere is put down there."""
    if layer.mismatch:
        judgement = judge(False, layer.abstain)
        yield Check(
            "forward", layer.key, f"shape, {layer.condition}", judgement, message=layer.mismatch,
            chained=bool(layer.fed_by_wrong_shape), training=layer.training,
        )  # fmt: skip
        return
    relative = 1 / max(layer.scale, TINY)
    for what, found, limit, abstain, chained in (
        ("chained", layer.chained, layer.chain_limit, layer.chain_abstain, True),
        ("isolated", layer.isolated, layer.limit, layer.abstain, False),
    ):
        if found is None:
            continue
        judgement = judge(found.absolute <= limit, abstain)
        message = abstain or (layer.note if judgement == "pass" else describe(found, layer.condition))
        begins = finding.reference_layer or finding.layer if finding and judgement == "fail" and not chained else ""
        yield Check(
            "forward", begins or layer.key, f"{what}, {layer.condition}", judgement,
            found.absolute * relative, limit * relative, "relative", message, chained, layer.training,
        )  # fmt: skip
    if layer.rounding is not None and not layer.chain_abstain:
        judgement = judge(layer.rounding <= layer.rounding_limit, layer.float32_abstain)
        beyond = f"{layer.rounding:.3g} times the rounding of float32: not rounding"
        message = layer.float32_abstain or (layer.note if judgement == "pass" else beyond)
        yield Check(
            "forward", layer.key, f"float32, {layer.condition}", judgement,
            layer.rounding, layer.rounding_limit, "x rounding", message, training=layer.training,
        )  # fmt: skip


def _explained(measurements: Measurements) -> dict[str, Finding]:
    """The finding of each layer (or output) that is wrong by itself, at the first condition that shows it."""
    found: dict[str, Finding] = {}
    conditions = {condition.name: condition for condition in measurements.conditions}
    for layer in measurements.layers:
        if layer.key not in found and wrong_by_itself(layer):
            found[layer.key] = _finding(layer, conditions[layer.condition])
    return found


def _finding(layer: LayerMeasurement, condition: Condition) -> Finding:
    """The cause: of the layer itself, of what runs before it, or unknown."""
    models = condition.models
    if layer.match is None and len(condition.port64.result) != len(condition.reference64.result):
        message = OUTPUTS.format(len(condition.port64.result), len(condition.reference64.result))
        return Finding("output-count", OUTPUT, OUTPUT, f"{message} ({layer.condition})", OUTPUTS_FIX, "forward")
    if layer.match is None and not layer.mismatch and layer.output is not None:
        reordered = _reordered_output(layer, layer.output, condition)
        if reordered is not None:
            return reordered
    origin = find_origin(layer, condition)
    if layer.match is None and not (origin.layer or origin.reference_layer):
        origin = _at_last_layer(models, layer, origin)
    if layer.training and _draws_numbers(layer, condition):
        where = origin.layer or origin.reference_layer
        text = f"{where}: the port draws random numbers in training, the reference does not"
        return Finding("dropout-rate", origin.layer, origin.reference_layer, text, DROPS_FIX, "forward")
    evidence = gather_evidence(models, layer.match, condition) if layer.match is not None else None
    named = explain(evidence, "forward") if evidence is not None else []
    lone = origin.reference_layer not in ("", layer.key)
    if named and named[0].kind == ORDER and lone:
        named = []  # what the port leaves out changes the order of what is left
    if named and (origin.inside or named[0].kind not in BEFORE_THE_LAYER):
        return named[0]
    places = [(origin.layer, origin.between), *(() if named else origin.single)]
    if evidence is not None and origin.inside:
        places += [(origin.layer, between) for between in padded_input(evidence, condition)]
    for port_name, between in places:
        explanation = explain_between(between)
        if explanation is not None:
            kind, message, fix = explanation
            return Finding(kind, port_name, origin.reference_layer, message, fix, "forward")
    if named and lone:
        return replace(named[0], layer=origin.layer, reference_layer=origin.reference_layer)
    if named:
        return named[0]
    return _unexplained(models, layer, origin)


def _draws_numbers(layer: LayerMeasurement, condition: Condition) -> bool:
    """Whether the port computes something else each time, fed the same values: other than of dropout, that is seen."""
    models, first = condition.models, condition.isolated
    values = forced_outputs(models, condition.reference64, condition.port64)
    with models.precision("float64"):
        again = models.port.run(models.to_port(condition.inputs), True, replace=values)
    name = layer.match.port.name if layer.match is not None else ""
    one, other = ([trace.outputs[name]] if name in trace.outputs else trace.result for trace in (first, again))
    pairs = zip(one, other, strict=False)
    return any(a.shape == b.shape and difference(a, b).absolute > layer.limit for a, b in pairs)


def _at_last_layer(models: AlignedModels, layer: LayerMeasurement, origin: Origin) -> Origin:
    """What happens to an output behind the last layer, where nothing that stands there has a name."""
    matches = models.matching.matches
    ends = models.ends[layer.output] if layer.output is not None and layer.output < len(models.ends) else []
    last = next((match for match in matches if match.key in ends), matches[-1] if matches else None)
    if last is None:
        return replace(origin, layer=layer.key, reference_layer=layer.key)
    return replace(origin, layer=last.port.name, reference_layer=last.key)


def _reordered_output(layer: LayerMeasurement, number: int, condition: Condition) -> Finding | None:
    """Another output in this one's place, or flat outputs that are the expected ones in another order."""
    expected, got = condition.reference64.result[number], condition.isolated.result[number]
    for other, value in enumerate(condition.reference64.result):
        layout = condition.models.output_layout(number, value, got) if other != number else None
        if layout is not None and difference(layout.to_reference(got), value).absolute <= layer.limit:
            return Finding(
                "output-order", layer.key, layer.key,
                f"the port returns in place {number} what the reference returns in place {other}",
                "return the outputs in the reference's order (dictionaries are compared by sorted key)", "forward",
            )  # fmt: skip
    if not _reordered(got, expected, layer.limit):
        return None
    return Finding(
        "flatten-order", OUTPUT, OUTPUT,
        "output: the same values in another order: channels first in the port, last in the reference",
        "permute to (N, H, W, C) before flattening: x.permute(0, 2, 3, 1).flatten(1)", "forward",
    )  # fmt: skip


def _reordered(got: Array, expected: Array, limit: float) -> bool:
    """Whether flat outputs are the expected ones in another order."""
    if expected.ndim != 2 or expected.shape != got.shape:
        return False
    order = np.argsort(np.argsort(expected[0], kind="stable"), kind="stable")
    moved = got[:, np.argsort(got[0], kind="stable")][:, order]
    return difference(moved, expected).absolute <= limit


def _unexplained(models: AlignedModels, layer: LayerMeasurement, origin: Origin) -> Finding:
    """A difference that no hypothesis reproduces."""
    matches = models.matching.matches
    place = len(matches) if layer.match is None else matches.index(layer.match)
    before = matches[place - 1].port.name if place else "the input"
    name = origin.layer or origin.reference_layer
    what = layer.mismatch or (describe(layer.isolated, layer.condition) if layer.isolated else "")
    message = f"{name}: {'' if layer.mismatch else 'shapes agree, '}{what}"
    reader = layer.match.port.name if layer.match else layer.key
    where = name if origin.inside else f"what runs between {before} and {reader}"
    fix = f"no hypothesis fits: compare {where} on both sides"
    return Finding("numeric", origin.layer, origin.reference_layer, message, fix, "forward", named=False)
