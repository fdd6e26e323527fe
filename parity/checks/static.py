"""The rungs that need no arithmetic: structure, weights, shapes. Plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.capture.steps import Step
from parity.checks.context import CheckContext
from parity.checks.registry import Outcome
from parity.match.alignment import Match
from parity.numerics.spectral_norm import KEPT, OVERWRITTEN
from parity.transfer.aligned_models import Comparison
from parity.verdict import Check, Finding, judge

# attribute -> (finding kind, fix); a kind of None means that the layer's own kind decides.
ATTRIBUTES: dict[str, tuple[str, str]] = {
    "kernel_size": ("kernel-size", "set kernel_size={0}"),
    "pool_size": ("kernel-size", "set kernel_size={0}"),
    "strides": ("stride", "set stride={0}"),
    "dilation": ("dilation", "set dilation={0}"),
    "groups": ("groups", "set groups={0}"),
    "bias": ("missing-bias", "set bias={0}"),
    "center": ("missing-bias", "give the normalisation an offset exactly where the reference has one (center={0})"),
    "scale": ("numeric", "give the normalisation a scale exactly where the reference has one (scale={0})"),
    "epsilon": ("batchnorm-epsilon", "set eps={0}; Keras's default is 1e-3, torch's 1e-5"),
    "momentum": ("batchnorm-momentum", "set momentum={torch_momentum:g}; torch's momentum is 1 - Keras's {0:g}"),
    "tracked": ("batchnorm-statistics", "set track_running_stats={0}"),
    "function": ("activation-kind", "use {0}"),
    "approximate": ("activation-kind", "set approximate={0}"),
    "slope": ("activation-slope", "set the slope to {0}"),
    "mode": ("resize-mode", "use mode {0}"),
    "factor": ("resize-mode", "resize by {0}"),
    "rate": ("dropout-rate", "set p={0}"),
    "per_channel": ("dropout-rate", "drop whole channels exactly where the reference does (per_channel={0})"),
    "always": ("dropout-rate", "pass training=self.training to F.dropout, which drops in evaluation mode too"),
    "count_padding": ("pooling-count", "set count_include_pad={0}"),
    "spectral_norm": ("spectral-norm", "{spectral}"),
    "power_iterations": ("spectral-norm", "set n_power_iterations={0}"),
    "spectral_axis": (
        "spectral-norm",
        "normalise the matrix [{0}, rest]: leave dim to torch's spectral_norm (1 for transposed convolutions, else 0)",
    ),
    "spectral_order": (
        "spectral-norm",
        "move {0}: torch.nn.utils.parametrizations.spectral_norm moves u, then v, the older "
        "torch.nn.utils.spectral_norm v, then u",
    ),
    "features": ("numeric", "give the layer {0} output features"),
    "operation": ("numeric", "join the branches by {0}"),
}
KIND_OVERRIDES = {("layernorm", "epsilon"): "numeric", ("groupnorm", "epsilon"): "numeric", ("pool", "mode"): "numeric",
                  ("global-pool", "mode"): "numeric"}  # fmt: skip
STRUCTURAL = ("dropout",)
ABSENT = {"spectral_norm": "none"}  # what a setting is that a layer does not mention, though its counterpart does
SPECTRAL_FIXES = {
    KEPT: "wrap the layer in torch.nn.utils.parametrizations.spectral_norm, and copy kernel, u and v",
    OVERWRITTEN: (
        "keras.layers.SpectralNormalization overwrites its kernel at each call in training, its gradient ignores sigma "
        "and of a transposed convolution it takes the matrix [inputs, rest]; no torch layer does: give the reference a "
        "layer that keeps its kernel (tf_impl/spectral.py)"
    ),
    "none": "remove the spectral normalisation from this layer of the port",
}


def structure(context: CheckContext) -> Outcome:
    """Same layers in the same order with the same settings."""
    outcome = Outcome()
    matching = context.comparison.matching
    for match in matching.matches:
        differing = list(_differences(match))
        for attribute, expected, got in differing:
            finding = _attribute_finding(match, attribute, expected, got)
            outcome.findings.append(finding)
            outcome.checks.append(Check("structure", match.key, attribute, "fail", message=finding.message))
        if not differing:
            outcome.checks.append(Check("structure", match.key, match.reference.kind, "pass"))
    for step in matching.only_reference:
        _alone(step, "reference", context.comparison, outcome)
    for step in matching.only_port:
        _alone(step, "port", context.comparison, outcome)
    outcome.message = f"{len(matching.matches)} layers matched"
    return outcome


def _differences(match: Match) -> Any:
    a, b = match.reference.attributes, match.port.attributes
    a, b = ({**{name: ABSENT[name] for name in ABSENT if name in other}, **own} for own, other in ((a, b), (b, a)))
    for attribute in a:
        if attribute in b and attribute not in ("padding", "rank") and not _equal(a[attribute], b[attribute]):
            if attribute == "momentum" and not a.get("tracked", True):
                continue
            if attribute == "spectral_order" and OVERWRITTEN in (a["spectral_norm"], b["spectral_norm"]):
                continue
            yield attribute, a[attribute], b[attribute]


def _equal(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a == b
    if isinstance(a, float) or isinstance(b, float):
        return isinstance(b, (int, float)) and bool(np.isclose(a, b, rtol=2.0**-23, atol=0))
    if isinstance(a, (list, tuple)) or isinstance(b, (list, tuple)):
        a, b = np.atleast_1d(a), np.atleast_1d(b)
        return a.size == b.size and bool((a == b).all()) or min(a.size, b.size) == 1 and len({*a, *b}) == 1
    return a == b


def _attribute_finding(match: Match, attribute: str, expected: Any, got: Any) -> Finding:
    kind, fix = ATTRIBUTES.get(attribute, ("numeric", "set {name}={0}"))
    kind = KIND_OVERRIDES.get((match.reference.kind, attribute), kind)
    spectral = SPECTRAL_FIXES.get(str(expected), "")
    torch_momentum = 1 - expected if attribute == "momentum" and expected is not None else 0.0
    return Finding(
        kind,
        match.port.name,
        match.key,
        f"{match.label}: {attribute} is {got}, expected {expected}",
        fix.format(expected, name=attribute, torch_momentum=torch_momentum, spectral=spectral),
        "structure",
        {"attribute": attribute, "got": got, "expected": expected},
    )


def _alone(step: Step, side: str, comparison: Comparison, outcome: Outcome) -> None:
    here, there = ("reference", "port") if side == "reference" else ("port", "reference")
    what = f"{step.name} ({step.kind.removeprefix('opaque:')})"
    if step.name in comparison.unmatchable:
        message = f"{what} of the {here}: {comparison.unmatchable[step.name]}; its {step.size:,} weights do not cross"
        outcome.checks.append(Check("structure", step.name, "unknown kind", "abstain", message=message))
    elif comparison.crash and side == "reference":
        message = f"{what} of the {here} was not reached: the {there} stopped ({comparison.crash})"
        outcome.checks.append(Check("structure", step.name, "not reached", "abstain", message=message))
    elif step.parametrised or step.kind in STRUCTURAL:
        kind = "missing-layer" if side == "reference" else "extra-layer"
        message = f"{what} of the {here} has no counterpart in the {there}"
        fix = f"add it to the port, {_settings(step)}" if side == "reference" else "remove it from the port"
        names = ("", step.name) if side == "reference" else (step.name, "")
        outcome.findings.append(Finding(kind, *names, message, fix, "structure", {"settings": step.attributes}))
        outcome.checks.append(Check("structure", step.name, kind, "fail", message=message))
    else:
        message = f"{what} of the {here} has no visible counterpart; judged with the layer after it"
        outcome.checks.append(Check("structure", step.name, "absorbed", "pass", message=message))


def _settings(step: Step) -> str:
    return ", ".join(f"{key}={value}" for key, value in step.attributes.items())


def weights(context: CheckContext) -> Outcome:
    """Every parameter crosses, none is left over, and what crossed comes back bit for bit."""
    comparison = context.comparison
    outcome = Outcome()
    blocked = {(conflict.reference_layer, conflict.slot): conflict for conflict in comparison.conflicts}
    for conflict in comparison.conflicts:
        name = conflict.reference_layer or conflict.layer
        judgement = judge(False, name in comparison.unmatchable or comparison.crash and not conflict.layer)
        outcome.checks.append(Check("weights", name, conflict.slot, judgement, message=conflict.message))
    count = 0
    with comparison.working("float64"):
        for match in comparison.matching.matches:
            crossing = comparison.layouts.crossing(match)
            for slot, value in ((s, comparison.weights[match.key, s]) for s in match.reference.shapes):
                if (match.key, slot) in blocked:
                    continue
                back = crossing.to_keras(slot, comparison.port.read(match.port, slot), match.reference.shapes[slot])
                same = back.shape == value.shape and bool((back == value).all())
                message = "" if same else f"{match.key}.{slot} does not come back as it was sent"
                outcome.checks.append(Check("weights", match.key, slot, judge(same), message=message))
            count += match.reference.size
    outcome.message = f"{count:,} parameters crossed and came back bit for bit"
    if comparison.enlivened:
        outcome.message += f"; {len(comparison.enlivened)} constant ones were given a spread first"
    return outcome


def shapes(context: CheckContext) -> Outcome:
    """Every layer's output has the reference's shape, axes carried across."""
    comparison = context.comparison
    outcome = Outcome()
    if comparison.crash:
        _stopped(comparison, outcome)
    for match in comparison.matching.matches:
        if not match.reference.visible or comparison.crash and not match.port.output_shape:
            continue
        layout = comparison.layouts.outputs.get(match.key)
        fits = layout is not None and layout.fits(match.reference.output_shape, match.port.output_shape)
        if comparison.crash:
            fits = sorted(match.reference.output_shape) == sorted(match.port.output_shape)
        message = "" if fits else (
            f"{match.label}: got {match.port.output_shape}, expected {match.reference.output_shape} "
            "(the reference's) with its channels moved"
        )  # fmt: skip
        outcome.checks.append(Check("shapes", match.key, "output", judge(fits), message=message))
    if not comparison.crash:
        _output_shapes(context, outcome)
    outcome.message = outcome.message or f"{len(outcome.checks)} shapes agree" * _all_pass(outcome)
    return outcome


def _stopped(comparison: Comparison, outcome: Outcome) -> None:
    """Where the port stopped, and what it said."""
    ran = [step.name for step in comparison.port_trace.steps if step.output_shape]
    match = next((m for m in comparison.matching.matches if m.port.name == comparison.stopped), None)
    layer, key = comparison.stopped or (ran[-1] if ran else "its first layer"), match.key if match else ""
    message = f"the port stops {'in' if comparison.stopped else 'after'} {layer}: {comparison.crash}"
    outcome.checks.append(Check("shapes", key or layer, "run", "fail", message=message))
    fix = "compare the shapes of the layers up to there (rows above) and mend the first that differs"
    outcome.findings.append(Finding("numeric", layer, key, message, fix, "shapes"))


def _all_pass(outcome: Outcome) -> bool:
    return all(check.judgement == "pass" for check in outcome.checks)


def _output_shapes(context: CheckContext, outcome: Outcome) -> None:
    expected, got = context.comparison.reference_trace.result, context.comparison.port_trace.result
    if len(expected) != len(got):
        message = f"the port returns {len(got)} outputs, expected {len(expected)}"
        outcome.checks.append(Check("shapes", "output", "count", "fail", message=message))
        return
    for number, (a, b) in enumerate(zip(expected, got, strict=True)):
        fits = context.measurements.output_layout(number, a, b) is not None
        message = (
            "" if fits else f"output {number}: got {b.shape}, expected {a.shape} (channels moved where it has any)"
        )
        outcome.checks.append(Check("shapes", "output", f"output {number}", judge(fits), message=message))
