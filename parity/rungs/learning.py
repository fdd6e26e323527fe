"""The rungs that judge what training rests on: gradients, penalty (double backward), state. Plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from parity.compare import difference, float64_limit, scale, typical_rounding
from parity.matching import Match
from parity.rungs.bench import Bench, Outcome
from parity.rungs.values import STOPPED, describe
from parity.verdict import Check, Finding, first_line

Array = np.ndarray
STATISTICS = ("moving_mean", "moving_variance")
# Measured ratios of statistics are quotients of float64 differences; a wrong count n is off by at least 1/n².
RATIO_LIMIT = 1e-9


def gradients(bench: Bench) -> Outcome:
    """The gradient of a random projection of the output, by every parameter and by the input, in float64."""
    return _gradients(bench, "gradients", penalty=False)


def penalty(bench: Bench) -> Outcome:
    """The gradient of an input-gradient norm: a double backward, as WGAN-GP's penalty needs."""
    if all(x.dtype.kind != "f" for x in bench.comparison.random):
        return Outcome(message="the inputs are integers: no gradient by them exists")
    return _gradients(bench, "penalty", penalty=True)


def _gradients(bench: Bench, rung: str, penalty: bool) -> Outcome:
    comparison = bench.comparison
    outcome = Outcome()
    if comparison.crash:
        return Outcome(message=STOPPED.format(comparison.crash))
    expected_results, results = comparison.reference_trace.result, comparison.port_trace.result
    outputs = [
        bench.measurements.output_layout(number, *pair)
        for number, pair in enumerate(zip(expected_results, results, strict=False))
    ]
    if None in outputs or len(expected_results) != len(results):
        return Outcome(message="the outputs have different shapes: no common scalar to differentiate")
    rng = np.random.default_rng([comparison.seed, 7])
    cotangents = [rng.standard_normal(x.shape) for x in expected_results]
    crossed = [layout.to_port(x) for layout, x in zip(outputs, cotangents, strict=True)]
    matches = [match for match in comparison.matching.matches if match.reference.parametrised]
    refused = {c.training: c.refused for c in reversed(bench.measurements.conditions)}
    for mode in ("evaluation", "training") if bench.measurements.mode_dependent else ("evaluation",):
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
        except (RuntimeError, NotImplementedError) as error:
            message = f"the port cannot be differentiated where the reference can: {first_line(error)}"
            outcome.checks.append(Check(rung, "output", mode, "fail", message=message))
            fix = "look for operations without (double) backward, detach() and no_grad()"
            outcome.findings.append(Finding("numeric", "output", "output", message, fix, rung))
            continue
        judged = _judge(bench, rung, mode, matches, expected, got, rounded)
        if penalty and training and any(check.judgement == "fail" for check in judged.checks):
            judged = _with_exact_moments(bench, rung, matches, reference_arguments, got, judged)
        outcome.checks += judged.checks
        outcome.findings += judged.findings
    found = [check for check in outcome.checks if check.judgement != "abstain"]
    outcome.message = f"{len(found)} gradients in float64" if found else "nothing could be differentiated"
    return outcome


def _judge(bench: Bench, rung: str, mode: str, matches: list[Match], expected: Any, got: Any, rounded: Any) -> Outcome:
    comparison, outcome = bench.comparison, Outcome()
    blocked = {(conflict.reference_layer, conflict.slot) for conflict in comparison.conflicts}
    culprits = []
    typical = typical_rounding((expected[0][key], rounded[0][key]) for key in expected[0])
    opaque = any(r.chain_abstain for r in bench.measurements.readings)
    for match in matches:
        crossing = comparison.layouts.crossing(match)
        for slot in match.reference.shapes:
            if slot in STATISTICS or (match.key, slot) in blocked:
                continue
            a, b = expected[0][match.key, slot], got[0][match.port.name, slot]
            b = crossing.to_keras(slot, b, match.reference.shapes[slot])
            limit = float64_limit(a, rounded[0][match.key, slot].astype(np.float64), typical)
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
        outcome.findings.append(_gradient_finding(bench, rung, culprits))
    return outcome


