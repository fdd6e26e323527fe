"""Why a training update differs: the one changed setting that reproduces the port's own numbers, if there is one.

Each hypothesis takes a :class:`parity.systems.training.update_case.Case` and solves for the setting; it is a cause only
if the port's values follow from it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.numerics.difference import scale
from parity.numerics.spectral_norm import MAX_ITERATIONS, OUTPUTS, kernel_matrix, power_iterations
from parity.systems.training.update_case import REST, Array, Case, Cause, explains, solved
from shared_impl.training.schedules import learning_rates


def explain(case: Case) -> Cause:
    """The cause that reproduces the port's values."""
    causes = (hypothesis(case) for hypothesis in HYPOTHESES)
    return next(
        (cause for cause in causes if cause is not None), Cause("numeric", "no one setting explains it", UNKNOWN)
    )


UNKNOWN = "compare the two trainers line by line from the first array that differs"


def _count(case: Case) -> Cause | None:
    """An optimiser's count of its updates."""
    if not case.name.endswith("/updates"):
        return None
    message = f"counts {int(case.got[case.name])} updates; {int(case.expected[case.name])} were made"
    return Cause("update-count", message, "count one update for each call, and keep the count in checkpoints")


def _decay(case: Case) -> Cause | None:
    """A moment with another decay, or another gradient."""
    slot = case.name.split("/")[1]
    if slot not in DECAYS or not case.scope.endswith("optimizer"):
        return None
    found = [_factor(case, kind) for kind in ("m", "v") if case.slot(kind) in case.got]
    factors = [factor for factor in found if factor is not None]
    if len(factors) == 2 and np.isclose(factors[0], factors[1], rtol=REST):
        return _scaled(factors[0])
    wanted, past, new = _fed(case, slot)
    share = solved(case.got[case.name] - new, past - new, wanted)
    if share is not None:
        message = f"is reproduced by optimizer.{DECAYS[slot]}={share:.10g}; the configuration says {wanted:.10g}"
        return Cause("optimizer-decay", message, f"give the port's optimiser {DECAYS[slot]}={wanted:g}")
    factor = _factor(case, slot)
    if factor is not None:
        return _scaled(factor)
    return Cause("gradient", "comes from another gradient", "compare the losses, and what their gradients pass through")


def _fed(case: Case, slot: str) -> tuple[float, Array, Array]:
    """A slot's decay, its previous value, and the gradient (or its square) that the reference added."""
    wanted, name = getattr(case.config.optimizer, DECAYS[slot]), case.slot(slot)
    return wanted, case.before[name], (case.expected[name] - wanted * case.before[name]) / (1 - wanted)


def _factor(case: Case, slot: str) -> float | None:
    """The factor between the port's gradient and the reference's, by a slot; None if there is no one factor."""
    wanted, past, new = _fed(case, slot)
    factor = solved(case.got[case.slot(slot)] - wanted * past, (1 - wanted) * new, 1.0)
    if factor is None or slot == "m":
        return factor
    return float(np.sqrt(factor)) if factor > 0 else None


def _scaled(factor: float) -> Cause:
    message = f"is reproduced by a gradient {factor:.10g} times as large"
    return Cause("gradient", message, "compare sums with means, the loss's weights, accumulation and clipping")


def _rate(case: Case) -> Cause | None:
    """A parameter updated at another learning rate, or with epsilon in another place."""
    cfg = case.config.optimizer
    if case.scope not in ("generator", "discriminator") or case.slot(SLOTS[cfg.kind]) not in case.got:
        return None
    way = case.port_before[case.name] - case.got[case.name]
    numerator, root, correction = RULES[cfg.kind](case)
    epsilons = EPSILONS[cfg.kind](case, root)
    wanted = next(iter(epsilons.values()))
    usual = case.rate * correction * numerator / wanted
    for place, denominator in list(epsilons.items())[1:]:
        if explains(way, case.rate * correction * numerator / denominator, usual):
            message = f"is reproduced by epsilon {place}; the configuration has it {next(iter(epsilons))}"
            return Cause("optimizer-epsilon", message, "add epsilon where the configuration says")
    if (epsilon := _other_epsilon(way, case.rate * correction * numerator, root, usual)) is not None:
        message = f"is reproduced by epsilon {epsilon:.4g} beside the root; the configuration says {cfg.epsilon:g}"
        return Cause("optimizer-epsilon", message, "give the port's optimiser the configured epsilon, where it says")
    rate = solved(way, numerator / wanted, case.rate * correction)
    if rate is None:
        return None
    for count in (case.update - 1, case.update + 1, 1):
        if cfg.kind == "adam" and count > 0 and np.isclose(rate, case.rate * _correction(case, count), rtol=REST):
            message = f"is reproduced by the bias correction of update {count}; this is update {case.update}"
            return Cause("update-count", message, "count one update for each call, and keep the count in checkpoints")
    return _named_rate(case, rate / correction)


def _named_rate(case: Case, rate: float) -> Cause:
    cfg, own = case.config.optimizer, case.optimizer == "g_optimizer"
    known = {
        "the other network's": learning_rates(cfg, case.step, case.steps)[not own],
        "that of the step before": learning_rates(cfg, max(case.step - 1, 0), case.steps)[own],
        "that of the step after": learning_rates(cfg, case.step + 1, case.steps)[own],
    }
    meaning = next((f", {name}" for name, value in known.items() if np.isclose(rate, value, rtol=REST)), "")
    message = f"is reproduced by the learning rate {rate:.10g}{meaning}; expected {case.rate:.10g}"
    return Cause(
        "learning-rate", message, "hand the optimiser the rate that shared_impl.training.schedules gives for this step"
    )


