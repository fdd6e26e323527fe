"""The rungs of differentiation: gradients, and the penalty's double backward. Plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.capture.steps import STATISTICS
from parity.checks.context import CheckContext
from parity.checks.registry import Outcome
from parity.checks.values import STOPPED, describe
from parity.match.alignment import Match
from parity.numerics.difference import PRECISION_RATIO, SLACK, TINY, difference, float64_limit, scale, typical_rounding
from parity.verdict import Check, Finding, first_line, judge

Array = np.ndarray


def gradients(context: CheckContext) -> Outcome:
    """The gradient of a random projection of the output, by every parameter and by the input, in float64."""
    return _gradients(context, "gradients", penalty=False)


def penalty(context: CheckContext) -> Outcome:
    """The gradient of an input-gradient norm: a double backward, as WGAN-GP's penalty needs."""
    if all(x.dtype.kind != "f" for x in context.comparison.random):
        return Outcome(message="the inputs are integers: no gradient by them exists")
    return _gradients(context, "penalty", penalty=True)


def _gradients(context: CheckContext, rung: str, penalty: bool) -> Outcome:
    comparison = context.comparison
    outcome = Outcome()
    if comparison.crash:
        return Outcome(message=STOPPED.format(comparison.crash))
    expected_results, results = comparison.reference_trace.result, comparison.port_trace.result
    outputs = [
        context.measurements.output_layout(number, *pair)
        for number, pair in enumerate(zip(expected_results, results, strict=False))
    ]
    if None in outputs or len(expected_results) != len(results):
        return Outcome(message="the outputs have different shapes: no common scalar to differentiate")
    rng = np.random.default_rng([comparison.seed, 7])
    cotangents = [rng.standard_normal(x.shape) for x in expected_results]
    crossed = [layout.to_port(x) for layout, x in zip(outputs, cotangents, strict=True) if layout is not None]
    matches = [match for match in comparison.matching.matches if match.reference.parametrised]
    refused = {c.training: c.refused for c in reversed(context.measurements.conditions)}
    for mode in context.measurements.modes:
        training = mode == "training"
        if refused[training]:
            outcome.checks.append(Check(rung, "output", mode, "abstain", message=refused[training]))
            continue
        reference_arguments = (comparison.random, cotangents, [m.reference for m in matches], training, penalty)
        port_arguments = (comparison.to_port(comparison.random), crossed, [m.port for m in matches], training, penalty)
        try:
            with comparison.working("float64"):
                expected = comparison.reference.gradients(*reference_arguments)
            with comparison.working("float32"):
                rounded = comparison.reference.gradients(*reference_arguments)
        except LookupError as error:
            message = f"TensorFlow has no such derivative for the reference: {first_line(error)}"
            outcome.checks.append(Check(rung, "output", mode, "abstain", message=message))
            continue
        try:
            with comparison.working("float64"):
                got = comparison.port.gradients(*port_arguments)
        except ValueError as error:
            message = f"batch statistics refused: {first_line(error)}"
            outcome.checks.append(Check(rung, "output", mode, "abstain", message=message))
            continue
        except (RuntimeError, NotImplementedError) as error:
            if "is not implemented" in str(error):
                message = f"torch has no such derivative for the port: {first_line(error)}"
                outcome.checks.append(Check(rung, "output", mode, "abstain", message=message))
                continue
            message = f"the port cannot be differentiated where the reference can: {first_line(error)}"
            outcome.checks.append(Check(rung, "output", mode, "fail", message=message))
            fix = "look for operations without (double) backward, detach() and no_grad()"
            outcome.findings.append(Finding("numeric", "output", "output", message, fix, rung))
            continue
        judged = _judge(context, rung, mode, matches, expected, got, rounded)
        if penalty and any(check.judgement == "fail" for check in judged.checks):
            judged = _with_exact_moments(context, rung, mode, matches, reference_arguments, got, judged)
        outcome.checks += judged.checks
        outcome.findings += judged.findings
    found = [check for check in outcome.checks if check.judgement != "abstain"]
    outcome.message = f"{len(found)} gradients in float64" if found else "nothing could be differentiated"
    return outcome


