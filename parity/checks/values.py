"""The rungs that judge values: padding and forward. Plain NumPy."""

from __future__ import annotations

import numpy as np

from parity.capture.steps import Step, Trace
from parity.checks.context import CheckContext
from parity.checks.measurements import Condition, Reading
from parity.checks.registry import Outcome
from parity.diagnosis.evidence import FIT, FUNCTIONS, Evidence
from parity.diagnosis.explain import explain
from parity.match.alignment import Match
from parity.numerics.difference import TINY, Difference, difference
from parity.numerics.spectral_norm import effective
from parity.verdict import Check, Finding, judge

Array = np.ndarray
Amounts = list[tuple[int, int]] | None
CONVOLUTIONS = ("conv", "conv-transpose")
STOPPED = "the port does not run to its end: {}"


def padding(context: CheckContext) -> Outcome:
    """Which rows and columns each convolution really pads or crops, told by its values, equal on both sides."""
    outcome = Outcome()
    if context.comparison.crash:
        return Outcome(message=STOPPED.format(context.comparison.crash))
    condition = context.measurements.conditions[0]
    readings = {r.key: r for r in context.measurements.readings if r.condition == condition.name}
    for match in context.comparison.matching.matches:
        if match.reference.kind not in CONVOLUTIONS or match.key not in readings or (match.key, "kernel") not in (
            context.comparison.weights
        ):  # fmt: skip
            continue
        if readings[match.key].abstain:
            check = Check("padding", match.key, "amounts", "abstain", message=readings[match.key].abstain)
            outcome.checks.append(check)
            continue
        evidence = evidence_for(context, match, condition)
        if evidence is None:
            continue
        own = amounts(evidence, evidence.expected)
        agrees = readings[match.key].isolated
        same = agrees is not None and agrees.absolute <= readings[match.key].limit
        other = own if same else amounts(evidence, evidence.got) if evidence.got is not None else None
        if other is None and [f.kind for f in explain(evidence, "padding")] == ["spectral-norm"]:
            other = own  # the values are explained by another kernel, padded alike
        context.paddings[match.key] = (own, other)
        outcome.checks.append(_padding_check(match, own, other, same))
        if not same and own is not None and other != own:
            outcome.findings += [
                f for f in explain(evidence, "padding") if f.kind in ("padding-alignment", "output-padding")
            ]
    judged = [check for check in outcome.checks if check.judgement != "abstain"]
    outcome.message = f"{len(judged)} convolutions measured" if judged else "the network has no convolution"
    return outcome


def _padding_check(match: Match, own: Amounts, other: Amounts, same: bool) -> Check:
    name = f"{match.label}: "
    if own is None:
        return Check(
            "padding", match.key, "amounts", "abstain", message=name + "no amount explains the reference's values"
        )
    if same or own == other:
        return Check("padding", match.key, "amounts", "pass", message=f"{name}{brief(own)} on both sides")
    if other is None:
        message = f"{name}reference {brief(own)}; no amount explains the port's values"
        return Check("padding", match.key, "amounts", "fail", message=message)
    return Check("padding", match.key, "amounts", "fail", message=f"{name}got {brief(other)}, expected {brief(own)}")


def brief(found: Amounts) -> str:
    """Amounts per axis, written once if all axes agree."""
    if not found:
        return "unknown"
    return str(tuple(found[0])) if len({tuple(pair) for pair in found}) == 1 else str([tuple(pair) for pair in found])


def amounts(evidence: Evidence, values: Array) -> Amounts:
    """The padding (or crop) per edge that explains ``values``, measured with the reference's kernel and input."""
    return evidence.amounts(values)


def evidence_for(context: CheckContext, match: Match, condition: Condition) -> Evidence | None:
    """What the diagnosis may look at for one layer; None where the reference's input was not recorded."""
    given = logical_input(condition.reference64, match.reference)
    expected = condition.reference64.outputs.get(match.key)
    if given is None or expected is None:
        return None
    layout = context.measurements.layout(match)
    got = condition.isolated.outputs.get(match.port.name)
    crossed = None
    if got is not None:
        crossed = layout.to_reference(got) if got.ndim == expected.ndim or layout.order is not None else None
    comparison = context.comparison
    weights = {slot: comparison.weights[match.key, slot] for slot in match.reference.shapes}
    weights = computing(match.reference, weights, condition.training)
    values = (given, expected, crossed, weights)
    return Evidence(match, *values, condition.training, comparison.matching, condition.reference64)


def computing(step: Step, weights: dict[str, Array], training: bool) -> dict[str, Array]:
    """The weights that a layer computes with: a spectrally normalised kernel, with the kept one as ``original``."""
    if "spectral_norm" not in step.attributes:
        return weights
    kernel = effective(weights["kernel"], weights, step.kind, step.attributes, training)
    return {**weights, "original": weights["kernel"], **({} if kernel is None else {"kernel": kernel})}


def logical_input(trace: Trace, step: Step) -> Array | None:
    """The layer's input before any explicit padding layers right in front of it."""
    place = next(i for i, other in enumerate(trace.steps) if other.name == step.name)
    given = trace.inputs.get(step.name)
    shape = step.input_shape if given is None else given.shape
    for earlier in reversed(trace.steps[:place]):
        if earlier.kind != "padding" or earlier.output_shape != shape:
            break
        given, shape = trace.inputs.get(earlier.name), earlier.input_shape
    return given


