"""VGG19's features of images, and two losses on them, in torch, NCHW; twin of tf_impl/features.py.

Simonyan and Zisserman 2015, arXiv:1409.1556. The losses are of perception (Johnson et al. 2016, arXiv:1603.08155) and
of texture (Gatys et al. 2015, arXiv:1508.06576), both on the last feature map.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from os.path import expanduser  # leaves ~nobody as it is
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import Conv2d, MaxPool2d, ReLU

from shared_impl.config.loss import LossConfig
from shared_impl.config.presets import ConfigError
from shared_impl.features import vgg_files
from shared_impl.features.vgg import CONVOLUTIONS, Weights

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}  # of the network's weights


class VGG19(nn.Sequential):
    """Normalised images ``[B, 3, H, W]`` to features ``[B, 8d, H/16, W/16]``: the last ReLU before the fifth pool.

    ``dim`` is 64 of the published weights.
    """

    def __init__(self, dim: int = 64) -> None:
        d = dim
        super().__init__(
            OrderedDict(
                **_conv("block1_conv1", 3, d),  # [B, d, H, W]
                **_conv("block1_conv2", d, d),
                block1_pool=MaxPool2d(2),  # [B, d, H/2, W/2]
                **_conv("block2_conv1", d, 2 * d),  # [B, 2d, H/2, W/2]
                **_conv("block2_conv2", 2 * d, 2 * d),
                block2_pool=MaxPool2d(2),  # [B, 2d, H/4, W/4]
                **_conv("block3_conv1", 2 * d, 4 * d),  # [B, 4d, H/4, W/4]
                **_conv("block3_conv2", 4 * d, 4 * d),
                **_conv("block3_conv3", 4 * d, 4 * d),
                **_conv("block3_conv4", 4 * d, 4 * d),
                block3_pool=MaxPool2d(2),  # [B, 4d, H/8, W/8]
                **_conv("block4_conv1", 4 * d, 8 * d),  # [B, 8d, H/8, W/8]
                **_conv("block4_conv2", 8 * d, 8 * d),
                **_conv("block4_conv3", 8 * d, 8 * d),
                **_conv("block4_conv4", 8 * d, 8 * d),
                block4_pool=MaxPool2d(2),  # [B, 8d, H/16, W/16]
                **_conv("block5_conv1", 8 * d, 8 * d),
                **_conv("block5_conv2", 8 * d, 8 * d),
                **_conv("block5_conv3", 8 * d, 8 * d),
                **_conv("block5_conv4", 8 * d, 8 * d),
            )
        )


class Features(nn.Module):
    """VGG19 with weights of a file, frozen, on images as the trainers have them.

    ``precision`` is that of the network, as in ``training.precision``; features come in the dtype of the images.
    """

    def __init__(self, weights: Weights, precision: str = "float32") -> None:
        super().__init__()
        self.network, self.dtype = _network(weights, precision), _DTYPES[precision]
        self.normalisation = weights.normalisation

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[B, 1, H, W]`` or ``[B, 3, H, W]`` in [-1, 1] to features ``[B, 512, H/16, W/16]``."""
        x = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        x = x.flip(1) if self.normalisation.reversed else x
        scale, shift = (x.new_tensor(values)[:, None, None] for values in self.normalisation[1:])
        return self.network((scale * x + shift).to(self.dtype)).to(images.dtype)


def read(path: Path) -> Weights:
    """VGG19's weights in a file that Keras, safetensors or torch wrote; ConfigError of one line if it holds none."""
    return vgg_files.read(path, _unpickled)


def load(cfg: LossConfig, precision: str = "float32") -> Features:
    """The features of the file that ``loss.features`` names; ConfigError of one line if it is not VGG19's."""
    if cfg.features is None:
        raise ConfigError("loss.features is not set: name the file of VGG19's weights with loss.features=FILE")
    try:
        return Features(read(Path(expanduser(cfg.features))), precision)
    except ConfigError as error:
        raise ConfigError(f"loss.features={error}") from error


def imitation_losses(cfg: LossConfig, features: Features, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
    """Weighted losses of the features of fakes ``[B, C, H, W]`` and those of real images, one a configured term."""
    of_fake, of_real = features(fake), features(real)
    terms = {
        "perceptual": (cfg.perceptual_weight, perceptual_loss),
        "texture": (cfg.texture_weight, texture_loss),
    }
    return {name: weight * loss(of_fake, of_real) for name, (weight, loss) in terms.items() if weight}


def perceptual_loss(fake: Tensor, real: Tensor) -> Tensor:
    """Mean distance of the features ``[B, C, h, w]`` of fakes and real images, a scalar."""
    return (fake - real).abs().mean()


def texture_loss(fake: Tensor, real: Tensor) -> Tensor:
    """Mean distance of the Gram matrices of the features ``[B, C, h, w]``, a scalar."""
    return (_gram(fake) - _gram(real)).abs().mean()


def _unpickled(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict; nothing but tensors is ever unpickled."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, AttributeError) as error:
        raise ValueError("it holds more than tensors; save model.state_dict(), not the model") from error
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, expected a state dict")
    return {str(name): tensor.numpy() for name, tensor in content.items() if isinstance(tensor, Tensor)}


def _gram(features: Tensor) -> Tensor:
    """Which channels respond together, wherever: ``[B, C, C]`` over C h w."""
    _, channels, height, width = features.shape
    rows = features.flatten(2)
    return rows @ rows.mT / (channels * height * width)


def _network(weights: Weights, name: str) -> nn.Sequential:
    network = VGG19().to(_DTYPES[name])
    tensors = dict(network.named_parameters())
    with torch.no_grad():
        for layer in CONVOLUTIONS:
            kernel, bias = (torch.from_numpy(weights.arrays[array]) for array in layer.shapes)
            tensors[f"{layer.name}.weight"].copy_(kernel.permute(3, 2, 0, 1))
            tensors[f"{layer.name}.bias"].copy_(bias)
    return network.to(memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]


def _conv(name: str, inputs: int, channels: int) -> dict[str, nn.Module]:
    """A 3x3 convolution that keeps the size, and its ReLU."""
    return {name: Conv2d(inputs, channels, 3, 1, 1), f"{name}_relu": ReLU()}
