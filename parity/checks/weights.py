"""The rung ``weights``: every parameter is transferred and comes back unchanged. Plain NumPy."""

from __future__ import annotations

from parity.checks.climbing import Outcome
from parity.checks.context import CheckContext
from parity.numerics.copies import equal
from parity.verdict import Check, Finding, judge

SHARE = (
    "give the port as many parameters as the reference has: one where it shares one, one for each where it has several"
)


def weights(context: CheckContext) -> Outcome:
    """Every parameter has its counterpart, none is left over, and what was transferred comes back bit for bit."""
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
    return outcome
