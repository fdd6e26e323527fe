"""The rungs of differentiation: gradients, and the penalty's double backward. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from parity.capture.adapter import Gradients
from parity.capture.steps import STATISTICS
from parity.checks.climbing import Outcome
from parity.checks.context import CheckContext
from parity.checks.messages import STOPPED, describe
from parity.checks.rounded_constants import describe_constants, exchanged_constants
from parity.match.alignment import Match
from parity.numerics.difference import TINY, difference, scale
from parity.numerics.tolerance import PRECISION_RATIO, SLACK, float64_limit, typical_rounding
from parity.transfer.aligned_models import AlignedModels
from parity.verdict import Check, Finding, first_line, judge

Array = np.ndarray
OPAQUE = "a layer without a counterpart lies on its way"


def gradients(context: CheckContext) -> Outcome:
    """The gradient of a random projection of the output, by every parameter and by the input, in float64."""
    return _climb(context, "gradients")


def penalty(context: CheckContext) -> Outcome:
    """The gradient of an input-gradient norm: a double backward, as WGAN-GP's penalty needs."""
    if all(x.dtype.kind != "f" for x in context.models.inputs):
        return Outcome(message="the inputs are integers: no gradient by them exists")
    return _climb(context, "penalty")


@dataclass(frozen=True)
class _Projection:
    """What is differentiated in one mode: ``sum(output * cotangent)``, and by which layers' parameters.

    ``opaque``: a layer that cannot be compared lies between the parameters and the outputs.
    """

    models: AlignedModels
    rung: Literal["gradients", "penalty"]
    mode: str
    matches: list[Match]
    cotangents: list[Array | None]
    port_cotangents: list[Array | None]
    opaque: bool

    @property
    def training(self) -> bool:
        return self.mode == "training"

    @property
    def penalty(self) -> bool:
        return self.rung == "penalty"

    def reference(self, dtype: str, exact_moments: bool = False) -> Gradients:
        """The reference's gradients."""
        steps = [match.reference for match in self.matches]
        with self.models.precision(dtype):
            return self.models.reference.gradients(
                self.models.inputs, self.cotangents, steps, self.training, self.penalty, exact_moments=exact_moments
            )

    def port(self) -> Gradients:
        """The port's gradients in float64."""
        inputs, steps = self.models.to_port(self.models.inputs), [match.port for match in self.matches]
        with self.models.precision("float64"):
            return self.models.port.gradients(inputs, self.port_cotangents, steps, self.training, self.penalty)


def _climb(context: CheckContext, rung: Literal["gradients", "penalty"]) -> Outcome:
    models = context.models
    if models.crash:
        return Outcome(message=STOPPED.format(models.crash))
    expected, got = models.reference_trace.result, models.port_trace.result
    layouts = [models.output_layout(number, *pair) for number, pair in enumerate(zip(expected, got, strict=False))]
    if None in layouts or len(expected) != len(got):
        return Outcome(message="the outputs have different shapes: no common scalar to differentiate")
    floating = [a.dtype.kind == b.dtype.kind == "f" for a, b in zip(expected, got, strict=True)]
    if not any(floating):
        return Outcome(message="no output is a floating number: there is nothing to differentiate")
    rng = np.random.default_rng([models.seed, 7])
    cotangents = [rng.standard_normal(x.shape) if real else None for x, real in zip(expected, floating, strict=True)]
    port_cotangents = [
        layout.to_port(x) if layout is not None and x is not None else None
        for layout, x in zip(layouts, cotangents, strict=True)
    ]
    matches = [match for match in models.matching.matches if match.reference.parametrised]
    opaque = any(layer.chain_abstain for layer in context.measurements.layers)
    refused = {c.training: c.refused for c in reversed(context.measurements.conditions)}
    outcome = Outcome()
    for mode in models.modes:
        projection = _Projection(models, rung, mode, matches, cotangents, port_cotangents, opaque)
        reason = refused[projection.training]
        judged = _abstain(projection, reason) if reason else _judge_mode(projection)
        outcome.checks += judged.checks
        outcome.findings += judged.findings
    found = [check for check in outcome.checks if check.judgement != "abstain"]
    outcome.message = f"{len(found)} gradients in float64" if found else _nothing(outcome)
    return outcome


