"""The rung ``shapes``: every output has the reference's shape, its axes in the port's order. Plain NumPy."""

from __future__ import annotations

from parity.checks.climbing import Outcome
from parity.checks.context import CheckContext
from parity.match.alignment import Match
from parity.transfer.aligned_models import AlignedModels
from parity.verdict import Check, Finding, judge


def shapes(context: CheckContext) -> Outcome:
    """Every layer's and every network output's shape; where the port stops, up to there."""
    models = context.models
    outcome = Outcome()
    if models.crash:
        _report_stop(models, outcome)
    for match in models.matching.matches:
        if match.reference.visible and not (models.crash and not match.port.output_shape):
            fits = _fits(models, match)
            message = "" if fits else (
                f"{match.label}: got {match.port.output_shape}, expected {match.reference.output_shape} "
                "(the reference's) with its channels moved"
            )  # fmt: skip
            outcome.checks.append(Check("shapes", match.key, "output", judge(fits), message=message))
    if not models.crash:
        _judge_outputs(models, outcome)
    agree = all(check.judgement == "pass" for check in outcome.checks)
    outcome.message = f"{len(outcome.checks)} shapes agree" if agree else ""
    return outcome


def _fits(models: AlignedModels, match: Match) -> bool:
    """Whether the shapes correspond in the layout that was found; after a crash none was, and sizes must do."""
    if models.crash:
        return sorted(match.reference.output_shape) == sorted(match.port.output_shape)
    layout = models.layouts.outputs.get(match.key)
    return layout is not None and layout.fits(match.reference.output_shape, match.port.output_shape)


def _report_stop(models: AlignedModels, outcome: Outcome) -> None:
    """Where the port stopped, and with which error."""
    ran = [step.name for step in models.port_trace.steps if step.output_shape]
    match = next((m for m in models.matching.matches if m.port.name == models.stopped), None)
    layer, key = models.stopped or (ran[-1] if ran else "its first layer"), match.key if match else ""
    message = f"the port stops {'in' if models.stopped else 'after'} {layer}: {models.crash}"
    outcome.checks.append(Check("shapes", key or layer, "run", "fail", message=message))
    fix = "compare the shapes of the layers up to there (rows above) and mend the first that differs"
    outcome.findings.append(Finding("numeric", layer, key, message, fix, "shapes"))


def _judge_outputs(models: AlignedModels, outcome: Outcome) -> None:
    expected, got = models.reference_trace.result, models.port_trace.result
    if len(expected) != len(got):
        message = f"the port returns {len(got)} outputs, expected {len(expected)}"
        outcome.checks.append(Check("shapes", "output", "count", "fail", message=message))
        return
    for number, (a, b) in enumerate(zip(expected, got, strict=True)):
        fits = models.output_layout(number, a, b) is not None
        message = (
            "" if fits else f"output {number}: got {b.shape}, expected {a.shape} (channels moved where it has any)"
        )
        outcome.checks.append(Check("shapes", "output", f"output {number}", judge(fits), message=message))