def _judge(
    context: CheckContext, rung: str, mode: str, matches: list[Match], expected: Any, got: Any, rounded: Any
) -> Outcome:
    comparison, outcome = context.comparison, Outcome()
    blocked = {(conflict.reference_layer, conflict.slot) for conflict in comparison.conflicts}
    culprits = []
    typical = typical_rounding((expected[0][key], rounded[0][key]) for key in expected[0])
    opaque = any(r.chain_abstain for r in context.measurements.readings)
    for match in matches:
        crossing = comparison.layouts.crossing(match)
        # A bias before a normalisation has no gradient but the rounding of what the whole layer is handed back.
        reach = max((scale(expected[0][key]) for key in expected[0] if key[0] == match.key), default=0.0)
        floor = SLACK * PRECISION_RATIO * typical * reach
        for slot in match.reference.shapes:
            if slot in STATISTICS or (match.key, slot) in blocked:
                continue
            a, b = expected[0][match.key, slot], got[0][match.port.name, slot]
            b = crossing.to_keras(slot, b, match.reference.shapes[slot])
            limit = max(float64_limit(a, rounded[0][match.key, slot].astype(np.float64), typical), floor)
            check, message = _gradient_check(rung, match.key, f"{slot}, {mode}", a, b, limit, opaque)
            outcome.checks.append(check)
            if check.judgement == "fail":
                culprits.append((match, f"{match.port.name}.{slot}: gradient {message}", scale(b) == 0.0 < scale(a)))
    for number, (a, b, r) in enumerate(zip(expected[1], got[1], rounded[1], strict=True)):
        if a is None or b is None:
            continue
        layout = comparison.layouts.inputs[number]
        limit = float64_limit(a, r.astype(np.float64), typical)
        outcome.checks.append(
            _gradient_check(rung, f"input {number}", mode, a, layout.to_reference(b), limit, opaque)[0]
        )
    if culprits:
        outcome.findings.append(_gradient_finding(context, rung, culprits))
    return outcome


def _gradient_finding(context: CheckContext, rung: str, culprits: list[tuple[Match, str, bool]]) -> Finding:
    """Blame the layer where the backward pass broke.

    A cut in the backward pass leaves the layers before it without gradient, so the last one stands at the cut; a cut
    in the backward of the backward leaves those behind it without, so the one before the first of them does.
    """
    vanished = [culprit for culprit in culprits if culprit[2]]
    if rung == "penalty" and vanished:
        matches = context.comparison.matching.matches
        after = vanished[0][0]
        match = matches[max(matches.index(after) - 1, 0)]
        message = f"{match.port.name}: its double backward is lost: {vanished[0][1]}"
        fix = f"make the backward pass of {match.port.name} differentiable itself (no detach, no once_differentiable)"
        return Finding("numeric", match.port.name, match.key, message, fix, rung)
    match, message, gone = culprits[-1]
    fix = (
        "nothing arrives here in the port: look for detach(), no_grad() or requires_grad=False behind this layer"
        if gone
        else "compare the backward pass of this layer and of the ones after it (custom functions, in-place edits)"
    )
    return Finding("numeric", match.port.name, match.key, message, fix, rung)


def _with_exact_moments(
    context: CheckContext, rung: str, mode: str, matches: list[Match], arguments: Any, got: Any, judged: Outcome
) -> Outcome:
    """The same checks as a known difference, if letting the gradient through TensorFlow's mean makes them all pass."""
    comparison = context.comparison
    kinds = ("layernorm", "groupnorm", *(("batchnorm",) if mode == "training" else ()))
    norms = [match for match in matches if match.reference.kind in kinds]
    if not norms:
        return judged
    with comparison.working("float64"):
        expected = comparison.reference.gradients(*arguments, exact_moments=True)
    with comparison.working("float32"):
        rounded = comparison.reference.gradients(*arguments, exact_moments=True)
    again = _judge(context, rung, mode, matches, expected, got, rounded)
    if any(check.judgement == "fail" for check in again.checks):
        return judged
    message = (
        f"tf.nn.moments stops the gradient at the mean, so a double backward through {norms[0].key} is off in "
        "TensorFlow; with the gradient let through, both sides agree"
    )
    known = [
        Check(rung, check.layer, check.what, "known-difference", check.measured, check.limit, check.unit, message)
        if check.judgement == "fail"
        else check
        for check in judged.checks
    ]
    fix = "for penalties through a normalisation, compute the Keras side's moments with ops.mean alone"
    name = norms[0]
    kind = "batchnorm-statistics" if name.reference.kind == "batchnorm" else "numeric"
    finding = Finding(kind, name.port.name, name.key, f"known difference: {message}", fix, rung)
    return Outcome(known, [finding])


def _gradient_check(
    rung: str, layer: str, what: str, a: Array, b: Array, limit: float, opaque: bool
) -> tuple[Check, str]:
    if opaque:
        reason = "a layer without a counterpart lies on its way"
        return Check(rung, layer, what, "abstain", message=reason), reason
    found = difference(b, a, limit)
    relative = 1 / max(scale(a), TINY)
    judgement = judge(found.absolute <= limit)
    message = "" if judgement == "pass" else describe(found, what)
    return Check(
        rung, layer, what, judgement, found.absolute * relative, limit * relative, "relative", message
    ), message