def _nothing(outcome: Outcome) -> str:
    """Why not one gradient was compared."""
    if outcome.checks:
        return "nothing could be differentiated"
    return "neither weights nor floating inputs: nothing to differentiate by"


def _abstain(projection: _Projection, reason: str) -> Outcome:
    return Outcome([Check(projection.rung, "output", projection.mode, "abstain", message=reason)])


def _judge_mode(projection: _Projection) -> Outcome:
    """Every gradient in one mode; where a side has no derivative, what that means."""
    try:
        expected, rounded = projection.reference("float64"), projection.reference("float32")
    except LookupError as error:
        return _abstain(projection, f"TensorFlow has no such derivative for the reference: {first_line(error)}")
    try:
        got = projection.port()
    except ValueError as error:
        return _abstain(projection, f"batch statistics refused: {first_line(error)}")
    except (RuntimeError, NotImplementedError) as error:
        if "is not implemented" in str(error):  # torch has no type of its own for a missing derivative
            return _abstain(projection, f"torch has no such derivative for the port: {first_line(error)}")
        message = f"the port cannot be differentiated where the reference can: {first_line(error)}"
        fix = "look for operations without (double) backward, detach() and no_grad()"
        return Outcome(
            [Check(projection.rung, "output", projection.mode, "fail", message=message)],
            [Finding("numeric", "output", "output", message, fix, projection.rung, named=False)],
        )
    if _undefined(projection, expected):
        return _abstain(projection, "the outputs are NaN or infinite on both sides, and so are their gradients")
    judged = _compare(projection, expected, got, rounded)
    if any(check.judgement == "fail" for check in judged.checks):
        judged = _with_same_constants(projection, expected, rounded) or judged
    if projection.penalty and any(check.judgement == "fail" for check in judged.checks):
        return _with_exact_moments(projection, got, judged)
    return judged


def _with_same_constants(projection: _Projection, expected: Gradients, rounded: Gradients) -> Outcome | None:
    """The same checks with the reference's constants in the port, if all pass then: some are held in float32."""
    models = projection.models
    with models.precision("float64"), exchanged_constants(models, models.inputs, projection.training) as exchanged:
        if exchanged is None:
            return None
        got = projection.port()
        if not exchanged:
            return None
        note = describe_constants(exchanged)
    again = _compare(projection, expected, got, rounded)
    if any(check.judgement == "fail" for check in again.checks):
        return None
    return replace(again, checks=[replace(check, message=check.message or note) for check in again.checks])


def _undefined(projection: _Projection, expected: Gradients) -> bool:
    """Whether gradients are NaN or infinite because outputs are, on both sides."""
    models = projection.models
    results = models.reference_trace.result, models.port_trace.result
    if not all(any(not np.isfinite(x).all() for x in result) for result in results):
        return False
    found = [*expected[0].values(), *(x for x in expected[1] if x is not None)]
    return any(not np.isfinite(x).all() for x in found)


@dataclass(frozen=True)
class _Culprit:
    """A layer with a wrong gradient; ``vanished`` where the port's is zero and the reference's is not."""

    match: Match
    message: str
    vanished: bool


