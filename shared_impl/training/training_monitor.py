"""Signs that a training goes wrong: losses that are no numbers, a discriminator that has won, samples all alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from shared_impl.config.loss import LossConfig
from shared_impl.config.schema import Config

D_LOSS = "d_loss"
# A half of D's loss below this is a discriminator that has won: -ln 0.99 is 99 % certainty under dcgan, and under lsgan
# 0.1 squared is a tenth of the way between its targets. What it teaches G vanishes (Arjovsky and Bottou 2017,
# arXiv:1701.04862, theorem 2.4). Under hinge scores lie a hundredth within their margin on average: D learns
# from nothing beyond it, and G goes on against a D that stands still.
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
    """A metric is no number any more: the run cannot recover. The last checkpoint is the place to go back to."""


class Watch:
    """Looks at what a run logs and draws. A sign that lasts is told once, and again if it went and came back."""

    def __init__(self, config: Config) -> None:
        self._near_zero = near_zero(config.loss)
        self._won = HINGE_WON if config.loss.kind == "hinge" else WON
        self._since: dict[str, int] = {}
        self._told: set[str] = set()

    def losses(self, step: int, metrics: Mapping[str, float]) -> list[str]:
        """Warnings, a sentence each; Diverged if a metric is NaN or infinite."""
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
        """Diverged if an array of the training state holds NaN or infinity: no checkpoint to go on from."""
        for name, array in arrays.items():
            if array.dtype.kind == "f" and (bad := array.size - np.isfinite(array).sum()):
                raise Diverged(
                    f"{name} holds {bad:,} of {array.size:,} values that are NaN or infinite at step {step}: {REMEDY}"
                )

    def _lasting(self, sign: str, seen: bool, step: int, sentence: str) -> list[str]:
        if not seen:
            self._since.pop(sign, None)
            self._told.discard(sign)
            return []
        lasted = step - self._since.setdefault(sign, step)
        if lasted < PATIENCE or sign in self._told:
            return []
        self._told.add(sign)
        return [f"step {step}: {sign}: for {lasted} steps {sentence}"]


def difference(images: np.ndarray) -> float:
    """Root mean square difference between two of the images ``[N, H, W, C]``, over all pairs and pixels.

    The mean square over pairs is twice the unbiased variance over images.
    """
    return float(np.sqrt(2 * images.astype(np.float64).var(axis=0, ddof=1).mean()))


def near_zero(loss: LossConfig) -> float | None:
    """Below what D's loss tells that D has won; None under the Wasserstein losses, where zero tells nothing.

    Under dcgan and bce smoothed targets leave their entropy even to a D that knows everything; hinge knows neither
    ``d_scale`` nor smoothing.
    """
    if loss.kind not in FLOORS:
        return None
    halves = FLOORS[loss.kind](loss) + 2 * NEAR_ZERO
    return halves if loss.kind == "hinge" else loss.d_scale * halves


def _entropy(share: float) -> float:
    return -sum(p * math.log(p) for p in (share, 1 - share) if p)


def _smoothing(loss: LossConfig) -> float:
    return _entropy(loss.label_smoothing) * (1 + loss.smooth_fakes)


# What the two halves of the best D's loss leave together.
FLOORS: dict[str, Callable[[LossConfig], float]] = {
    "dcgan": _smoothing,
    "bce": _smoothing,
    "lsgan": lambda loss: 0.0,
    "hinge": lambda loss: 0.0,
}
