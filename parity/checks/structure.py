"""The rung ``structure``: the same layers in the same order, with the same settings. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from parity.capture.steps import Step
from parity.checks.climbing import Outcome
from parity.checks.context import CheckContext
from parity.match.alignment import Match
from parity.numerics.spectral_norm import KEPT, OVERWRITTEN
from parity.transfer.aligned_models import AlignedModels
from parity.verdict import Check, Finding, Scope

# setting -> (finding kind, fix)
ATTRIBUTES: dict[str, tuple[str, str]] = {
    "kernel_size": ("kernel-size", "set kernel_size={0}"),
    "pool_size": ("pooling-size", "set kernel_size={0}"),
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
    "operation": ("merge-operation", "join the branches by {0}"),
}
KIND_OVERRIDES = {
    ("layernorm", "epsilon"): "layernorm-epsilon",
    ("groupnorm", "epsilon"): "groupnorm-epsilon",
    ("pool", "mode"): "pooling-mode",
    ("global-pool", "mode"): "pooling-mode",
}
STRUCTURAL = ("dropout",)
VALUES_AND_GRADIENTS = ("forward", "gradients")
NOTHING: tuple[str, ...] = ()
# setting -> the rungs whose values show whether a difference matters; dropout is disabled while values are measured
SHOWN_BY = {
    "rate": NOTHING,
    "per_channel": NOTHING,
    "always": NOTHING,
    "momentum": ("state",),
    "tracked": ("forward", "state"),
    "power_iterations": ("forward", "state"),
}
TRAINING_ONLY = ("rate", "per_channel", "momentum")
ABSENT = {"spectral_norm": "none"}  # what a setting is that a layer does not mention, though its counterpart does
SPECTRAL_FIXES = {
    KEPT: "wrap the layer in torch.nn.utils.parametrizations.spectral_norm, and copy kernel, u and v",
    OVERWRITTEN: (
        "keras.layers.SpectralNormalization overwrites its kernel at each call in training, its gradient ignores sigma "
        "and of a transposed convolution it takes the matrix [inputs, rest]; no torch layer does: give the reference a "
        "layer that keeps its kernel (tf_impl/spectral_norm.py)"
    ),
    "none": "remove the spectral normalisation from this layer of the port",
}


def structure(context: CheckContext) -> Outcome:
    """Same layers in the same order with the same settings."""
    outcome = Outcome()
    matching = context.models.matching
    for match in matching.matches:
        differing = [found for found in _differences(match) if not _left_out(found[0], context.models.scope)]
        for attribute, expected, got in differing:
            finding = _attribute_finding(match, attribute, expected, got)
            outcome.findings.append(finding)
            outcome.checks.append(
                Check(
                    "structure", match.key, attribute, "fail", message=finding.message,
                    training=attribute in TRAINING_ONLY, shown_by=SHOWN_BY.get(attribute, VALUES_AND_GRADIENTS),
                )
            )  # fmt: skip
        if not differing:
            outcome.checks.append(Check("structure", match.key, match.reference.kind, "pass"))
    inference = context.models.scope == "inference"
    for step in (step for step in matching.only_reference if not (inference and step.kind in STRUCTURAL)):
        _judge_lone(step, True, context.models, outcome)
    for step in (step for step in matching.only_port if not (inference and step.kind in STRUCTURAL)):
        _judge_lone(step, False, context.models, outcome)
    left_out = "; dropout and momenta are left out, as only training sees them" if inference else ""
    outcome.message = f"{len(matching.matches)} layers matched{left_out}"
    return outcome


def _left_out(attribute: str, scope: Scope) -> bool:
    return scope == "inference" and attribute in TRAINING_ONLY


def _differences(match: Match) -> Iterator[tuple[str, Any, Any]]:
    """``(setting, expected, got)`` of each setting that both layers have and that differs."""
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
        named=kind != "numeric",
    )


def _judge_lone(step: Step, in_reference: bool, models: AlignedModels, outcome: Outcome) -> None:
    """A layer without a counterpart: unknown, not reached, missing, extra, or judged with the layer after it."""
    here, there = ("reference", "port") if in_reference else ("port", "reference")
    what = f"{step.name} ({step.class_name})"
    reason = models.unmatched.reasons.get(step.name)
    if reason is not None:
        message = f"{what} of the {here}: {reason}; its {step.size:,} weights do not cross"
        outcome.checks.append(Check("structure", step.name, "unknown kind", "abstain", message=message))
    elif models.crash and in_reference:
        message = f"{what} of the {here} was not reached: the {there} stopped ({models.crash})"
        outcome.checks.append(Check("structure", step.name, "not reached", "abstain", message=message))
    elif step.parametrised or step.kind in STRUCTURAL:
        kind = "missing-layer" if in_reference else "extra-layer"
        message = f"{what} of the {here} has no counterpart in the {there}"
        settings = _settings(step)
        add = "add it to the port" + (f": {settings}" if settings else "")
        fix = add if in_reference else "remove it from the port"
        names = ("", step.name) if in_reference else (step.name, "")
        outcome.findings.append(Finding(kind, *names, message, fix, "structure", {"settings": step.attributes}))
        dropout = step.kind in STRUCTURAL
        outcome.checks.append(
            Check(
                "structure", step.name, kind, "fail", message=message, training=dropout,
                shown_by=NOTHING if dropout else VALUES_AND_GRADIENTS,
            )
        )  # fmt: skip
    else:
        message = f"{what} of the {here} has no visible counterpart; judged with the layer after it"
        outcome.checks.append(Check("structure", step.name, "absorbed", "pass", message=message))


def _settings(step: Step) -> str:
    """A layer's settings, for the one who adds it."""
    return ", ".join(f"{key}={value}" for key, value in step.attributes.items()) or "which has no settings"