def _clipping(case: Case) -> Cause | None:
    """Weights of a Wasserstein critic clipped to another bound."""
    if case.config.loss.kind != "wgan" or case.scope != "discriminator":
        return None
    bound, wanted = scale(case.got[case.name]), case.config.loss.clip
    if scale(case.expected[case.name]) != wanted or bound == wanted:
        return None
    message = f"reaches {bound:.10g}; loss.clip={wanted:g} keeps every weight of D within it"
    return Cause("weight-clipping", message, "clip all of D's parameters after each of its updates")


def _average(case: Case) -> Cause | None:
    """A moving average with another decay."""
    if case.scope != "ema":
        return None
    wanted = case.config.training.ema or 0.0
    source = f"generator/{case.parameter}"
    past, now, new = case.port_before[case.name], case.got[case.name], case.got[source]
    share = solved(now - new, past - new, wanted)
    if share is None:
        return None
    message = f"is reproduced by training.ema={share:.10g}; the configuration says {wanted:g}"
    return Cause("ema-decay", message, f"average with decay {wanted:g}, once a step, after the generator's update")


def _statistics(case: Case) -> Cause | None:
    """Running statistics."""
    if "moving_" not in case.name:
        return None
    message = "is not what the same passes through the network leave behind"
    return Cause("batchnorm-statistics", message, "compare how often each network runs in training mode, and on what")


def _iterations(case: Case) -> Cause | None:
    """The vectors of a spectral normalisation, after another number of power iterations."""
    layer, _, slot = case.name.rpartition("/")
    if slot not in ("u", "v") or f"{layer}/kernel" not in case.expected:
        return None
    reference, port = ([state[f"{layer}/{one}"] for one in ("u", "v")] for state in (case.expected, case.got))
    for more in range(1, MAX_ITERATIONS):
        for start, end, word in ((reference, port, "more"), (port, reference, "fewer")):
            if _reaches(case.expected[f"{layer}/kernel"], start, end, more):
                message = f"is reproduced by {more} power iteration(s) {word} than the reference makes"
                return Cause("spectral-norm", message, "make one at each pass in training, which torch does whenever "
                            "the weight is read, and none elsewhere")  # fmt: skip
    return Cause("spectral-norm", "no number of power iterations does it", "compare the matrix, and what moves first")


def _reaches(kernel: Array, start: list[Array], end: list[Array], times: int) -> bool:
    (u, v), (wanted, _) = start, end
    for kind in ("conv", "conv-transpose", "dense"):
        weight = kernel_matrix(kernel, kind, OUTPUTS)
        if weight.shape == (u.size, v.size):
            found, _ = power_iterations(weight, u, v.reshape(-1), times)
            if explains(wanted, found, u):
                return True
    return False


HYPOTHESES: list[Callable[[Case], Cause | None]] = [
    _count, _decay, _statistics, _iterations, _clipping, _rate, _average,
]  # fmt: skip


def _correction(case: Case, count: int) -> float:
    """Adam's bias correction of update ``count``."""
    cfg = case.config.optimizer
    return float(np.sqrt(1 - cfg.beta2**count) / (1 - cfg.beta1**count))


def _adam(case: Case) -> tuple[Array, Array, float]:
    """The parts of an update from the port's own moments: numerator, root, and the factor of the learning rate."""
    return case.got[case.slot("m")], np.sqrt(case.got[case.slot("v")]), _correction(case, case.update)


def _rmsprop(case: Case) -> tuple[Array, Array, float]:
    decay, slot = case.config.optimizer.decay, case.slot("s")
    square = (case.got[slot] - decay * case.port_before[slot]) / (1 - decay)
    way = case.port_before[case.name] - case.got[case.name]
    return np.sign(way) * np.sqrt(np.maximum(square, 0)), np.sqrt(case.got[slot]), 1.0


def _adam_epsilons(case: Case, root: Array) -> dict[str, Array]:
    """Denominators by the place of epsilon, the configured one first."""
    cfg = case.config.optimizer
    beside = root + cfg.epsilon
    corrected = root + cfg.epsilon * np.sqrt(1 - cfg.beta2**case.update)
    places = {"tensorflow": beside, "torch": corrected}
    order = sorted(places, key=lambda place: place != cfg.epsilon_place)
    return {f"where {place} has it (epsilon_place={place})": places[place] for place in order}


def _rmsprop_epsilons(case: Case, root: Array) -> dict[str, Array]:
    epsilon = case.config.optimizer.epsilon
    return {"inside the root": np.sqrt(root**2 + epsilon), "outside the root": root + epsilon}


def _other_epsilon(way: Array, numerator: Array, root: Array, usual: Array) -> float | None:
    """The epsilon for which ``numerator / (root + epsilon)`` is ``way``; None if there is none."""
    used = np.abs(way) > np.abs(way).max() / 1000
    epsilon = float(np.median(numerator[used] / way[used] - root[used])) if used.any() else -1.0
    return epsilon if epsilon >= 0 and explains(way, numerator / (root + epsilon), usual) else None


DECAYS = {"m": "beta1", "v": "beta2", "s": "decay"}
SLOTS = {"adam": "m", "rmsprop": "s"}
RULES = {"adam": _adam, "rmsprop": _rmsprop}
EPSILONS = {"adam": _adam_epsilons, "rmsprop": _rmsprop_epsilons}
