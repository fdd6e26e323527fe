"""Batches of the stream as images to learn from, in torch; twin of tf_impl/batches.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from torch import Tensor

from shared_impl.config.schema import Config
from shared_impl.data.moments import Moments
from shared_impl.draws import Draws
from shared_impl.training import growing
from shared_impl.training.step_inputs import augmentation, stage_weights
from torch_impl.augmentation import augment
from torch_impl.distribution import Replicas
from torch_impl.growing import images_at_stage
from torch_impl.spectrogram import spectrogram

Array = np.ndarray


class Batches:
    """Prepares the stream's batches for one trainer, whose ``tensor`` takes arrays to its device and precision.

    ``mean`` and ``std`` ``[bins]`` are those of ``moments``, which sounds need and images have not.
    """

    def __init__(
        self, config: Config, moments: Moments | None, replicas: Replicas, tensor: Callable[[Array], Tensor]
    ) -> None:
        self.config, self.moments, self.replicas, self.tensor = config, moments, replicas, tensor
        if moments is not None:
            self.mean, self.std = tensor(moments.mean), tensor(moments.std)

    def prepare(self, x: Array) -> Tensor:
        """Images ``[B, C, H, W]`` in [-1, 1], channels last in memory.

        ``x``: uint8 ``[B, H, W, C]``, or waveforms ``[B, T]``, whose spectrograms are made here.
        """
        if self.moments is not None:
            return spectrogram(self.tensor(x), self.mean, self.std, *self.config.model.framing[:2])
        return self.tensor(x).movedim(-1, 1) / 127.5 - 1

    def next(self, stream: Iterator[dict[str, Array]], draws: Draws, step: int, update: int) -> tuple[Tensor, Tensor]:
        """This device's part of the next batch: images ``[B, C, H, W]``, augmented where that is configured and as
        coarse as the stage of ``step``, and their classes ``[B]``.
        """
        config, rows = self.config, self.replicas.rows
        batch = growing.joined(stream, growing.portions(config, step))
        images, labels = self.prepare(batch["x"]), self.tensor(batch["label"])
        if config.data.augments:
            numbers = self.tensor(rows(augmentation(config, draws, step, update)))
            images = augment(config.data, images, numbers)
        if config.model.stages:
            images = images_at_stage(images, config.model.stages, self.tensor(rows(stage_weights(config, step))))
        return images, labels