def _gradient_finding(bench: Bench, rung: str, culprits: list[tuple[Match, str, bool]]) -> Finding:
    """Blame the layer where the backward pass broke.

    A cut in the backward pass leaves the layers before it without gradient, so the last one stands at the cut; a cut
    in the backward of the backward leaves those behind it without, so the one before the first of them does.
    """
    vanished = [culprit for culprit in culprits if culprit[2]]
    if rung == "penalty" and vanished:
        matches = bench.comparison.matching.matches
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
    bench: Bench, rung: str, matches: list[Match], arguments: Any, got: Any, judged: Outcome
) -> Outcome:
    """The same checks as a known difference, if letting the gradient through TensorFlow's mean makes them all pass."""
    comparison = bench.comparison
    with comparison.working("float64"):
        expected = comparison.reference.gradients(*arguments, exact_moments=True)
    with comparison.working("float32"):
        rounded = comparison.reference.gradients(*arguments, exact_moments=True)
    again = _judge(bench, rung, "training", matches, expected, got, rounded)
    if any(check.judgement == "fail" for check in again.checks):
        return judged
    norms = [match for match in matches if match.reference.kind == "batchnorm"]
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
    fix = "for penalties through batch normalisation, compute the Keras side's moments with ops.mean alone"
    name = norms[0]
    finding = Finding("batchnorm-statistics", name.port.name, name.key, f"known difference: {message}", fix, rung)
    return Outcome(known, [finding])


def _gradient_check(
    rung: str, layer: str, what: str, a: Array, b: Array, limit: float, opaque: bool
) -> tuple[Check, str]:
    if opaque:
        reason = "a layer without a counterpart lies on its way"
        return Check(rung, layer, what, "abstain", message=reason), reason
    found = difference(b, a, limit)
    relative = 1 / max(scale(a), np.finfo(float).tiny)
    judgement = "pass" if found.absolute <= limit else "fail"
    message = "" if judgement == "pass" else describe(found, what)
    return Check(
        rung, layer, what, judgement, found.absolute * relative, limit * relative, "relative", message
    ), message


def state(bench: Bench) -> Outcome:
    """Running statistics after one and after two training passes, each layer fed the reference's input."""
    comparison = bench.comparison
    outcome = Outcome()
    if comparison.crash:
        return Outcome(message=STOPPED.format(comparison.crash))
    matches = [m for m in comparison.matching.matches if set(STATISTICS) & set(m.reference.shapes) & set(m.port.shapes)]
    if not matches:
        return Outcome(message="the network keeps no running statistics")
    training = next((c for c in bench.measurements.conditions if c.training and not c.refused), None)
    if training is None:
        return Outcome(message="no training-mode run was possible")
    forced = {
        m.port.name: bench.measurements.layout(m).to_port(training.reference64.outputs[m.key])
        for m in comparison.matching.matches
        if m.key in training.reference64.outputs
        and bench.measurements.layout(m).fits(training.reference64.outputs[m.key].shape, _port_shape(training, m))
    }
    history: dict[str, list[dict[tuple[str, str], Array]]] = {"float64": [], "float32": [], "port": []}
    for dtype in ("float64", "float32"):
        with comparison.working(dtype):
            for _ in range(2):
                comparison.reference.run(training.inputs, True, values=False, keep_state=True)
                history[dtype].append(_statistics(comparison.reference, matches, lambda m: m.reference))
                if dtype == "float64":
                    inputs = comparison.to_port(training.inputs)
                    comparison.port.run(inputs, True, replace=forced, values=False, keep_state=True)
                    history["port"].append(_statistics(comparison.port, matches, lambda m: m.port))
    for match in matches:
        _judge_state(bench, match, history, training.reference64.inputs.get(match.key), outcome)
    outcome.message = f"{len(matches)} layers' running statistics after one and two passes"
    return outcome


def _port_shape(condition: Any, match: Match) -> tuple[int, ...]:
    """The shape of that layer's output in the port's run."""
    found = condition.port64.outputs.get(match.port.name)
    return () if found is None else found.shape


