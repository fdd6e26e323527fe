"""What pairs of different libraries have in common: Keras networks, and the ways in which torch's depart from them."""

from __future__ import annotations

import keras
import torch
from keras.src.applications import convnext
from torch import nn

from benchmarks.libraries import repairs
from benchmarks.libraries.pair import Difference

TOP = {"weights": None, "classes": 10, "classifier_activation": None}
ANYWHERE = ""


def epsilon(value: float) -> Difference:
    """Batch-norm epsilon of the port; ``value`` is Keras's."""
    return Difference(("batchnorm-epsilon",), ANYWHERE, repairs.batchnorm_epsilon(value))


def momentum(value: float, within: str = ANYWHERE) -> Difference:
    """Batch-norm momentum of the port's layers ``within``; ``value`` is Keras's, in torch's sense."""
    return Difference(("batchnorm-momentum",), within, repairs.batchnorm_momentum(value, within), inference=False)


def dropout(rate: float) -> Difference:
    """Dropout whose rate is another; 0 where Keras has none."""
    kinds = ("dropout-rate",) if rate else ("dropout-rate", "extra-layer")
    return Difference(kinds, ANYWHERE, repairs.dropout(rate), inference=False)


PADDING = Difference(("padding-alignment",), ANYWHERE, repairs.same_padding)
BIAS = Difference(("missing-bias",), "conv", repairs.conv_bias)
STRIDE = Difference(("stride", "layer-order"), "conv", repairs.stride_first)


class Preprocessed(nn.Module):
    """A network behind the arithmetic that Keras keeps in preprocessing layers: (x * scale - mean) / deviation."""

    def __init__(self, network: nn.Module, scale: float = 1 / 255, mean: float = 0.0, deviation: float = 1.0) -> None:
        super().__init__()
        self.network, self.scale, self.mean, self.deviation = network, scale, mean, deviation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> logits."""
        return self.network((x * self.scale - self.mean) / self.deviation)


def border_not_counted(port: nn.Module) -> nn.Module:
    """Averages of Inception's pooling branches leave the border out."""
    return repairs.rewritten(port, "_forward", "padding=1)", "padding=1, count_include_pad=False)")


def small_convnext() -> keras.Model:
    """Keras's ConvNeXt, four blocks."""
    return convnext.ConvNeXt(
        [1, 1, 1, 1], [16, 24, 32, 48], include_preprocessing=False, input_shape=(64, 64, 3), name="convnext", **TOP
    )


def application(name: str, size: int, **options: object) -> keras.Model:
    """A network of ``keras.applications`` with ten classes and logits."""
    return getattr(keras.applications, name)(input_shape=(size, size, 3), **{**TOP, **options})
