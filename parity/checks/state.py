"""The rung ``state``: running statistics after training passes. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from parity.capture.adapter import ModelAdapter
from parity.capture.steps import STATISTICS, Step
from parity.checks.climbing import Outcome
from parity.checks.conditions import Condition, forced_outputs
from parity.checks.context import CheckContext
from parity.checks.messages import FED_BY, STOPPED, describe
from parity.match.alignment import Match
from parity.numerics.difference import TINY, difference, scale
from parity.numerics.spectral_norm import MAX_ITERATIONS, U_FIRST, V_FIRST, U, V, kernel_matrix, power_iterations
from parity.numerics.tolerance import float64_limit
from parity.transfer.aligned_models import AlignedModels
from parity.verdict import Check, Finding, Judgement, judge

Array = np.ndarray
Statistics = dict[tuple[str, str], Array]  # by (reference layer, statistic)
# Quotients of float64 differences; biased and unbiased variances are 1/n apart: 1e-7 for ten million values a channel.
RATIO_LIMIT = 1e-9
PASSES = 2


@dataclass
class _History:
    """Statistics after each pass: of the reference in both precisions, of the port in float64 and in its own layout."""

    reference64: list[Statistics]
    reference32: list[Statistics]
    port64: list[Statistics]


def state(context: CheckContext) -> Outcome:
    """Running statistics after one and after two training passes, each layer fed the reference's input."""
    models = context.models
    if models.crash:
        return Outcome(message=STOPPED.format(models.crash))
    matches = [m for m in models.matching.matches if set(STATISTICS) & set(m.reference.shapes) & set(m.port.shapes)]
    if not matches:
        return Outcome(message="the network keeps no running statistics")
    training = next((condition for condition in context.measurements.running if condition.training), None)
    if training is None:
        return Outcome(message="no training-mode run was possible")
    history = _trained(models, matches, training)
    outcome = Outcome(message=f"{len(matches)} layers' running statistics after one and two passes")
    fed = {layer.key: layer.fed_by_wrong_shape for layer in context.measurements.layers if layer.training}
    for match in matches:
        if fed.get(match.key):
            reason = FED_BY.format(fed[match.key])
            outcome.checks.append(Check("state", match.key, "statistics", "abstain", message=reason))
            continue
        _judge(models, match, history, training.reference64.inputs.get(match.key), outcome)
    return outcome


def _trained(models: AlignedModels, matches: list[Match], condition: Condition) -> _History:
    """Passes in training mode; under a spectral norm each pass has other outputs, so the port is fed each of them."""
    history = _History([], [], [])
    with models.precision("float64"):
        inputs = models.to_port(condition.inputs)
        for _ in range(PASSES):
            trace = models.reference.run(condition.inputs, True, keep_state=True)
            history.reference64.append(_statistics(models.reference, [(m.key, m.reference) for m in matches]))
            forced = forced_outputs(models, trace, condition.port64)
            models.port.run(inputs, True, replace=forced, values=False, keep_state=True)
            history.port64.append(_statistics(models.port, [(m.key, m.port) for m in matches]))
    with models.precision("float32"):
        for _ in range(PASSES):
            models.reference.run(condition.inputs, True, values=False, keep_state=True)
            history.reference32.append(_statistics(models.reference, [(m.key, m.reference) for m in matches]))
    return history


def _statistics(side: ModelAdapter, steps: list[tuple[str, Step]]) -> Statistics:
    return {
        (key, slot): side.read(step, slot).astype(np.float64)
        for key, step in steps
        for slot in STATISTICS
        if slot in step.shapes
    }


@dataclass(frozen=True)
class _Moved:
    """One statistic, in the reference's layout: where it started, and where each side took it in the first pass."""

    start: Array
    reference: Array
    port: Array


def _judge(models: AlignedModels, match: Match, history: _History, given: Array | None, outcome: Outcome) -> None:
    """Every statistic of one layer after each pass; the check shows the last."""
    transform = models.layouts.weight_transform(match)
    for slot in (s for s in STATISTICS if s in match.reference.shapes and s in match.port.shapes):
        key = (match.key, slot)
        if key in models.blocked:
            continue
        expected = [statistics[key] for statistics in history.reference64]
        got = [transform.to_keras(slot, s[key], a.shape) for s, a in zip(history.port64, expected, strict=True)]
        found = [difference(b, a) for a, b in zip(expected, got, strict=True)]
        limits = [float64_limit(a, s[key]) for a, s in zip(expected, history.reference32, strict=True)]
        moved = _Moved(models.weights[key], expected[0], got[0])
        fine = all(one.absolute <= limit for one, limit in zip(found, limits, strict=True))
        known = _unbiased(match, moved, given) if slot == "moving_variance" else ""
        judgement: Judgement = "known-difference" if known and not fine else judge(fine)
        message = known if judgement == "known-difference" else "" if judgement == "pass" else describe(found[-1])
        relative = 1 / max(scale(expected[-1]), TINY)
        measured = found[-1].absolute * relative, limits[-1] * relative
        outcome.checks.append(Check("state", match.key, slot, judgement, *measured, "relative", message))
        if judgement != "pass":
            outcome.findings.append(_finding(models, match, slot, moved, judgement, message))


