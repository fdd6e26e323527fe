"""The rungs step and training in bfloat16, where single values cannot be compared and the rounding itself can.

bfloat16 keeps 8 bits: two frameworks that add up in other orders differ by about 2^-9 of everything, activations
change their signs, and Adam turns each such sign into a whole step. What can be judged: that each framework's bfloat16
gradients lie about its own float32 gradients as bfloat16 rounding does, not much nearer (then it computes in something
else) and not much further, and that both frameworks round alike.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.compare import ROUNDING_LIMIT
from parity.convert.states import OPTIMIZERS
from parity.rungs.bench import Outcome
from parity.training import lockstep
from parity.training.bench import Bench
from parity.training.houses import House
from parity.verdict import Check, Finding

Arrays = dict[str, np.ndarray]
ROUNDOFF = 2.0**-9  # of bfloat16: 8 bits, of which the first is implied
# A layer rounds its input, its weights and its output, and a gradient passes each layer twice: over five layers some 30
# roundings add up at random, and flip some signs. What is computed in float32 after all shows 2^-24.
NEAREST, FURTHEST = ROUNDOFF / 16, ROUNDOFF * 64
REASON = (
    "bfloat16 rounds by 2^-9: signs of activations change, and runs part for good; the same configuration is judged in "
    "float64"
)


def step(bench: Bench) -> Outcome:
    """Equal starts bit for bit; then how far each framework's first step in bfloat16 is from its own in float32."""
    outcome = Outcome()
    start = {house.name: bench.run(house).states[0] for house in (bench.reference, bench.port)}
    expected, got = start[bench.reference.name], start[bench.port.name]
    same = expected.keys() == got.keys() and all(np.array_equal(expected[name], got[name]) for name in expected)
    outcome.checks.append(Check("step", "state", "start", "pass" if same else "fail"))
    rounding = {house.name: _rounding(bench, house) for house in (bench.reference, bench.port)}
    for network in rounding[bench.reference.name]:
        both = {name: found[network] for name, found in rounding.items()}
        for name, found in both.items():
            fine = NEAREST < found < FURTHEST
            message = "" if fine else f"{name}: first update of the {network} is {found:.2g} from its own in float32"
            outcome.checks.append(
                Check(
                    "step",
                    network,
                    f"{name}, against float32",
                    "pass" if fine else "fail",
                    found,
                    FURTHEST,
                    "relative",
                    message,
                )
            )
        ratio = max(both.values()) / max(min(both.values()), np.finfo(float).tiny)
        fine = ratio < ROUNDING_LIMIT
        message = "" if fine else f"the frameworks round the {network} unlike: {both}"
        outcome.checks.append(
            Check(
                "step", network, "rounding alike", "pass" if fine else "fail", ratio, ROUNDING_LIMIT, "times", message
            )
        )
    for check in [check for check in outcome.checks if check.judgement == "fail"][:1]:
        fix = "compute both networks in bfloat16, and keep weights, losses and optimisers in float32"
        outcome.findings.append(
            Finding("precision", check.layer, check.layer, check.message or check.what, fix, "step")
        )
    outcome.checks.append(Check("step", "values", "each by itself", "abstain", message=REASON))
    outcome.message = f"both frameworks start alike and round alike; single values abstain: {REASON}"
    return outcome


def training(bench: Bench) -> Outcome:
    """Nothing: both runs are made, for their curves."""
    assert bench.expected and bench.got
    return Outcome([Check("training", "values", "lockstep", "abstain", message=REASON)], message=REASON)


RUNGS: dict[str, Callable[[Bench], Outcome]] = {"step": step, "training": training}


def _rounding(bench: Bench, house: House) -> dict[str, float]:
    """By network, how far its first gradients in bfloat16 are from its own in float32, relative and in norm."""
    single = bench.config.model_copy(
        update={"training": bench.config.training.model_copy(update={"precision": "float32"})}
    )
    trainer = house.build(single, bench.steps, bench.moments)
    wide, narrow = lockstep.run(house, trainer, single, range(1)), bench.run(house)
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
