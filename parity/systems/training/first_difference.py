"""The first thing that differs in two runs: the step, the update, the array, and a cause."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parity.checks.messages import describe
from parity.numerics.difference import difference
from parity.systems.conversion.states import NETWORKS, converted_arrays
from parity.systems.training.explain import explain
from parity.systems.training.noise import owner
from parity.systems.training.update_case import Case, Cause
from parity.verdict import Finding

if TYPE_CHECKING:
    from parity.systems.training.context import TrainingContext

# What a step computes, in order: the losses of D, D's moments and weights, then the same of G.
D_LOSSES = ("d_real", "d_fake", "penalty", "d_class", "d_loss")
G_LOSSES = ("g_class", "perceptual", "texture", "g_loss")
PARTS = ("d_optimizer", "discriminator", *G_LOSSES, "g_optimizer", "generator", "ema")
CAUSES = {
    "d_real": (
        "loss",
        "D's scores of the real batch differ",
        "compare prepare(), instance noise, and which weights D has",
    ),
    "d_fake": ("loss", "D's scores of the fakes differ", "compare the latents drawn for this update, and prepare()"),
    "penalty": (
        "penalty",
        "D's scores agree and the penalty does not",
        "compare the mixing weights alpha drawn for this update, penalty_weight, and the gradient's norm",
    ),
    "d_class": (
        "loss",
        "D's scores agree and its class logits do not",
        "compare the labels, auxiliary_weight, and that fakes are classified as well as real images",
    ),
    "g_class": (
        "loss",
        "D's losses agree, its class logits of G's fakes do not",
        "compare the labels and auxiliary_weight",
    ),
    "perceptual": (
        "loss",
        "D's losses agree, the fakes' distance in VGG19's features does not",
        "compare how images are normalised for VGG19, the layer whose features count, and perceptual_weight",
    ),
    "texture": (
        "loss",
        "D's losses agree, the distance of Gram matrices does not",
        "compare what the Gram matrices are divided by, and texture_weight",
    ),
    "d_loss": (
        "loss",
        "D's mean scores and the penalty agree, the loss made of them does not",
        "compare the targets (label_smoothing, smooth_fakes) and d_scale",
    ),
    "g_loss": (
        "loss",
        "D's losses agree, G's loss does not",
        "compare G's target, instance noise, and the weights of D",
    ),
}


@dataclass(frozen=True)
class First:
    """``name`` is the first array or loss to differ, in step ``step`` (from 1; 0: before the first)."""

    step: int
    name: str
    finding: Finding


def first(context: TrainingContext) -> First | None:
    """Where the runs diverge first, and why; None if they never do."""
    start = [name for name, series in context.states.items() if series.gaps[0].absolute and name not in context.noise]
    if start:
        return _at_start(context, _in_order(start)[0])
    for step in range(context.steps):
        losses = [name for name, series in context.losses.items() if series.diverged(step)]
        states = [
            name for name, series in context.states.items() if series.diverged(step + 1) and name not in context.noise
        ]
        if losses or states:
            return _within(context, step, losses, states)
    return None


def port_name(context: TrainingContext, name: str) -> str:
    """The name of an array of the state in torch."""
    network, _, parameter = owner(name).partition("/")
    if network not in NETWORKS.values():
        return name
    torch_names = {entry.keras: entry.torch for entry in converted_arrays(context.config.model, network)}
    return name.removesuffix(parameter) + torch_names.get(parameter, parameter)


def _at_start(context: TrainingContext, name: str) -> First:
    series = context.states[name]
    message = f"{name}: differs before the first step: {describe(series.gaps[0])}"
    fix = "draw initial weights from shared_impl.draws by the layer's name; start slots at what the configuration says"
    return First(0, name, _finding(context, name, Cause("initial-state", message, fix), "step"))


def _within(context: TrainingContext, step: int, losses: list[str], states: list[str]) -> First:
    """One step, repeated on both sides from the states before it, update by update."""
    expected, got = context.updates(context.reference, step), context.updates(context.port, step)
    updates = len(expected) - 1
    for update in range(1, updates + 1):
        candidates = list(_apart(context, step, expected[update], got[update]))
        ordered = _in_order([*losses, *candidates] if update == updates else candidates)
        if not ordered:
            continue
        name = ordered[0]
        where = f"step {step + 1}" + (f", D update {update} of {updates}" if updates > 1 and _of_d(name) else "")
        if name in context.losses:
            gap = context.losses[name].gaps[step]
            kind, reason, fix = CAUSES.get(name, ("loss", "this loss differs first", "compare how it is computed"))
            cause = Cause(kind, f"{where}: {name} is {gap.got:.12g}, expected {gap.expected:.12g}: {reason}", fix)
        else:
            case = Case(
                context.config, context.steps, step, name,
                expected[update - 1], expected[update], got[update - 1], got[update],
            )  # fmt: skip
            cause = explain(case)
            apart = describe(difference(got[update][name], expected[update][name]))
            cause = cause._replace(message=f"{where}: {name}: {apart}; {cause.message}")
        return First(step + 1, name, _finding(context, name, cause, "step" if step == 0 else "training"))
    name = _in_order([*losses, *states])[0]
    cause = Cause(
        "numeric",
        f"step {step + 1}: {name} differs, and does not when the step is repeated",
        "look for state that checkpoints do not hold, and for random numbers that do not follow from the step",
    )
    return First(step + 1, name, _finding(context, name, cause, "step" if step == 0 else "training"))


def _apart(context: TrainingContext, step: int, expected: dict, got: dict) -> Iterator[str]:
    for name, series in context.states.items():
        if name not in context.noise and difference(got[name], expected[name]).absolute > series.limits[step + 1]:
            yield name


def _in_order(names: Sequence[str]) -> list[str]:
    """In the order of computation: D's losses, slots and weights, then G's loss, slots, weights and average.

    Gradients reach the last layer first; first moments stand before second ones.
    """
    order = (*D_LOSSES, *PARTS)
    return sorted(reversed(names), key=lambda name: (order.index(name.partition("/")[0]), "/v/" in name))


def _of_d(name: str) -> bool:
    return name in D_LOSSES or owner(name).startswith("discriminator") or name.startswith("d_optimizer")


def _finding(context: TrainingContext, name: str, cause: Cause, rung: str) -> Finding:
    return Finding(cause.kind, port_name(context, name), name, cause.message, cause.fix, rung)
