"""Batches of the stream as images to learn from, in TensorFlow; twin of torch_impl/batches.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from shared_impl.config.schema import Config
from shared_impl.data.moments import Moments
from shared_impl.draws import Draws
from shared_impl.training import growing
from shared_impl.training.step_inputs import augmentation, stage_weights
from tf_impl.augmentation import augment
from tf_impl.distribution import Replicas
from tf_impl.growing import images_at_stage
from tf_impl.spectrogram import spectrogram

Array = np.ndarray


class Batches:
    """Prepares the stream's batches for one trainer, whose ``tensor`` takes arrays to its precision.

    ``mean`` and ``std`` ``[bins]`` are those of ``moments``, which sounds need and images have not.
    """

    def __init__(
        self, config: Config, moments: Moments | None, replicas: Replicas, tensor: Callable[[Array], Tensor]
    ) -> None:
        self.config, self.moments, self.replicas, self.tensor = config, moments, replicas, tensor
        if moments is not None:
            self.mean, self.std = tensor(moments.mean), tensor(moments.std)

    def prepare(self, x: Array) -> Tensor:
        """Images ``[B, H, W, C]`` in [-1, 1].

        ``x``: uint8 ``[B, H, W, C]``, or waveforms ``[B, T]``, whose spectrograms are made here.
        """
        return self._images(self.tensor(x))

    def next(self, stream: Iterator[dict[str, Array]], draws: Draws, step: int, update: int) -> tuple[Any, Any]:
        """Each device's part of the next batch: images ``[B, H, W, C]``, augmented where that is configured and as
        coarse as the stage of ``step``, and their classes ``[B]``.
        """
        config, rows = self.config, self.replicas.rows
        batch = growing.joined(stream, growing.portions(config, step))
        x, labels = (self.replicas.parts(self.tensor(batch[name])) for name in ("x", "label"))
        numbers = rows(self.tensor(augmentation(config, draws, step, update)))
        return self._prepared_on_devices(x, numbers, rows(self.tensor(stage_weights(config, step)))), labels

    @tf.function(autograph=False)
    def _prepared_on_devices(self, x: Any, numbers: Any, grown: Any) -> Any:
        return self.replicas.run_each(self._prepared, x, numbers, grown)

    def _prepared(self, x: Tensor, numbers: Tensor, grown: Tensor) -> Tensor:
        images = self._images(x)
        if self.config.data.augments:
            images = augment(self.config.data, images, numbers)
        if self.config.model.stages:
            images = images_at_stage(images, self.config.model.stages, grown)
        return images

    def _images(self, x: Tensor) -> Tensor:
        if self.moments is not None:
            return spectrogram(x, self.mean, self.std, *self.config.model.framing[:2])
        return x / 127.5 - 1
