"""The rung ``structure``: the same layers in the same order, with the same settings. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from parity.capture.steps import Step
from parity.checks.climbing import Outcome
from parity.checks.context import CheckContext
from parity.checks.torch_advice import layer_code, setting_advice
from parity.match.alignment import Match
from parity.numerics.reference_ops.activations import FUNCTIONS
from parity.numerics.spectral_norm import OVERWRITTEN
from parity.transfer.aligned_models import AlignedModels
from parity.verdict import Check, Finding, Scope

# setting -> finding kind; what to write in torch stands in parity.checks.torch_advice
ATTRIBUTES = {
    "kernel_size": "kernel-size",
    "pool_size": "pooling-size",
    "strides": "stride",
    "dilation": "dilation",
    "groups": "groups",
    "bias": "missing-bias",
    "center": "missing-bias",
    "scale": "numeric",
    "epsilon": "batchnorm-epsilon",
    "momentum": "batchnorm-momentum",
    "tracked": "batchnorm-statistics",
    "function": "activation-kind",
    "approximate": "activation-form",
    "slope": "activation-slope",
    "mode": "resize-mode",
    "factor": "resize-mode",
    "rate": "dropout-rate",
    "dropped": "dropout-rate",
    "always": "dropout-rate",
    "scaled": "dropout-rate",
    "count_padding": "pooling-count",
    "spectral_norm": "spectral-norm",
    "power_iterations": "spectral-norm",
    "spectral_axis": "spectral-norm",
    "spectral_order": "spectral-norm",
    "features": "numeric",
    "operation": "merge-operation",
}
KIND_OVERRIDES = {
    ("layernorm", "epsilon"): "layernorm-epsilon",
    ("groupnorm", "epsilon"): "groupnorm-epsilon",
    ("pool", "mode"): "pooling-mode",
    ("global-pool", "mode"): "pooling-mode",
}
BY_NAME = "inputs are matched by name: the port takes them in the order {}, the reference in the order {}"
STRUCTURAL = ("dropout",)
VALUES_AND_GRADIENTS = ("forward", "gradients")
NOTHING: tuple[str, ...] = ()
# setting -> the rungs whose values show whether a difference matters; dropout is disabled while values are measured
SHOWN_BY = {
    "rate": NOTHING,
    "dropped": NOTHING,
    "always": NOTHING,
    "scaled": NOTHING,
    "momentum": ("state",),
    "tracked": ("forward", "state"),
    "power_iterations": ("forward", "state"),
}
TRAINING_ONLY = ("rate", "dropped", "scaled", "momentum")
DOMAIN = np.linspace(-50.0, 50.0, 2001)  # of an activation: beyond, every function is a straight line
ABSENT = {
    "spectral_norm": "none",
    "scaled": True,
}  # what a setting is that a layer does not mention, though its counterpart does


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
                    training=attribute in TRAINING_ONLY, shown_by=_shown_by(attribute, expected, got),
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
    renamed = named_inputs(context.models)
    outcome.message = f"{len(matching.matches)} layers matched{left_out}" + (f"; {renamed}" if renamed else "")
    return outcome


def _shown_by(attribute: str, expected: Any, got: Any) -> tuple[str, ...]:
    """The rungs that show whether a difference matters; none for two functions that differ anywhere.

    No probe reaches every value: what is squeezed to a few units never passes the 6 of a ReLU6.
    """
    if attribute == "function" and expected in FUNCTIONS and got in FUNCTIONS:
        with np.errstate(all="ignore"):
            same = np.allclose(FUNCTIONS[expected](DOMAIN), FUNCTIONS[got](DOMAIN))
        return VALUES_AND_GRADIENTS if same else NOTHING
    return SHOWN_BY.get(attribute, VALUES_AND_GRADIENTS)


def named_inputs(models: AlignedModels) -> str:
    """That inputs are matched by name, where the port takes them in another order; else empty."""
    reference, named = models.reference.input_names(), models.port.inputs_by_name
    taken = [name for name in models.port.input_names() if name in named]
    return BY_NAME.format(", ".join(taken), ", ".join(reference)) if named and taken != reference else ""


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
    kind = ATTRIBUTES.get(attribute, "numeric")
    kind = KIND_OVERRIDES.get((match.reference.kind, attribute), kind)
    return Finding(
        kind,
        match.port.name,
        match.key,
        f"{match.label}: {attribute} is {got}, expected {expected}{_in_torch(attribute, got, expected)}",
        setting_advice(match.reference.kind, attribute, expected),
        "structure",
        {"attribute": attribute, "got": got, "expected": expected},
        named=kind != "numeric",
    )


def _in_torch(attribute: str, got: Any, expected: Any) -> str:
    """The values as the port's source has them, where torch counts the other way round."""
    if attribute != "momentum" or None in (got, expected):
        return ""
    return f" (Keras's; in torch {1 - got:g}, expected {1 - expected:g})"


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
        code = layer_code(step.kind, step.attributes, step.input_shape)
        add = "add it to the port" + (f": {code}" if code else f", as {step.class_name} computes it")
        fix = add if in_reference else "remove it from the port"
        names = ("", step.name) if in_reference else (step.name, "")
        dropout = step.kind in STRUCTURAL
        evidence = {"settings": step.attributes, **({"cause": f"{kind} {step.kind}"} if dropout else {})}
        outcome.findings.append(Finding(kind, *names, message, fix, "structure", evidence))
        outcome.checks.append(
            Check(
                "structure", step.name, kind, "fail", message=message, training=dropout,
                shown_by=NOTHING if dropout else VALUES_AND_GRADIENTS,
            )
        )  # fmt: skip
    else:
        message = f"{what} of the {here} has no visible counterpart; judged with the layer after it"
        outcome.checks.append(Check("structure", step.name, "absorbed", "pass", message=message))
