"""The rung ``shapes``: every output has the reference's shape, its axes in the port's order. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator

from parity.capture.steps import Step
from parity.checks.climbing import Outcome
from parity.checks.context import CheckContext
from parity.checks.messages import OUTPUTS, OUTPUTS_FIX, describe_shapes
from parity.match.alignment import Match
from parity.transfer.aligned_models import AlignedModels
from parity.verdict import Check, Finding, judge

OUTPUT = "output"
# kind -> the arguments of a torch layer that say what it takes, and what it returns
ARGUMENTS = {
    "dense": ("in_features", "out_features"),
    "conv": ("in_channels", "out_channels"),
    "conv-transpose": ("in_channels", "out_channels"),
}
SHAPE_FIX = "compare the settings of {} on both sides: stride, padding, kernel and number of features"


def shapes(context: CheckContext) -> Outcome:
    """Every layer's and every network output's shape; where the port stops, up to there."""
    models = context.models
    outcome = Outcome()
    if models.crash:
        _report_stop(models, outcome)
    for match in models.matching.matches:
        if match.reference.visible and not (models.crash and not match.port.output_shape):
            _judge_layer(models, match, outcome)
    if not models.crash:
        _judge_outputs(models, outcome)
    agree = all(check.judgement == "pass" for check in outcome.checks)
    outcome.message = f"{len(outcome.checks)} shapes agree" if agree else ""
    return outcome


def _judge_layer(models: AlignedModels, match: Match, outcome: Outcome) -> None:
    fits = _fits(models, match)
    message = ""
    if not fits:
        layout = models.layouts.outputs.get(match.key)
        shapes = match.port.output_shape, match.reference.output_shape
        message = f"{match.label}: {describe_shapes(*shapes, layout.channels_first if layout else None)}"
        if not any(finding.kind == "output-shape" for finding in outcome.findings):
            names = match.port.name, match.key
            fix = SHAPE_FIX.format(match.port.name)
            outcome.findings.append(Finding("output-shape", *names, message, fix, "shapes", named=False))
    outcome.checks.append(Check("shapes", match.key, "output", judge(fits), message=message))


def _fits(models: AlignedModels, match: Match) -> bool:
    """Whether the shapes correspond in the layout that was found; after a crash none was, and sizes must do."""
    if models.crash:
        return sorted(match.reference.output_shape) == sorted(match.port.output_shape)
    layout = models.layouts.outputs.get(match.key)
    return layout is not None and layout.fits(match.reference.output_shape, match.port.output_shape)


def _report_stop(models: AlignedModels, outcome: Outcome) -> None:
    """Where the port stopped, with which error, and why if its layers were built for other inputs."""
    ran = [step.name for step in models.port_trace.steps if step.output_shape]
    match = next((m for m in models.matching.matches if m.port.name == models.stopped), None)
    place = f"in {models.stopped}" if models.stopped else f"after {ran[-1]}" if ran else "before its first layer"
    layer, key = models.stopped or (ran[-1] if ran else "port"), match.key if match else ""
    message = f"the port stops {place}: {models.crash}"
    outcome.checks.append(Check("shapes", key or layer, "run", "fail", message=message))
    built_otherwise = list(_other_sizes(models, match)) if match else []
    if built_otherwise:
        text = f"{match.label if match else layer}: {', '.join(what for what, _ in built_otherwise)}; {message}"
        fix = f"build {layer} with {', '.join(due for _, due in built_otherwise)}"
        outcome.findings.append(Finding("channels", layer, key, text, fix, "shapes"))
        return
    above = "compare the shapes of the layers before it on both sides, and mend the first that differs"
    first = "hold what it does with its input, and the input's shape and layout, against the reference's first layer"
    fix = above if any(m.port.output_shape for m in models.matching.matches) else first
    outcome.findings.append(Finding("numeric", layer, key, message, fix, "shapes", named=False))


def _other_sizes(models: AlignedModels, match: Match) -> Iterator[tuple[str, str]]:
    """``(got and expected, what is due)`` of each number of inputs or outputs for which a layer was not built."""
    reference, port = match.reference, match.port
    if reference.kind not in ARGUMENTS or not {"kernel"} <= reference.shapes.keys() & port.shapes.keys():
        return
    due = models.layouts.weight_transform(match).shape("kernel", reference.shapes["kernel"])
    got = tuple(port.shapes["kernel"])
    if due is None or len(due) != len(got):
        return
    groups = _groups(reference), _groups(port)
    axes = (0, 1) if reference.kind == "conv-transpose" else (1, 0)
    for place, (argument, axis) in enumerate(zip(ARGUMENTS[reference.kind], axes, strict=True)):
        shared = groups if axis == 1 else (1, 1)
        expected, held = due[axis] * shared[0], got[axis] * shared[1]
        if expected != held:
            what = "takes" if place == 0 else "returns"
            unit = "features" if reference.kind == "dense" else "channels"
            yield f"it {what} {held} {unit}, expected {expected}", f"{argument}={expected}"


def _groups(step: Step) -> int:
    return int(step.attributes.get("groups", 1) or 1)


def _judge_outputs(models: AlignedModels, outcome: Outcome) -> None:
    expected, got = models.reference_trace.result, models.port_trace.result
    if len(expected) != len(got):
        message = OUTPUTS.format(len(got), len(expected))
        outcome.checks.append(Check("shapes", OUTPUT, "count", "fail", message=message))
        outcome.findings.append(Finding("output-count", OUTPUT, OUTPUT, message, OUTPUTS_FIX, "shapes"))
        return
    for number, (a, b) in enumerate(zip(expected, got, strict=True)):
        fits = models.output_layout(number, a, b) is not None
        message = "" if fits else f"output {number}: {describe_shapes(b.shape, a.shape)}"
        outcome.checks.append(Check("shapes", OUTPUT, f"output {number}", judge(fits), message=message))
        if not fits and not outcome.findings:
            fix = "compare what each side does behind its last layer: reshaping, pooling, axes that are kept or dropped"
            outcome.findings.append(Finding("output-shape", OUTPUT, OUTPUT, message, fix, "shapes", named=False))
