"""The rungs step and training in bfloat16, where the rounding itself is compared instead of single values.

bfloat16 keeps 8 bits: two frameworks that add up in other orders differ by about 2^-9 of everything, activations
change their signs, and Adam turns each such sign into a whole step. What can be judged: that each framework's first
gradients in bfloat16 are not its own in float32 (then it would compute in something else), and that both frameworks are
about as far from theirs.
"""

from __future__ import annotations

import numpy as np

from parity.checks.climbing import Outcome
from parity.numerics.difference import TINY
from parity.numerics.tolerance import ROUNDING_LIMIT
from parity.systems.conversion.states import OPTIMIZERS
from parity.systems.training import lockstep
from parity.systems.training.context import TrainingContext
from parity.systems.training.implementations import Implementation
from parity.verdict import Check, Finding, judge

Arrays = dict[str, np.ndarray]
# The unit roundoff of bfloat16 is 2^-9 and adds up: gradients here are 0.04 to 0.2 from float32's. A sixteenth of one
# rounding is more than float32 ever shows (2^-24, added up likewise).
NEAREST = 2.0**-9 / 16
FURTHEST = 0.5  # of a gradient: where the reference's own rounding is more, the gradient is noise
REASON = (
    "bfloat16 rounds by 2^-9: signs of activations change, and runs part for good; the same configuration is judged in "
    "float64"
)


def step(context: TrainingContext) -> Outcome:
    """Equal starts bit for bit; then how far each framework's first step in bfloat16 is from its own in float32."""
    outcome = Outcome()
    start = {
        implementation.name: context.run(implementation).states[0]
        for implementation in (context.reference, context.port)
    }
    expected, got = start[context.reference.name], start[context.port.name]
    same = expected.keys() == got.keys() and all(np.array_equal(expected[name], got[name]) for name in expected)
    outcome.checks.append(Check("step", "state", "start", "pass" if same else "fail"))
    rounding = {
        implementation.name: _rounding(context, implementation) for implementation in (context.reference, context.port)
    }
    notes = []
    for network in OPTIMIZERS.values():
        both = {name: found[network] for name, found in rounding.items()}
        listed = " and ".join(f"{found:.2g} in {name}" for name, found in both.items())
        notes.append(f"the {network}'s first gradients are {listed} from float32's")
        for name, found in both.items():
            message = "" if found > NEAREST else f"{name}: {notes[-1]}: that is no bfloat16"
            outcome.checks.append(Check("step", network, f"{name} rounds", judge(not message), found, message=message))
        ratio = max(both.values()) / max(min(both.values()), TINY)
        noise = both[context.reference.name] > FURTHEST
        judgement = judge(ratio < ROUNDING_LIMIT, noise)
        message = "" if judgement == "pass" else notes[-1]
        outcome.checks.append(
            Check("step", network, "both round alike", judgement, ratio, ROUNDING_LIMIT, "times", message)
        )
    for check in [check for check in outcome.checks if check.judgement == "fail"][:1]:
        fix = "compute both networks in bfloat16, and keep weights, losses and optimisers in float32"
        outcome.findings.append(
            Finding("precision", check.layer, check.layer, check.message or check.what, fix, "step")
        )
    outcome.checks.append(Check("step", "values", "each by itself", "abstain", message=REASON))
    outcome.message = f"equal starts; {'; '.join(notes)}; single values abstain: {REASON}"
    return outcome


def training(context: TrainingContext) -> Outcome:
    """Nothing: both runs are made, for their curves."""
    assert context.expected and context.got
    return Outcome([Check("training", "values", "lockstep", "abstain", message=REASON)], message=REASON)


def _rounding(context: TrainingContext, implementation: Implementation) -> dict[str, float]:
    """By network, how far its first gradients in bfloat16 are from its own in float32, relative and in norm."""
    single = context.config.model_copy(
        update={"training": context.config.training.model_copy(update={"precision": "float32"})}
    )
    trainer = implementation.build(single, context.steps, context.moments)
    wide, narrow = lockstep.run(implementation, trainer, single, range(1)), context.run(implementation)
    return {network: _apart(narrow.states, wide.states, scope, network) for scope, network in OPTIMIZERS.items()}


def _apart(narrow: list[Arrays], wide: list[Arrays], optimizer: str, network: str) -> float:
    """Of first moments, which are gradients by a factor; under RMSprop of the way that the weights went."""
    moments = [name for name in wide[1] if name.startswith(f"{optimizer}/m/")]
    weights = [name for name in wide[1] if name.startswith(f"{network}/") and "moving_" not in name]
    a, b = (
        np.concatenate([(states[1][name].astype(np.float64) - states[0][name]).ravel() for name in moments or weights])
        for states in (narrow, wide)
    )
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