def forward(context: CheckContext) -> Outcome:
    """Every layer's output, chained and isolated, in float64; then float32 against measured rounding."""
    if context.comparison.crash:
        message = STOPPED.format(context.comparison.crash)
        return Outcome([Check("forward", "output", "run", "fail", message=message)], message=message)
    outcome = Outcome()
    measurements = context.measurements
    for condition in measurements.conditions:
        if condition.refused:
            judgement = judge(False, not condition.broken)
            outcome.checks.append(Check("forward", "output", condition.name, judgement, message=condition.refused))
    for reading in measurements.readings:
        outcome.checks += _forward_checks(reading)
    outcome.findings = list(_forward_findings(context, measurements.readings))
    names = [condition.name for condition in measurements.conditions if not condition.refused]
    modes = "" if measurements.mode_dependent else " (no layer depends on training mode)"
    outcome.message = f"{len({r.key for r in measurements.readings})} values under: {'; '.join(names)}{modes}"
    return outcome


def _forward_checks(reading: Reading) -> list[Check]:
    if reading.mismatch:
        judgement = judge(False, reading.abstain)
        return [Check("forward", reading.key, f"shape, {reading.condition}", judgement, message=reading.mismatch)]
    relative = 1 / max(reading.scale, TINY)
    checks = []
    for what, found, abstain in (
        ("chained", reading.chained, reading.chain_abstain),
        ("isolated", reading.isolated, reading.abstain),
    ):
        if found is None:
            continue
        judgement = judge(found.absolute <= reading.limit, abstain)
        message = abstain or ("" if judgement == "pass" else describe(found, reading.condition))
        checks.append(
            Check(
                "forward",
                reading.key,
                f"{what}, {reading.condition}",
                judgement,
                found.absolute * relative,
                reading.limit * relative,
                "relative",
                message,
            )  # fmt: skip
        )
    if reading.rounding is not None and not reading.chain_abstain:
        judgement = judge(reading.rounding <= reading.rounding_limit)
        message = "" if judgement == "pass" else f"{reading.rounding:.3g} times the rounding of float32: not rounding"
        checks.append(
            Check(
                "forward",
                reading.key,
                f"float32, {reading.condition}",
                judgement,
                reading.rounding,
                reading.rounding_limit,
                "x rounding",
                message,
            )  # fmt: skip
        )
    return checks


def describe(found: Difference, condition: str = "") -> str:
    """A difference in words: how far, how many, where, both values."""
    where = f" ({condition})" if condition else ""
    if not found.finite:
        return f"NaN or infinity at {list(found.worst)}: got {found.got}, expected {found.expected}{where}"
    return (
        f"values differ: max |Δ| {found.absolute:.3g}, {found.relative:.2g} relative, {found.mismatched:.0%} of them; "
        f"worst at {list(found.worst)}: got {found.got:.6g}, expected {found.expected:.6g}{where}"
    )


def _forward_findings(context: CheckContext, readings: list[Reading]) -> list[Finding]:
    findings: list[Finding] = []
    seen: set[str] = set()
    conditions = {condition.name: condition for condition in context.measurements.conditions}
    for reading in readings:
        alone = reading.isolated
        if reading.key in seen or reading.abstain or alone is None or alone.absolute <= reading.limit:
            continue
        seen.add(reading.key)
        if reading.match is None:
            findings.append(_output_finding(context, reading, conditions[reading.condition]))
            continue
        evidence = evidence_for(context, reading.match, conditions[reading.condition])
        named = explain(evidence, "forward") if evidence is not None else []
        findings += named or [_numeric(context, reading)]
    return findings


def _output_finding(context: CheckContext, reading: Reading, condition: Condition) -> Finding:
    assert reading.isolated is not None
    number = int(reading.key.split()[-1]) if " " in reading.key else 0
    expected, got = condition.reference64.result[number], condition.isolated.result[number]
    if expected.ndim == 2 and expected.shape == got.shape:
        order = np.argsort(np.argsort(expected[0], kind="stable"), kind="stable")
        moved = got[:, np.argsort(got[0], kind="stable")][:, order]
        if difference(moved, expected).absolute <= reading.limit:
            return Finding(
                "flatten-order", "output", "output",
                "output: the same values in another order: channels first in the port, last in the reference",
                "permute to (N, H, W, C) before flattening: x.permute(0, 2, 3, 1).flatten(1)", "forward",
            )  # fmt: skip
    layout = context.measurements.output_layout(number, expected, got)
    last = [context.comparison.matching.matches[-1]] if context.comparison.matching.matches else []
    last = [m for m in context.comparison.matching.matches if m.key in context.comparison.ends[number]] or last
    named = _last_activation(expected, layout.to_reference(got)) if layout is not None and last else None
    if named is None:
        return _numeric(context, reading)
    return Finding(
        "activation-kind", last[0].port.name, last[0].key, f"{last[0].port.name}: {named[0]}", named[1], "forward"
    )


def _last_activation(expected: Array, got: Array) -> tuple[str, str] | None:
    """What was left out or added between the last layer and the output, if it is one activation."""
    with np.errstate(all="ignore"):
        for name, function in FUNCTIONS.items():
            if difference(function(got), expected).relative <= FIT:
                return f"the port's output lacks the {name} that the reference ends with", f"apply {name} to it"
            if difference(got, function(expected)).relative <= FIT:
                return f"the port's output went through {name}, the reference's did not", f"remove the {name}"
    return None


def _numeric(context: CheckContext, reading: Reading) -> Finding:
    assert reading.isolated is not None
    matches = context.comparison.matching.matches
    place = len(matches) if reading.match is None else matches.index(reading.match)
    before = matches[place - 1].port.name if place else "the input"
    layer = reading.match.port.name if reading.match else reading.key
    message = f"{layer}: shapes agree, {describe(reading.isolated, reading.condition)}"
    fix = f"no hypothesis fits: compare {layer}, and whatever runs between {before} and it, on both sides"
    return Finding("numeric", layer, reading.key, message, fix, "forward")
