"""The rung ``weights``: every parameter has its counterpart, and the right values are there. Plain NumPy."""

from __future__ import annotations

from parity.checks.climbing import Outcome
from parity.checks.context import CheckContext
from parity.diagnosis.wrong_weights import explain_weights
from parity.transfer.aligned_models import AlignedModels
from parity.transfer.held_weights import HeldWeights
from parity.transfer.mismatches import Conflict
from parity.verdict import Check, Finding, judge

MANY_VALUES = "give the port's parameter as many values as the reference's"

EXTRA = "remove it from the port, or hold it as it is: parameter.requires_grad_(False)"
UNKNOWN_ORDER = "the port does not run to its end, so the order in which it reads its features is unknown"
NO_WEIGHTS = "no layer that stands on both sides has weights"
SHOWN = 4  # layers named in one message


def weights(context: CheckContext) -> Outcome:
    """Every parameter has its counterpart and none is left over.

    What was copied comes back bit for bit; what the port's own conversion copied is the reference's, bit for bit.
    """
    models = context.models
    outcome = Outcome()
    conflicts = [one for one in models.conflicts if models.scope == "training" or not one.training_only]
    for conflict in conflicts:
        name = conflict.reference_layer or conflict.layer
        open_yet = conflict.extra and models.unmatched.reasons  # it may stand for what no rule carries across
        judgement = judge(False, name in models.unmatched.reasons or models.crash and not conflict.layer or open_yet)
        outcome.checks.append(
            Check(
                "weights", name, conflict.slot, judgement, message=conflict.message, training=conflict.training_only,
                shown_by=("forward", "gradients") if conflict.harmless else (),
            )
        )  # fmt: skip
        if conflict.extra and judgement == "fail":
            text = f"{conflict.message}; no weight of the reference stands for it, and training moves it"
            outcome.findings.append(Finding("extra-layer", conflict.layer, "", text, EXTRA, "weights"))
        elif conflict.training_only and not conflict.shared:
            names = conflict.layer, conflict.reference_layer
            text = f"{conflict.message}; equal now, in training they part"
            outcome.findings.append(Finding("shared-weights", *names, text, MANY_VALUES, "weights"))
    if models.held is None:
        _judge_copies(models, outcome)
    else:
        _judge_own(models, models.held, outcome)
    outcome.findings += _unevenly_shared(models, conflicts)
    outcome.message += "".join(f"; {note}" for note in _reorderings(models))
    return outcome


def _unevenly_shared(models: AlignedModels, conflicts: list[Conflict]) -> list[Finding]:
    """One finding for all layers that one side shares, at the first; wrong copies of shared weights have their own."""
    wrong = models.held.wrong_slots if models.held is not None else set()
    by_side: dict[str, list[Conflict]] = {}
    for conflict in conflicts:
        if conflict.shared and not conflict.keys & wrong:
            by_side.setdefault(conflict.shared, []).append(conflict)
    findings = []
    for side, shared in by_side.items():
        first = shared[0]
        layers = list(dict.fromkeys(conflict.layer for conflict in shared))
        more = f" ({len(layers)} layers: {', '.join(layers[:SHOWN])}{', …' * (len(layers) > SHOWN)})"
        text = first.message + more * (len(layers) > 1)
        text += "; in training they part" if side == "reference" else "; it cannot hold both"
        fix = "call one layer twice" if side == "reference" else "give the port a layer for each of the reference's"
        evidence = {"layers": layers, "reference_layers": list(dict.fromkeys(one.reference_layer for one in shared))}
        findings.append(Finding("shared-weights", first.layer, first.reference_layer, text, fix, "weights", evidence))
    return findings


def _judge_copies(models: AlignedModels, outcome: Outcome) -> None:
    """What was written comes back as it was sent."""
    count = 0
    if not models.returned:
        with models.port_in("float64"):
            pass
    for match in models.matching.matches:
        for slot in match.reference.shapes:
            if (match.key, slot) in models.blocked:
                continue
            same = models.returned[match.key, slot]
            message = "" if same else f"{match.key}.{slot} does not come back as it was sent"
            outcome.checks.append(Check("weights", match.key, slot, judge(same), message=message))
        count += match.reference.size
    outcome.message = f"{count:,} parameters crossed and came back bit for bit" if count else NO_WEIGHTS
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
