"""One process that does what several devices without synchronised batch norm do, in either framework: the proof of a
known difference.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tf_impl.layers import layers_in
from torch_impl.layers import batch_norm_like, replace_modules


class SlicedBatchNorm2d(nn.BatchNorm2d):
    """Normalises each of ``slices`` equal parts of a batch by the statistics of that part alone (Hoffer et al. 2017,
    arXiv:1705.08741, "ghost batch normalization"); running statistics are the average of what the parts make of them.
    """

    slices = 1

    def forward(self, input: Tensor) -> Tensor:
        """``[B, C, H, W]``, B a multiple of ``slices``."""
        if not self.training:
            return super().forward(input)
        parts = input.chunk(self.slices)
        if self.running_mean is None or self.running_var is None:
            return torch.cat([self._normalised(part, None, None) for part in parts])
        copies = [(self.running_mean.clone(), self.running_var.clone()) for _ in parts]
        normalised = [self._normalised(part, *own) for part, own in zip(parts, copies, strict=True)]
        for statistic, made in zip((self.running_mean, self.running_var), zip(*copies, strict=True), strict=True):
            statistic.copy_(torch.stack(made).mean(0))
        return torch.cat(normalised)

    def _normalised(self, part: Tensor, mean: Tensor | None, variance: Tensor | None) -> Tensor:
        return F.batch_norm(part, mean, variance, self.weight, self.bias, True, self.momentum or 0.0, self.eps)


def slice_statistics(trainer: Any, slices: int) -> Any:
    """A trainer whose networks normalise as so many devices would, each by itself; changed in place."""
    return {"torch": _slice_torch, "tensorflow": _slice_keras}[trainer.framework](trainer, slices)


def _slice_torch(trainer: Any, slices: int) -> Any:

    def sliced(module: nn.Module) -> nn.Module | None:
        if not isinstance(module, nn.BatchNorm2d):
            return None
        norm = batch_norm_like(module, SlicedBatchNorm2d)
        norm.slices = slices
        return norm

    for network in (trainer.generator, trainer.discriminator):
        replace_modules(network, sliced)
    return trainer


class SlicedCall:
    """What :class:`SlicedBatchNorm2d` does, as the ``call`` of a batch normalisation of Keras."""

    def __init__(self, norm: Any, slices: int) -> None:
        self.whole, self.slices = norm.call, slices
        self.statistics = [statistic.value for statistic in norm.non_trainable_variables]

    def __call__(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """``[B, H, W, C]``, B a multiple of ``slices``."""
        if not training:
            return self.whole(inputs, training=training, mask=mask)
        kept, normalised, made = self._read(), [], []
        for part in tf.split(inputs, self.slices):
            self._write(kept)
            normalised.append(self.whole(part, training=True))
            made.append(self._read())
        self._write([tf.add_n(each) / self.slices for each in zip(*made, strict=True)])
        return tf.concat(normalised, 0)

    def _read(self) -> list[Any]:
        return [tf.identity(statistic) for statistic in self.statistics]

    def _write(self, values: list[Any]) -> None:
        for statistic, value in zip(self.statistics, values, strict=True):
            statistic.assign(value)


def _slice_keras(trainer: Any, slices: int) -> Any:
    for network in (trainer.generator, trainer.discriminator):
        for _, layer in layers_in(network):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.call = SlicedCall(layer, slices)
    return trainer
