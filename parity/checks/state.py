"""The rung of running statistics. Plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from parity.capture.steps import STATISTICS, Trace
from parity.checks.context import CheckContext
from parity.checks.measurements import Condition
from parity.checks.registry import Outcome
from parity.checks.values import STOPPED, describe
from parity.match.alignment import Match
from parity.numerics.difference import TINY, difference, float64_limit, scale
from parity.numerics.spectral_norm import MOST_ITERATIONS, U_FIRST, V_FIRST, U, V, iterated, matrix
from parity.verdict import Check, Finding, Judgement, judge

Array = np.ndarray
# Quotients of float64 differences; biased and unbiased variances are 1/n apart: 1e-7 for ten million values a channel.
RATIO_LIMIT = 1e-9


def state(context: CheckContext) -> Outcome:
    """Running statistics after one and after two training passes, each layer fed the reference's input."""
    comparison = context.comparison
    outcome = Outcome()
    if comparison.crash:
        return Outcome(message=STOPPED.format(comparison.crash))
    matches = [m for m in comparison.matching.matches if set(STATISTICS) & set(m.reference.shapes) & set(m.port.shapes)]
    if not matches:
        return Outcome(message="the network keeps no running statistics")
    training = next((c for c in context.measurements.conditions if c.training and not c.refused), None)
    if training is None:
        return Outcome(message="no training-mode run was possible")
    history: dict[str, list[dict[tuple[str, str], Array]]] = {"float64": [], "float32": [], "port": []}
    for dtype in ("float64", "float32"):
        with comparison.working(dtype):
            for _ in range(2):
                exact = dtype == "float64"
                trace = comparison.reference.run(training.inputs, True, values=exact, keep_state=True)
                history[dtype].append(_statistics(comparison.reference, matches, lambda m: m.reference))
                if exact:
                    inputs, forced = comparison.to_port(training.inputs), _forced(context, training, trace)
                    comparison.port.run(inputs, True, replace=forced, values=False, keep_state=True)
                    history["port"].append(_statistics(comparison.port, matches, lambda m: m.port))
    for match in matches:
        _judge_state(context, match, history, training.reference64.inputs.get(match.key), outcome)
    outcome.message = f"{len(matches)} layers' running statistics after one and two passes"
    return outcome


def _forced(context: CheckContext, condition: Condition, reference: Trace) -> dict[str, Array]:
    """One pass's outputs of the reference, for the port's layers: under a spectral norm each pass has others."""
    return {
        match.port.name: context.measurements.layout(match).to_port(reference.outputs[match.key])
        for match in context.comparison.matching.matches
        if match.key in reference.outputs
        and context.measurements.layout(match).fits(reference.outputs[match.key].shape, _port_shape(condition, match))
    }


def _port_shape(condition: Condition, match: Match) -> tuple[int, ...]:
    """The shape of that layer's output in the port's run."""
    found = condition.port64.outputs.get(match.port.name)
    return () if found is None else found.shape


def _statistics(side: Any, matches: list[Match], own: Callable[[Match], Any]) -> dict[tuple[str, str], Array]:
    return {(m.key, slot): side.read(own(m), slot).astype(np.float64) for m in matches
            for slot in STATISTICS if slot in own(m).shapes}  # fmt: skip


def _judge_state(context: CheckContext, match: Match, history: Any, given: Array | None, outcome: Outcome) -> None:
    crossing = context.comparison.layouts.crossing(match)
    blocked = {(conflict.reference_layer, conflict.slot) for conflict in context.comparison.conflicts}
    for slot in (s for s in STATISTICS if s in match.reference.shapes and s in match.port.shapes):
        key = (match.key, slot)
        if key in blocked:
            continue
        start = context.comparison.weights[key]
        gaps = []
        for passes in range(2):
            a = history["float64"][passes][key]
            b = crossing.to_keras(slot, history["port"][passes][key], a.shape)
            gaps.append((a, b, difference(b, a), float64_limit(a, history["float32"][passes][key])))
        a, b, found, limit = gaps[-1]
        known = _unbiased(match, start, gaps[0][0], gaps[0][1], given) if slot == "moving_variance" else ""
        fine = all(gap.absolute <= most for _, _, gap, most in gaps)
        judgement: Judgement = "known-difference" if known and not fine else judge(fine)
        message = known if judgement == "known-difference" else "" if judgement == "pass" else describe(found)
        relative = 1 / max(scale(a), TINY)
        outcome.checks.append(
            Check("state", match.key, slot, judgement, found.absolute * relative, limit * relative, "relative", message)
        )
        if judgement != "pass":
            outcome.findings.append(_state_finding(context, match, slot, start, gaps[0], judgement, message))


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


def _state_finding(
    context: CheckContext, match: Match, slot: str, start: Array, gap: Any, judgement: str, message: str
) -> Finding:
    a, b, _, _ = gap
    layer, reference_layer = match.port.name, match.key
    if slot in (U, V):
        return _spectral_finding(context, match, slot, b, message)
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


def _spectral_finding(context: CheckContext, match: Match, slot: str, got: Array, message: str) -> Finding:
    """How the port's vectors move, told from where they are after one pass."""
    settings, layer, due = match.reference.attributes, match.port.name, ""
    vectors = {name: context.comparison.weights[match.key, name] for name in (U, V) if name in match.reference.shapes}
    kernel = context.comparison.weights[match.key, "kernel"]
    weight = matrix(kernel, match.reference.kind, settings["spectral_axis"])
    u, v = (vectors[name].reshape(-1) if name in vectors else np.zeros(0) for name in (U, V))
    for order, times in product((U_FIRST, V_FIRST), range(MOST_ITERATIONS + 1)):
        if (len(u), len(v)) != weight.shape:
            break
        moved = dict(zip((U, V), iterated(weight, u, v, times, order), strict=True))
        if difference(got.reshape(-1), moved[slot]).absolute <= RATIO_LIMIT:
            due = f"the port makes {times} power iterations a pass ({order})"
            break
    expected = f"{settings['power_iterations']} ({settings['spectral_order']})"
    text = f"{layer}.{slot}: {due or message}, the reference {expected}"
    return Finding(
        "spectral-norm", layer, match.key, text, f"make power iterations as the reference: {expected}", "state"
    )
