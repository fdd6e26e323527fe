"""The rung ``forward``: every layer's values, in float64 and against the rounding of float32. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from parity.checks.climbing import Outcome
from parity.checks.conditions import Condition
from parity.checks.context import CheckContext
from parity.checks.layer_evidence import gather_evidence
from parity.checks.measurements import OUTPUT, LayerMeasurement
from parity.checks.messages import STOPPED, describe
from parity.diagnosis.evidence import FIT, FUNCTIONS
from parity.diagnosis.explain import explain
from parity.numerics.difference import TINY, difference
from parity.transfer.aligned_models import AlignedModels
from parity.verdict import Check, Finding, judge

Array = np.ndarray


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
            outcome.checks.append(Check("forward", OUTPUT, condition.name, judgement, message=condition.refused))
    for layer in measurements.layers:
        outcome.checks += _checks(layer)
    outcome.findings = list(_findings(context))
    names = "; ".join(condition.name for condition in measurements.running)
    modes = "" if models.mode_dependent else " (no layer depends on training mode)"
    notes = "".join(f"; {note}" for note in dict.fromkeys(layer.note for layer in measurements.layers) if note)
    outcome.message = f"{len({layer.key for layer in measurements.layers})} values under: {names}{modes}{notes}"
    return outcome


def _checks(layer: LayerMeasurement) -> Iterator[Check]:
    if layer.mismatch:
        judgement = judge(False, layer.abstain)
        yield Check("forward", layer.key, f"shape, {layer.condition}", judgement, message=layer.mismatch)
        return
    relative = 1 / max(layer.scale, TINY)
    for what, found, abstain, chained in (
        ("chained", layer.chained, layer.chain_abstain, True),
        ("isolated", layer.isolated, layer.abstain, False),
    ):
        if found is None:
            continue
        judgement = judge(found.absolute <= layer.limit, abstain)
        message = abstain or (layer.note if judgement == "pass" else describe(found, layer.condition))
        yield Check(
            "forward", layer.key, f"{what}, {layer.condition}", judgement,
            found.absolute * relative, layer.limit * relative, "relative", message, chained,
        )  # fmt: skip
    if layer.rounding is not None and not layer.chain_abstain:
        judgement = judge(layer.rounding <= layer.rounding_limit, layer.float32_abstain)
        beyond = f"{layer.rounding:.3g} times the rounding of float32: not rounding"
        message = layer.float32_abstain or (layer.note if judgement == "pass" else beyond)
        yield Check(
            "forward", layer.key, f"float32, {layer.condition}", judgement,
            layer.rounding, layer.rounding_limit, "x rounding", message,
        )  # fmt: skip


def _findings(context: CheckContext) -> Iterator[Finding]:
    """One for each layer that is wrong on the reference's input, at the first condition that shows it."""
    done: set[str] = set()
    conditions = {condition.name: condition for condition in context.measurements.conditions}
    for layer in context.measurements.layers:
        if layer.key in done or layer.abstain or layer.isolated is None or layer.isolated.absolute <= layer.limit:
            continue
        done.add(layer.key)
        condition = conditions[layer.condition]
        if layer.output is not None:
            yield _output_finding(context.models, layer, layer.output, condition)
        elif layer.match is not None:
            evidence = gather_evidence(context.models, layer.match, condition)
            named = explain(evidence, "forward") if evidence is not None else []
            yield from named or [_numeric(context.models, layer)]


def _output_finding(models: AlignedModels, layer: LayerMeasurement, number: int, condition: Condition) -> Finding:
    """What happens between the last layers and a network output: an order, an activation, or unknown."""
    expected, got = condition.reference64.result[number], condition.isolated.result[number]
    if _reordered(got, expected, layer.limit):
        return Finding(
            "flatten-order", OUTPUT, OUTPUT,
            "output: the same values in another order: channels first in the port, last in the reference",
            "permute to (N, H, W, C) before flattening: x.permute(0, 2, 3, 1).flatten(1)", "forward",
        )  # fmt: skip
    matches = models.matching.matches
    last = next((m for m in matches if m.key in models.ends[number]), matches[-1] if matches else None)
    layout = models.output_layout(number, expected, got)
    named = _last_activation(expected, layout.to_reference(got)) if layout is not None and last else None
    if named is None or last is None:
        return _numeric(models, layer)
    message, fix = named
    return Finding("activation-kind", last.port.name, last.key, f"{last.port.name}: {message}", fix, "forward")


def _reordered(got: Array, expected: Array, limit: float) -> bool:
    """Whether flat outputs are the expected ones in another order."""
    if expected.ndim != 2 or expected.shape != got.shape:
        return False
    order = np.argsort(np.argsort(expected[0], kind="stable"), kind="stable")
    moved = got[:, np.argsort(got[0], kind="stable")][:, order]
    return difference(moved, expected).absolute <= limit


def _last_activation(expected: Array, got: Array) -> tuple[str, str] | None:
    """What was left out or added between the last layer and the output, if it is one activation."""
    if not expected.dtype.kind == got.dtype.kind == "f":
        return None
    with np.errstate(all="ignore"):
        for name, function in FUNCTIONS.items():
            if difference(function(got), expected).relative <= FIT:
                return f"the port's output lacks the {name} that the reference ends with", f"apply {name} to it"
            if difference(got, function(expected)).relative <= FIT:
                return f"the port's output went through {name}, the reference's did not", f"remove the {name}"
    return None


def _numeric(models: AlignedModels, layer: LayerMeasurement) -> Finding:
    """The finding for a difference that no hypothesis explains."""
    assert layer.isolated is not None
    matches = models.matching.matches
    place = len(matches) if layer.match is None else matches.index(layer.match)
    before = matches[place - 1].port.name if place else "the input"
    name = layer.match.port.name if layer.match else layer.key
    message = f"{name}: shapes agree, {describe(layer.isolated, layer.condition)}"
    fix = f"no hypothesis fits: compare {name}, and whatever runs between {before} and it, on both sides"
    return Finding("numeric", name, layer.key, message, fix, "forward")