def _compare(projection: _Projection, expected: Gradients, got: Gradients, rounded: Gradients) -> Outcome:
    models, outcome = projection.models, Outcome()
    culprits = []
    typical = typical_rounding((expected[0][key], rounded[0][key]) for key in expected[0])
    for match in projection.matches:
        transform = models.layouts.weight_transform(match)
        # A bias before a normalisation has no gradient but the rounding of what the whole layer is handed back.
        reach = max((scale(value) for (layer, _), value in expected[0].items() if layer == match.key), default=0.0)
        floor = SLACK * PRECISION_RATIO * typical * reach
        for slot in match.reference.shapes:
            if slot in STATISTICS or (match.key, slot) in models.blocked:
                continue
            a, r = expected[0][match.key, slot], rounded[0][match.key, slot].astype(np.float64)
            b = transform.to_keras(slot, got[0][match.port.name, slot], match.reference.shapes[slot])
            limit = max(float64_limit(a, r, typical), floor)
            check = _check(projection, match.key, slot, a, b, limit)
            outcome.checks.append(check)
            if check.judgement == "fail":
                message = f"{match.port.name}.{slot}: gradient {check.message}"
                culprits.append(_Culprit(match, message, scale(b) == 0.0 < scale(a)))
    inputs = zip(expected[1], got[1], rounded[1], models.layouts.inputs, strict=True)
    for number, (a_input, b_input, r_input, layout) in enumerate(inputs):
        if a_input is None or b_input is None or r_input is None:
            continue
        limit = float64_limit(a_input, r_input.astype(np.float64), typical)
        outcome.checks.append(_check(projection, f"input {number}", "", a_input, layout.to_reference(b_input), limit))
    if culprits:
        outcome.findings.append(_finding(projection, culprits))
    return outcome


def _check(projection: _Projection, layer: str, slot: str, expected: Array, got: Array, limit: float) -> Check:
    """One gradient; by an input where ``slot`` is empty."""
    what = f"{slot}, {projection.mode}" if slot else projection.mode
    if projection.opaque:
        return Check(projection.rung, layer, what, "abstain", message=OPAQUE)
    found = difference(got, expected, limit)
    relative = 1 / max(scale(expected), TINY)
    judgement = judge(found.absolute <= limit)
    message = "" if judgement == "pass" else describe(found, what)
    measured = found.absolute * relative, limit * relative
    return Check(projection.rung, layer, what, judgement, *measured, "relative", message)


def _finding(projection: _Projection, culprits: list[_Culprit]) -> Finding:
    """Blame the layer where the backward pass broke.

    A cut in the backward pass leaves the layers before it without gradient, so the last one stands at the cut; a cut
    in the backward of the backward leaves those behind it without, so the one before the first of them does.
    """
    vanished = [culprit for culprit in culprits if culprit.vanished]
    if projection.penalty and vanished:
        matches = projection.models.matching.matches
        match = matches[max(matches.index(vanished[0].match) - 1, 0)]
        message = f"{match.port.name}: its double backward is lost: {vanished[0].message}"
        fix = f"make the backward pass of {match.port.name} differentiable itself (no detach, no once_differentiable)"
        return Finding("numeric", match.port.name, match.key, message, fix, projection.rung, named=False)
    last = culprits[-1]
    fix = (
        "nothing arrives here in the port: look for detach(), no_grad() or requires_grad=False behind this layer"
        if last.vanished
        else "compare the backward pass of this layer and of the ones after it (custom functions, in-place edits)"
    )
    return Finding("numeric", last.match.port.name, last.match.key, last.message, fix, projection.rung, named=False)


def _with_exact_moments(projection: _Projection, got: Gradients, judged: Outcome) -> Outcome:
    """The same checks as a known difference, if letting the gradient through TensorFlow's mean makes them all pass."""
    kinds = ("layernorm", "groupnorm", *(("batchnorm",) if projection.training else ()))
    normalisation = next((match for match in projection.matches if match.reference.kind in kinds), None)
    if normalisation is None:
        return judged
    expected, rounded = (projection.reference(dtype, exact_moments=True) for dtype in ("float64", "float32"))
    again = _compare(projection, expected, got, rounded)
    if any(check.judgement == "fail" for check in again.checks):
        return judged
    message = (
        f"tf.nn.moments stops the gradient at the mean, so a double backward through {normalisation.key} is off in "
        "TensorFlow; with the gradient let through, both sides agree"
    )
    known = [
        replace(check, judgement="known-difference", message=message) if check.judgement == "fail" else check
        for check in judged.checks
    ]
    fix = "for penalties through a normalisation, compute the Keras side's moments with ops.mean alone"
    kind = "batchnorm-statistics" if normalisation.reference.kind == "batchnorm" else "numeric"
    names = normalisation.port.name, normalisation.key
    return Outcome(known, [Finding(kind, *names, f"known difference: {message}", fix, projection.rung, known=True)])
