"""Signs that training fails: NaN or infinite losses and weights, a discriminator that has won, samples all alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from shared_impl.config.loss import LossConfig
from shared_impl.config.schema import Config

D_LOSS = "d_loss"
# A half of D's loss below this is a discriminator that has won: -ln 0.99 is 99 % certainty under dcgan, and under lsgan
# 0.1 squared is a tenth of the way between its targets. G's gradient vanishes (Arjovsky and Bottou 2017,
# arXiv:1701.04862, theorem 2.4). Under hinge scores lie a hundredth within their margin on average: D learns
# from nothing beyond it, and G trains against a D that no longer changes.
NEAR_ZERO = 0.01
# Samples that differ by less are of one kind only. Measured in the same way, the most alike of the real data, 32 toms
# and 64 zeros, differ by 0.17 and 0.32, all drums and all digits by 0.41 and 0.61.
ALIKE = 0.05
# Steps that a sign must last. A new generator shows both: dcgan_tiny for its first 400 steps (measured).
PATIENCE = 500

WON = "so it teaches the generator nothing. Try a lower optimizer.lr_d, loss.label_smoothing=0.1 or loss.kind=wgan-gp"
HINGE_WON = "so it learns nothing any more. Try a lower optimizer.lr_d, training.d_updates=1 or loss.kind=wgan-gp"
REMEDY = "the training has diverged. Lower optimizer.lr, set optimizer.clip_norm, or go back to an earlier checkpoint"


class Diverged(ArithmeticError):
    """A metric or a weight is NaN or infinite: the run cannot recover. Go back to the last checkpoint."""


class TrainingMonitor:
    """Checks what a run logs and samples. A lasting sign is reported once, and again if it has gone and come back."""

    def __init__(self, config: Config) -> None:
        self._near_zero = near_zero(config.loss)
        self._won = HINGE_WON if config.loss.kind == "hinge" else WON
        self._since: dict[str, int] = {}
        self._reported: set[str] = set()

    def losses(self, step: int, metrics: Mapping[str, float]) -> list[str]:
        """Warnings about the metrics of a step, a sentence each; Diverged if one is NaN or infinite."""
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise Diverged(f"{name} is {value} at step {step}: {REMEDY}")
        if self._near_zero is None or D_LOSS not in metrics:
            return []
        return self._lasting(
            "the discriminator has won",
            metrics[D_LOSS] < self._near_zero,
            step,
            f"{D_LOSS} stays below {self._near_zero:.3g} (now {metrics[D_LOSS]:.2g}), {self._won}",
        )

    def samples(self, step: int, images: np.ndarray, labels: np.ndarray | None = None) -> list[str]:
        """Warnings about samples ``[N, H, W, C]`` of different latents, floats in [-1, 1], within their classes."""
        kinds = [images] if labels is None else [images[labels == label] for label in np.unique(labels)]
        if min(map(len, kinds)) < 2:
            return []
        apart = float(np.sqrt(np.mean([difference(kind) ** 2 for kind in kinds])))
        return self._lasting(
            "the generator has collapsed",
            apart < ALIKE,
            step,
            f"{len(images)} samples of different latents are nearly the same image (rms difference {apart:.2g} in "
            f"[-1, 1], below {ALIKE}). Go back to an earlier checkpoint, or try loss.kind=wgan-gp",
        )

    def weights(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Diverged if an array of the training state holds NaN or infinity, so that no checkpoint is made of it."""
        for name, array in arrays.items():
            if array.dtype.kind == "f" and (bad := array.size - np.isfinite(array).sum()):
                raise Diverged(
                    f"{name} holds {bad:,} of {array.size:,} values that are NaN or infinite at step {step}: {REMEDY}"
                )

    def _lasting(self, sign: str, present: bool, step: int, sentence: str) -> list[str]:
        if not present:
            self._since.pop(sign, None)
            self._reported.discard(sign)
            return []
        lasted = step - self._since.setdefault(sign, step)
        if lasted < PATIENCE or sign in self._reported:
            return []
        self._reported.add(sign)
        return [f"step {step}: {sign}: for {lasted} steps {sentence}"]


def difference(images: np.ndarray) -> float:
    """Root mean square difference between two of the images ``[N, H, W, C]``, over all pairs and pixels.

    The mean square over pairs is twice the unbiased variance over images.
    """
    return float(np.sqrt(2 * images.astype(np.float64).var(axis=0, ddof=1).mean()))


def near_zero(loss: LossConfig) -> float | None:
    """The value of D's loss below which D has won; None under the Wasserstein losses, whose value has no such bound.

    Under dcgan and bce the entropy of smoothed targets remains even for a perfect D; hinge uses neither ``d_scale`` nor
    smoothing.
    """
    if loss.kind not in FLOORS:
        return None
    halves = FLOORS[loss.kind](loss) + 2 * NEAR_ZERO
    return halves if loss.kind == "hinge" else loss.d_scale * halves


def _entropy(share: float) -> float:
    return -sum(p * math.log(p) for p in (share, 1 - share) if p)


def _smoothing(loss: LossConfig) -> float:
    return _entropy(loss.label_smoothing) * (1 + loss.smooth_fakes)


# The least value of both halves of D's loss together, by kind.
FLOORS: dict[str, Callable[[LossConfig], float]] = {
    "dcgan": _smoothing,
    "bce": _smoothing,
    "lsgan": lambda loss: 0.0,
    "hinge": lambda loss: 0.0,
}
