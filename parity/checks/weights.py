"""The rung ``weights``: every parameter has its counterpart, and the right values are there. Plain NumPy."""

from __future__ import annotations

from parity.checks.climbing import Outcome
from parity.checks.context import CheckContext
from parity.diagnosis.wrong_weights import explain_weights
from parity.numerics.copies import equal
from parity.transfer.aligned_models import AlignedModels
from parity.transfer.held_weights import HeldWeights
from parity.verdict import Check, Finding, judge

SHARE = "give the port as many parameters as the reference: one where it shares one, several where it has several"

UNKNOWN_ORDER = "the port does not run to its end, so the order in which it reads its features is unknown"
SHOWN = 4  # layers named in one message


def weights(context: CheckContext) -> Outcome:
    """Every parameter has its counterpart and none is left over.

    What was copied comes back bit for bit; what the port's own conversion copied is the reference's, bit for bit.
    """
    models = context.models
    outcome = Outcome()
    for conflict in models.conflicts:
        name = conflict.reference_layer or conflict.layer
        judgement = judge(False, name in models.unmatched.reasons or models.crash and not conflict.layer)
        outcome.checks.append(
            Check(
                "weights", name, conflict.slot, judgement, message=conflict.message, training=conflict.training_only,
                shown_by=("forward", "gradients") if conflict.harmless else (),
            )
        )  # fmt: skip
        if conflict.training_only:
            outcome.findings.append(
                Finding("shared-weights", conflict.layer, conflict.reference_layer, conflict.message, SHARE, "weights")
            )
    if models.held is None:
        _judge_copies(models, outcome)
    else:
        _judge_own(models, models.held, outcome)
    outcome.message += "".join(f"; {note}" for note in _reorderings(models))
    return outcome


def _judge_copies(models: AlignedModels, outcome: Outcome) -> None:
    """What was written comes back as it was sent."""
    count = 0
    with models.precision("float64"):
        for match in models.matching.matches:
            transform = models.layouts.weight_transform(match)
            for slot in match.reference.shapes:
                if (match.key, slot) in models.blocked:
                    continue
                value = models.weights[match.key, slot]
                back = transform.keras_view(slot, models.port.read(match.port, slot), match.reference.shapes[slot])
                same = equal(back, value)
                message = "" if same else f"{match.key}.{slot} does not come back as it was sent"
                outcome.checks.append(Check("weights", match.key, slot, judge(same), message=message))
            count += match.reference.size
    outcome.message = f"{count:,} parameters crossed and came back bit for bit"
    if models.perturbed:
        outcome.message += f"; {len(models.perturbed)} constant ones were given a spread first"


def _judge_own(models: AlignedModels, held: HeldWeights, outcome: Outcome) -> None:
    """What the port holds is what a right copy would be."""
    if models.crash:
        matches = {parameter.match.key for parameter in held.parameters}
        outcome.checks += [Check("weights", key, "copy", "abstain", message=UNKNOWN_ORDER) for key in matches]
        outcome.message = UNKNOWN_ORDER
        return
    outcome.findings = explain_weights(held, _images(models))
    named: dict[str, str] = {}
    for finding in outcome.findings:
        for key in finding.evidence["reference_layers"]:
            named.setdefault(key, finding.message)
    wrong = held.wrong_slots
    for parameter in held.parameters:
        key, slot = parameter.match.key, parameter.slot
        message = named[key] if (key, slot) in wrong else ""
        outcome.checks.append(Check("weights", key, slot, judge(not message), message=message))
    for match, slot in held.unneutral:
        outcome.checks.append(Check("weights", match.key, slot, "fail", message=named[match.key]))
    count = sum(parameter.value.size for parameter in held.parameters)
    outcome.message = f"{count:,} values that the port holds are the reference's"
    if held.rounded:
        layers = list(dict.fromkeys(parameter.match.port.name for parameter in held.rounded))
        more = ", …" if len(layers) > SHOWN else ""
        outcome.message += f", those of {', '.join(layers[:SHOWN])}{more} but for float32's rounding"


def _images(models: AlignedModels) -> list[tuple[int, ...]]:
    """The shapes that the reference computes, from which flat features may come."""
    shapes = (step.output_shape[1:] for step in models.reference_trace.steps if len(step.output_shape) > 2)
    return list(dict.fromkeys(shapes))


def _reorderings(models: AlignedModels) -> list[str]:
    """Where a right copy reorders the features of a dense layer, and how."""
    found: dict[str, list[str]] = {}
    for match in models.matching.matches:
        order = models.reordering(match.reference)
        if order:
            found.setdefault(order, []).append(match.port.name)
    return [f"{', '.join(names)}: {order}" for order, names in found.items()]
