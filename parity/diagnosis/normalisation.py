"""Hypotheses about batch normalisation and spectral normalisation. Plain NumPy."""

from __future__ import annotations

import numpy as np

from parity.diagnosis.evidence import FIT, Evidence, Explanation
from parity.numerics.difference import TINY
from parity.numerics.spectral_norm import MAX_ITERATIONS, U_FIRST, V_FIRST, sigma

Array = np.ndarray


def batchnorm_epsilon(evidence: Evidence) -> Explanation:
    """Another epsilon, computed from the values."""
    if evidence.kind != "batchnorm" or evidence.got is None or evidence.got.shape != evidence.expected.shape:
        return None
    beta = evidence.weights.get("beta", 0.0)
    bare = evidence.predict(epsilon=0.0)
    if bare is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        shrink = ((bare - beta) / (evidence.got - beta)) ** 2
    variance = _variance(evidence)
    solved = float(np.nanmedian((shrink - 1) * variance))
    if not np.isfinite(solved) or not evidence.agrees(evidence.predict(epsilon=solved)):
        return None
    expected = evidence.settings["epsilon"]
    return f"the port's epsilon is {solved:.3g}, the reference's {expected:g}", f"set eps={expected:g}"


def _variance(evidence: Evidence) -> Array:
    if evidence.training or not evidence.settings.get("tracked", True):
        return evidence.layer_input.reshape(-1, evidence.layer_input.shape[-1]).var(0)
    return evidence.weights["moving_variance"]


def batchnorm_variance(evidence: Evidence) -> Explanation:
    """Normalisation by the batch's unbiased variance instead of the biased one."""
    if evidence.kind != "batchnorm" or not evidence.agrees(evidence.predict(unbiased=True)):
        return None
    return "the port normalises by the unbiased variance n/(n-1)", "normalise by the biased batch variance"


def batchnorm_statistics(evidence: Evidence) -> Explanation:
    """Batch statistics instead of running ones, or the reverse."""
    if evidence.kind != "batchnorm" or not evidence.agrees(evidence.predict(training=not evidence.training)):
        return None
    used, expected = ("running", "batch") if evidence.training else ("batch", "running")
    return f"the port normalises with {used} statistics", f"use {expected} statistics here: check .train() and .eval()"


def spectral_norm(evidence: Evidence) -> Explanation:
    """The kernel divided by another number: not normalised, other power iterations, or another matrix."""
    settings, other = evidence.settings, evidence.match.port.attributes
    factor = _kernel_factor(evidence) if {"spectral_norm"} & (settings.keys() | other.keys()) else None
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


def _kernel_factor(evidence: Evidence) -> float | None:
    """The factor between the port's kernel and the reference's, if it explains the port's values."""
    got, kernel, bias = evidence.got, evidence.weights.get("kernel"), evidence.weights.get("bias")
    product = evidence.predict(bias=None)
    if got is None or kernel is None or product is None or got.shape[:-1] != product.shape[:-1]:
        return None
    few = slice(0, product.shape[-1])
    linear = got[..., few] - (0.0 if bias is None else bias[few])
    factor = float((linear * product).sum() / max((product * product).sum(), TINY))
    return factor if evidence.agrees(evidence.predict(kernel=factor * kernel)) else None
