"""Hypotheses about batch normalisation and spectral normalisation. Plain NumPy."""

from __future__ import annotations

import numpy as np

from parity.diagnosis.convolutions import kernel_factor
from parity.diagnosis.evidence import FIT, Evidence, Explanation
from parity.numerics.spectral_norm import MAX_ITERATIONS, U_FIRST, V_FIRST, sigma

Array = np.ndarray


def batchnorm_epsilon(evidence: Evidence) -> Explanation:
    """Another epsilon of a batch normalisation."""
    return _epsilon(evidence) if evidence.kind == "batchnorm" else None


def layernorm_epsilon(evidence: Evidence) -> Explanation:
    """Another epsilon of a layer normalisation."""
    return _epsilon(evidence) if evidence.kind == "layernorm" else None


def groupnorm_epsilon(evidence: Evidence) -> Explanation:
    """Another epsilon of a group normalisation."""
    return _epsilon(evidence) if evidence.kind == "groupnorm" else None


def _epsilon(evidence: Evidence) -> Explanation:
    """Another epsilon than the reference's, computed from the values."""
    bare, beta = evidence.predict(epsilon=0.0), evidence.weights.get("beta", 0.0)
    if (
        evidence.got is None
        or bare is None
        or not evidence.agrees_on_shape
        or not evidence.reference_is(evidence.predict())
    ):
        return None
    with np.errstate(all="ignore"):
        shrink = ((bare - beta) / (evidence.got - beta)) ** 2
        solved = float(np.nanmedian((shrink - 1) * _variance(evidence)))
    expected = evidence.settings["epsilon"]
    if not np.isfinite(solved) or not evidence.agrees(evidence.predict(epsilon=solved)):
        return None
    return f"the port's epsilon is {solved:.3g}, the reference's {expected:g}", f"set eps={expected:g}"


def _variance(evidence: Evidence) -> Array:
    """The variance that the reference divides by, so shaped that it broadcasts over the values."""
    x = evidence.layer_input
    if evidence.kind == "layernorm":
        rank = max((value.ndim for value in evidence.weights.values()), default=1)
        return x.var(tuple(range(-rank, 0)), keepdims=True)
    if evidence.kind == "groupnorm":
        groups = evidence.settings["groups"]
        per_group = x.reshape(len(x), -1, groups, x.shape[-1] // groups).var((1, 3))
        return np.repeat(per_group, x.shape[-1] // groups, -1).reshape(len(x), *(1,) * (x.ndim - 2), -1)
    if evidence.training or not evidence.settings.get("tracked", True):
        return x.reshape(-1, x.shape[-1]).var(0)
    return evidence.weights["moving_variance"]


def group_count(evidence: Evidence) -> Explanation:
    """Another number of groups."""
    if evidence.kind != "groupnorm":
        return None
    channels, own = evidence.layer_input.shape[-1], evidence.settings["groups"]
    for groups in (n for n in range(1, channels + 1) if channels % n == 0 and n != own):
        if evidence.agrees(evidence.predict(groups=groups)):
            return f"the port normalises {groups} groups of channels, the reference {own}", f"set num_groups={own}"
    return None


def batchnorm_variance(evidence: Evidence) -> Explanation:
    """Normalisation by the batch's unbiased variance instead of the biased one."""
    if evidence.kind != "batchnorm" or not evidence.agrees(evidence.predict(unbiased=True)):
        return None
    return "the port normalises by the unbiased variance n/(n-1)", "normalise by the biased batch variance"


STATISTICS = {True: "the batch's statistics", False: "the running statistics"}


def batchnorm_statistics(evidence: Evidence) -> Explanation:
    """Batch statistics instead of running ones, or the reverse; a layer that is held in evaluation on one side."""
    if evidence.kind != "batchnorm":
        return None
    by_batch, by_running = (evidence.predict(training=training) for training in (True, False))
    if evidence.reference_is(by_running) and evidence.agrees(by_batch):
        used, expected = True, False
    elif evidence.reference_is(by_batch) and evidence.agrees(by_running):
        used, expected = False, True
    else:
        return None
    mode = "training" if evidence.training else "evaluation"
    message = f"in {mode} the port normalises with {STATISTICS[used]}, the reference with {STATISTICS[expected]}"
    if not evidence.training:
        return message, (
            f"use {STATISTICS[expected]} here: check .eval(), track_running_stats and F.batch_norm(training=...)"
        )
    if expected:
        return message, "let the layer train as the reference's does: no .eval() that survives model.train()"
    return f"{message} (frozen: trainable=False or training=False)", (
        "keep this layer in evaluation: override train() of the port to call self.bn.eval() after super().train(mode); "
        "requires_grad_(False) freezes scale and offset alone"
    )


def affine_axis(evidence: Evidence) -> Explanation:
    """A factor or an offset that is spread along another axis than the channels: sizes that are equal hide it."""
    if evidence.kind != "affine":
        return None
    channels = evidence.layer_input.ndim - 1
    for axis in range(1, channels):
        if evidence.agrees(evidence.predict(axis=axis)):
            shape = "(-1, " + "1, " * (channels - 2) + "1)"
            return (
                f"the port spreads its weight along axis {axis + 1} of its input, the reference along the channels",
                (f"let it have the channels first: weight.reshape{shape}"),
            )
    return None


def spectral_norm(evidence: Evidence) -> Explanation:
    """The kernel divided by another number: not normalised, other power iterations, or another matrix."""
    settings, other = evidence.settings, evidence.match.port.attributes
    factor = kernel_factor(evidence) if {"spectral_norm"} & (settings.keys() | other.keys()) else None
    if factor is None:
        return None
    kept = evidence.weights.get("original", evidence.weights["kernel"])
    largest = np.argmax(np.abs(kept))
    reference_sigma = float(kept.flat[largest] / evidence.weights["kernel"].flat[largest])
    used = reference_sigma / factor
    where = "in training" if evidence.training else "in evaluation"
    if abs(used - 1) < FIT:
        message = f"the port computes {where} with the kernel as it is kept"
        message += f", the reference with kernel / {reference_sigma:.6g}"
        return message, "normalise it: torch.nn.utils.parametrizations.spectral_norm(layer)"
    if "spectral_norm" not in settings:
        return f"the port divides its kernel by {used:.6g}, the reference does not", "remove the spectral normalisation"
    for order in (U_FIRST, V_FIRST) if evidence.training else ():
        for times in range(MAX_ITERATIONS + 1):
            divisor = sigma(kept, evidence.weights, evidence.kind, settings, times, order)
            if divisor is not None and abs(divisor / used - 1) < FIT:
                return (
                    f"the port makes {times} power iterations in training ({order}), the reference "
                    f"{settings['power_iterations']} ({settings['spectral_order']})"
                ), f"make {settings['power_iterations']} and move {settings['spectral_order']}"
    return f"the port divides its kernel by {used:.6g} {where}, the reference by {reference_sigma:.6g}", (
        f"divide by u^T W v of the matrix [{settings['spectral_axis']}, rest]: leave dim to torch's spectral_norm"
    )