def _statistics(side: Any, matches: list[Match], own: Callable[[Match], Any]) -> dict[tuple[str, str], Array]:
    return {(m.key, slot): side.read(own(m), slot).astype(np.float64) for m in matches
            for slot in STATISTICS if slot in own(m).shapes}  # fmt: skip


def _judge_state(bench: Bench, match: Match, history: Any, given: Array | None, outcome: Outcome) -> None:
    crossing = bench.comparison.layouts.crossing(match)
    for slot in (s for s in STATISTICS if s in match.reference.shapes and s in match.port.shapes):
        key = (match.key, slot)
        start = bench.comparison.weights[key]
        gaps = []
        for passes in range(2):
            a = history["float64"][passes][key]
            b = crossing.to_keras(slot, history["port"][passes][key], a.shape)
            gaps.append((a, b, difference(b, a), float64_limit(a, history["float32"][passes][key])))
        a, b, found, limit = gaps[-1]
        known = slot == "moving_variance" and _unbiased(match, start, gaps[0][0], gaps[0][1], given)
        judgement = (
            "pass" if all(g.absolute <= lim for _, _, g, lim in gaps) else "known-difference" if known else "fail"
        )
        message = known if judgement == "known-difference" else "" if judgement == "pass" else describe(found)
        relative = 1 / max(scale(a), np.finfo(float).tiny)
        outcome.checks.append(
            Check("state", match.key, slot, judgement, found.absolute * relative, limit * relative, "relative", message)
        )
        if judgement != "pass":
            outcome.findings.append(_state_finding(match, slot, start, gaps[0], judgement, message))


def _unbiased(match: Match, start: Array, reference: Array, port: Array, given: Array | None) -> str:
    """The proof that the port stores n/(n-1) times the reference's batch variance, or "" if it does not."""
    momentum = match.reference.attributes["momentum"]
    if given is None or momentum != match.port.attributes["momentum"] and not np.isclose(
        momentum, match.port.attributes["momentum"] or 0
    ):  # fmt: skip
        return ""
    count = given.size // given.shape[-1]
    own, other = reference - momentum * start, port - momentum * start
    if count < 2 or difference(other, own * (count / (count - 1))).relative > RATIO_LIMIT:
        return ""
    return (
        f"{match.port.name}: torch stores the unbiased batch variance, Keras the biased one; measured ratio "
        f"{float(np.median(other / own)):.9f} = n/(n-1) with n = {count} values per channel"
    )


def _state_finding(match: Match, slot: str, start: Array, gap: Any, judgement: str, message: str) -> Finding:
    a, b, _, _ = gap
    layer, reference_layer = match.port.name, match.key
    if judgement == "known-difference":
        fix = (
            "harmless for large batches; to remove it, give the Keras side a BatchNormalization whose running variance "
            "is multiplied by n/(n-1)"
        )
        return Finding("batchnorm-variance", layer, reference_layer, f"known difference: {message}", fix, "state")
    moved = scale(b - start)
    if moved == 0.0 < scale(a - start):
        text = f"{layer}.{slot}: does not move in training, the reference's does"
        return Finding("batchnorm-statistics", layer, reference_layer, text, "update the running statistics", "state")
    momentum = match.reference.attributes.get("momentum")
    ratio = float(np.median((b - start) / np.where(a == start, 1.0, a - start)))
    if (
        momentum is not None
        and abs(ratio - 1) > 1e-4
        and np.allclose(b - start, ratio * (a - start), rtol=1e-6, atol=1e-9 * scale(a))
    ):
        used = 1 - ratio * (1 - momentum)
        text = (
            f"{layer}.{slot}: moves {ratio:.4g} times as far: momentum is {used:.4g} (Keras's), expected {momentum:g}"
        )
        fix = f"set momentum={1 - momentum:g} in torch (1 - Keras's {momentum:g})"
        return Finding("batchnorm-momentum", layer, reference_layer, text, fix, "state")
    text = f"{layer}.{slot}: {message}"
    return Finding(
        "batchnorm-statistics", layer, reference_layer, text, "compare how the statistics are updated", "state"
    )


RUNGS: dict[str, Callable[[Bench], Outcome]] = {"gradients": gradients, "penalty": penalty, "state": state}
