"""The rung ``padding``: which rows and columns each convolution pads or crops, measured. Plain NumPy."""

from __future__ import annotations

from parity.checks.climbing import Amounts, Outcome
from parity.checks.context import CheckContext
from parity.checks.layer_evidence import gather_evidence
from parity.checks.measurements import LayerMeasurement
from parity.checks.messages import FED_BY, STOPPED, describe_amounts
from parity.diagnosis.evidence import Evidence
from parity.diagnosis.explain import explain
from parity.match.alignment import Match
from parity.verdict import Check

CONVOLUTIONS = ("conv", "conv-transpose")
PADDING_KINDS = ("padding-alignment", "output-padding")


def padding(context: CheckContext) -> Outcome:
    """The amounts that explain each side's values, which must be equal."""
    models = context.models
    if models.crash:
        return Outcome(message=STOPPED.format(models.crash))
    outcome = Outcome()
    condition = context.measurements.conditions[0]
    measured = {layer.key: layer for layer in context.measurements.layers if layer.condition == condition.name}
    for match in models.matching.matches:
        kernel = match.reference.kind in CONVOLUTIONS and (match.key, "kernel") in models.weights
        if not kernel or match.key not in measured:
            continue
        layer = measured[match.key]
        reason = layer.abstain or FED_BY.format(layer.fed_by_wrong_shape) * bool(layer.fed_by_wrong_shape)
        if reason:
            outcome.checks.append(Check("padding", match.key, "amounts", "abstain", message=reason))
            continue
        evidence = gather_evidence(models, match, condition)
        if evidence is not None:
            _judge(match, layer, evidence, outcome)
    judged = [check for check in outcome.checks if check.judgement != "abstain"]
    outcome.message = f"{len(judged)} convolutions measured" if judged else "the network has no convolution"
    return outcome


def _judge(match: Match, layer: LayerMeasurement, evidence: Evidence, outcome: Outcome) -> None:
    own = evidence.own_amounts
    same = layer.isolated is not None and layer.isolated.absolute <= layer.limit
    other = own if same else evidence.amounts(evidence.got) if evidence.got is not None else None
    if other is None and [f.kind for f in explain(evidence, "padding")] == ["spectral-norm"]:
        other = own  # the values are explained by another kernel, padded alike
    outcome.paddings[match.key] = (own, other)
    outcome.checks.append(_check(match, own, other, same))
    if not same and own is not None and other != own:
        outcome.findings += [finding for finding in explain(evidence, "padding") if finding.kind in PADDING_KINDS]


def _check(match: Match, own: Amounts, other: Amounts, same: bool) -> Check:
    if own is None:
        message = f"{match.label}: no amount explains the reference's values"
        return Check("padding", match.key, "amounts", "abstain", message=message)
    expected = describe_amounts(own)
    if same or own == other:
        message = f"{match.label}: {expected} on both sides"
        return Check("padding", match.key, "amounts", "pass", message=message)
    if other is None:
        message = f"{match.label}: reference {expected}; the port's values differ by more than padding"
        return Check("padding", match.key, "amounts", "abstain", message=message)
    message = f"{match.label}: got {describe_amounts(other)}, expected {expected}"
    return Check("padding", match.key, "amounts", "fail", message=message)