def _unbiased(match: Match, moved: _Moved, given: Array | None) -> str:
    """The proof that the port stores n/(n-1) times the reference's batch variance, or "" if it does not."""
    momentum, port_momentum = (step.attributes["momentum"] for step in (match.reference, match.port))
    if given is None or momentum != port_momentum and not np.isclose(momentum, port_momentum or 0):
        return ""
    count = given.size // given.shape[-1]
    own, other = moved.reference - momentum * moved.start, moved.port - momentum * moved.start
    if count < 2 or difference(other, own * (count / (count - 1))).relative > RATIO_LIMIT:
        return ""
    return (
        f"{match.port.name}: torch stores the unbiased batch variance, Keras the biased one; measured ratio "
        f"{float(np.median(other / own)):.9f} = n/(n-1) with n = {count} values per channel"
    )


def _finding(
    models: AlignedModels, match: Match, slot: str, moved: _Moved, judgement: Judgement, message: str
) -> Finding:
    names = match.port.name, match.key
    if slot in (U, V):
        return _spectral_finding(models, match, slot, moved.port, message)
    if judgement == "known-difference":
        fix = (
            "harmless for large batches; to remove it, give the Keras side a BatchNormalization whose running variance "
            "is multiplied by n/(n-1)"
        )
        return Finding("batchnorm-variance", *names, f"known difference: {message}", fix, "state", known=True)
    if scale(moved.port - moved.start) == 0.0 < scale(moved.reference - moved.start):
        text = f"{match.port.name}.{slot}: does not move in training, the reference's does"
        return Finding("batchnorm-statistics", *names, text, "update the running statistics", "state")
    momentum, times = match.reference.attributes.get("momentum"), _times_as_far(moved)
    if momentum is not None and times is not None:
        text = (
            f"{match.port.name}.{slot}: moves {times:.4g} times as far: momentum is {1 - times * (1 - momentum):.4g} "
            f"(Keras's), expected {momentum:g}"
        )
        fix = f"set momentum={1 - momentum:g} in torch (1 - Keras's {momentum:g})"
        return Finding("batchnorm-momentum", *names, text, fix, "state")
    text = f"{match.port.name}.{slot}: {message}"
    fix = "compare how the statistics are updated"
    return Finding("batchnorm-statistics", *names, text, fix, "state", named=False)


def _times_as_far(moved: _Moved) -> float | None:
    """The factor by which all of a port's statistic moves further than the reference's; None if there is none."""
    port, reference = moved.port - moved.start, moved.reference - moved.start
    times = float(np.median(port / np.where(reference == 0, 1.0, reference)))
    tolerance = 1e-9 * scale(moved.reference)
    same = abs(times - 1) > 1e-4 and np.allclose(port, times * reference, rtol=1e-6, atol=tolerance)
    return times if same else None


def _spectral_finding(models: AlignedModels, match: Match, slot: str, got: Array, message: str) -> Finding:
    """How many power iterations the port makes, and in which order, solved for from its vectors after one pass."""
    settings, layer, cause = match.reference.attributes, match.port.name, ""
    vectors = {name: models.weights[match.key, name] for name in (U, V) if name in match.reference.shapes}
    weight = kernel_matrix(models.weights[match.key, "kernel"], match.reference.kind, settings["spectral_axis"])
    u, v = (vectors[name].reshape(-1) if name in vectors else np.zeros(0) for name in (U, V))
    for order, times in product((U_FIRST, V_FIRST), range(MAX_ITERATIONS + 1)):
        if (len(u), len(v)) != weight.shape:
            break
        after = dict(zip((U, V), power_iterations(weight, u, v, times, order), strict=True))
        if difference(got.reshape(-1), after[slot]).absolute <= RATIO_LIMIT:
            cause = f"the port makes {times} power iterations a pass ({order})"
            break
    expected = f"{settings['power_iterations']} ({settings['spectral_order']})"
    text = f"{layer}.{slot}: {cause or message}, the reference {expected}"
    fix = f"make power iterations as the reference: {expected}"
    return Finding("spectral-norm", layer, match.key, text, fix, "state")
