"""What can be wrong with batch normalisation and with spectral normalisation. Plain NumPy."""

from __future__ import annotations

import numpy as np

from parity.diagnosis.evidence import FIT, Answer, Evidence
from parity.numerics.difference import TINY
from parity.numerics.spectral_norm import MAX_ITERATIONS, U_FIRST, V_FIRST, sigma

Array = np.ndarray


def batchnorm_epsilon(evidence: Evidence) -> Answer:
    """Another epsilon, solved for from the values."""
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
        return evidence.given.reshape(-1, evidence.given.shape[-1]).var(0)
    return evidence.weights["moving_variance"]


def batchnorm_variance(evidence: Evidence) -> Answer:
    """The batch's unbiased variance where the biased one normalises."""
    if evidence.kind != "batchnorm" or not evidence.agrees(evidence.predict(unbiased=True)):
        return None
    return "the port normalises by the unbiased variance n/(n-1)", "normalise by the biased batch variance"


def batchnorm_statistics(evidence: Evidence) -> Answer:
    """Batch statistics where the running ones belong, or the reverse."""
    if evidence.kind != "batchnorm" or not evidence.agrees(evidence.predict(training=not evidence.training)):
        return None
    used, due = ("running", "batch") if evidence.training else ("batch", "running")
    return f"the port normalises with {used} statistics", f"use {due} statistics here: check .train() and .eval()"


def spectral_norm(evidence: Evidence) -> Answer:
    """The kernel divided by another number: not normalised, moved more or fewer times, or by another matrix."""
    settings, other = evidence.settings, evidence.match.port.attributes
    factor = _kernel_factor(evidence) if {"spectral_norm"} & (settings.keys() | other.keys()) else None
    if factor is None:
        return None
    kept = evidence.weights.get("original", evidence.weights["kernel"])
    largest = np.argmax(np.abs(kept))
    mine = float(kept.flat[largest] / evidence.weights["kernel"].flat[largest])
    used = mine / factor
    where = "in training" if evidence.training else "in evaluation"
    if abs(used - 1) < FIT:
        return f"the port computes {where} with the kernel as it is kept, the reference with kernel / {mine:.6g}", (
            "normalise it: torch.nn.utils.parametrizations.spectral_norm(layer)"
        )
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
    return f"the port divides its kernel by {used:.6g} {where}, the reference by {mine:.6g}", (
        f"divide by u^T W v of the matrix [{settings['spectral_axis']}, rest]: leave dim to torch's spectral_norm"
    )


def _kernel_factor(evidence: Evidence) -> float | None:
    """By what the port's kernel is larger than the reference's, if that explains its values."""
    got, kernel, bias = evidence.got, evidence.weights.get("kernel"), evidence.weights.get("bias")
    product = evidence.predict(bias=None)
    if got is None or kernel is None or product is None or got.shape[:-1] != product.shape[:-1]:
        return None
    few = slice(0, product.shape[-1])
    linear = got[..., few] - (0.0 if bias is None else bias[few])
    factor = float((linear * product).sum() / max((product * product).sum(), TINY))
    return factor if evidence.agrees(evidence.predict(kernel=factor * kernel)) else None
