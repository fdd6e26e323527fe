"""Hypotheses about activations: another slope, another function, or one that was not recorded. Plain NumPy."""

from __future__ import annotations

import numpy as np

from parity.diagnosis.between.functions import RELATED, code, speak
from parity.diagnosis.evidence import FUNCTIONS, Evidence, Explanation, own_function
from parity.numerics.reference_ops.activations import torch_code


def activation_slope(evidence: Evidence) -> Explanation:
    """Another slope of a leaky ReLU."""
    if evidence.kind != "activation" or evidence.got is None or evidence.got.shape != evidence.layer_input.shape:
        return None
    negative = evidence.layer_input < 0
    if not negative.any() or "slope" not in evidence.settings and evidence.settings["function"] != "relu":
        return None
    slope = float(np.median(evidence.got[negative] / evidence.layer_input[negative]))
    if not slope or not evidence.equals(np.where(negative, slope * evidence.layer_input, evidence.layer_input)):
        return None
    expected = evidence.settings.get("slope", 0.0)
    return f"the port's slope is {slope:.6g}, the reference's {expected:g}", f"set negative_slope={expected:g}"


def activation_form(evidence: Evidence) -> Explanation:
    """Another form of the same function: exact, tanh or quick GELU, either hard sigmoid or hard silu."""
    if evidence.kind != "activation" or not evidence.reference_is(evidence.predict()):
        return None
    own = own_function(evidence)
    for name in (name for name, family in RELATED.items() if family == RELATED.get(own) and name != own):
        if evidence.agrees(evidence.predict(function=name)):
            return f"the port computes {speak(name)}, the reference {speak(own)}", f"use {torch_code(own)}"
    return None


def activation_kind(evidence: Evidence) -> Explanation:
    """Another activation function, in this layer or unrecorded between it and the one before."""
    if evidence.kind == "activation":
        for name in FUNCTIONS:
            if evidence.agrees(evidence.predict(function=name)):
                return f"the port computes {speak(name)}, the reference {_function(evidence)}", _use(evidence)
        return None
    return _unrecorded_activation(evidence)


def _unrecorded_activation(evidence: Evidence) -> Explanation:
    """Another function than the reference's between this layer and the one before."""
    steps = evidence.reference_trace.steps
    place = next(i for i, step in enumerate(steps) if step.name == evidence.match.key)
    before = [step for step in steps[max(place - 3, 0) : place] if step.kind == "activation"]
    alone = {step.name for step in evidence.matching.only_reference}
    unmatched = [step for step in before if step.name in alone]
    inputs = {"": evidence.layer_input}
    inputs |= {step.attributes["function"]: evidence.reference_trace.inputs.get(step.name) for step in unmatched}
    for expected, x in inputs.items():
        if x is None:
            continue
        for name, function in FUNCTIONS.items():
            if (
                name != expected
                and not (name == "identity" and not expected)
                and evidence.agrees(evidence.predict(function(x)))
            ):
                what = "no activation" if name == "identity" else name
                return f"the port feeds it through {what} where the reference has {expected or 'none'}", (
                    f"apply {torch_code(expected)} before {evidence.match.port.name}"
                    if expected
                    else f"remove {what} before it"
                )
    return None


def _function(evidence: Evidence) -> str:
    slope = evidence.settings.get("slope")
    return speak(own_function(evidence)) + (f"({slope:g})" if slope is not None else "")


def _use(evidence: Evidence) -> str:
    own, slope = own_function(evidence), evidence.settings.get("slope")
    return f"use F.{own}(x, {slope:g})" if slope is not None else code(own).replace("apply", "use", 1)
