"""The section ``training``: length, batches, precision and everything random of a run."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import model_validator

from shared_impl.config.section import Count, Index, NotNegative, Section, Share, Sizes


class TrainingConfig(Section):
    """How long and in which portions. A step is ``d_updates`` updates of D, then one of G."""

    steps: Count | None = None
    epochs: Count | None = None
    batch_size: Count = 64
    seed: Index = 0
    d_updates: Count = 5
    reuse_fakes: bool = False  # G learns from the same fakes that D was just given
    accumulation: Count = 1  # portions of a batch whose gradients are averaged
    # Deviation of the Gaussian noise on every image that D is given (Soenderby et al. 2017, arXiv:1610.04490): it hides
    # fine textures, by which D would separate few and smooth images from G's at once
    instance_noise: NotNegative = 0.0
    ema: Share | None = None  # decay of the generator's moving average, which then makes the samples
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    compile: bool = False  # torch.compile (not through a gradient penalty), or XLA: for GPUs; slower on processors
    latents: Literal["uniform", "normal"] = "uniform"
    stage_steps: Count = 1000  # model.growing: of each stage before the last; half of a stage's steps fade its size in
    stage_batches: Sizes = ()  # likewise: their batch sizes, multiples of batch_size; empty: batch_size itself

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.steps is not None and self.epochs is not None:
            raise ValueError(f"steps={self.steps} and epochs={self.epochs}: give one of them")
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"batch_size={self.batch_size} cannot be split into accumulation={self.accumulation} equal portions"
            )
        if self.reuse_fakes and self.d_updates != 1:
            raise ValueError(f"reuse_fakes needs d_updates=1, got {self.d_updates}")
        if uneven := [size for size in self.stage_batches if size % self.batch_size]:
            raise ValueError(
                f"stage_batches has {uneven[0]}: expected multiples of batch_size={self.batch_size}, as a stage joins "
                "whole batches of the last one's"
            )
        return self


def total_steps(training: TrainingConfig, examples: int) -> int:
    """The steps of a run whose epochs show D ``examples`` examples each (with balanced classes more than there are)."""
    if training.steps is not None:
        return training.steps
    steps, left = 0, (training.epochs or 1) * examples / (training.batch_size * training.d_updates)
    for size in training.stage_batches:
        share = size // training.batch_size
        length = min(math.ceil(left / share), training.stage_steps)
        steps, left = steps + length, max(left - length * share, 0)
    return steps + math.ceil(left)
