"""VGG19's features of images, and two losses on them, in TensorFlow, NHWC; twin of torch_impl/features.py.

Simonyan and Zisserman 2015, arXiv:1409.1556. The losses are of perception (Johnson et al. 2016, arXiv:1603.08155) and
of texture (Gatys et al. 2015, arXiv:1508.06576), both on the last feature map.
"""

from __future__ import annotations

from os.path import expanduser  # leaves ~nobody as it is
from pathlib import Path

import keras
import tensorflow as tf
from keras import Input
from keras.layers import Conv2D, MaxPooling2D, ReLU
from tensorflow import Tensor

from shared_impl.config.loss import LossConfig
from shared_impl.config.presets import ConfigError
from shared_impl.features import vgg_files
from shared_impl.features.vgg import CONVOLUTIONS, Weights
from tf_impl.layers import Chain, precision


class VGG19(Chain):
    """Normalised images ``[B, H, W, 3]`` to features ``[B, H/16, W/16, 8d]``: the last ReLU before the fifth pool.

    ``dim`` is 64 of the published weights.
    """

    def __init__(self, dim: int = 64) -> None:
        d = dim
        super().__init__(
            [
                Input([None, None, 3], name="x"),  # [B, H, W, 3]
                *_conv("block1_conv1", d),  # [B, H, W, d]
                *_conv("block1_conv2", d),
                MaxPooling2D(2, name="block1_pool"),  # [B, H/2, W/2, d]
                *_conv("block2_conv1", 2 * d),  # [B, H/2, W/2, 2d]
                *_conv("block2_conv2", 2 * d),
                MaxPooling2D(2, name="block2_pool"),  # [B, H/4, W/4, 2d]
                *_conv("block3_conv1", 4 * d),  # [B, H/4, W/4, 4d]
                *_conv("block3_conv2", 4 * d),
                *_conv("block3_conv3", 4 * d),
                *_conv("block3_conv4", 4 * d),
                MaxPooling2D(2, name="block3_pool"),  # [B, H/8, W/8, 4d]
                *_conv("block4_conv1", 8 * d),  # [B, H/8, W/8, 8d]
                *_conv("block4_conv2", 8 * d),
                *_conv("block4_conv3", 8 * d),
                *_conv("block4_conv4", 8 * d),
                MaxPooling2D(2, name="block4_pool"),  # [B, H/16, W/16, 8d]
                *_conv("block5_conv1", 8 * d),
                *_conv("block5_conv2", 8 * d),
                *_conv("block5_conv3", 8 * d),
                *_conv("block5_conv4", 8 * d),
            ]
        )


class Features:
    """VGG19 with weights of a file, frozen, on images as the trainers have them.

    ``precision`` is that of the network, as in ``training.precision``; features come in the dtype of the images.
    """

    def __init__(self, weights: Weights, precision: str = "float32") -> None:
        self.network = _network(weights, precision)
        self.normalisation = weights.normalisation

    def __call__(self, images: Tensor) -> Tensor:
        """Images ``[B, H, W, 1]`` or ``[B, H, W, 3]`` in [-1, 1] to features ``[B, H/16, W/16, 512]``."""
        x = tf.tile(images, [1, 1, 1, 3]) if images.shape[-1] == 1 else images
        x = x[..., ::-1] if self.normalisation.reversed else x
        scale, shift = (tf.constant(values, x.dtype) for values in self.normalisation[1:])
        return tf.cast(self.network(scale * x + shift, training=False), images.dtype)


def read(path: Path) -> Weights:
    """VGG19's weights in a file that Keras or safetensors wrote; ConfigError of one line if it holds none."""
    return vgg_files.read(path)


def load(cfg: LossConfig, precision: str = "float32") -> Features:
    """The features of the file that ``loss.features`` names; ConfigError of one line if it is not VGG19's."""
    if cfg.features is None:
        raise ConfigError("loss.features is not set: name the file of VGG19's weights with loss.features=FILE")
    try:
        return Features(read(Path(expanduser(cfg.features))), precision)
    except ConfigError as error:
        raise ConfigError(f"loss.features={error}") from error


def imitation_losses(cfg: LossConfig, features: Features, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
    """Weighted losses of the features of fakes ``[B, H, W, C]`` and those of real images, one a configured term."""
    of_fake, of_real = features(fake), features(real)
    terms = {
        "perceptual": (cfg.perceptual_weight, perceptual_loss),
        "texture": (cfg.texture_weight, texture_loss),
    }
    return {name: weight * loss(of_fake, of_real) for name, (weight, loss) in terms.items() if weight}


def perceptual_loss(fake: Tensor, real: Tensor) -> Tensor:
    """Mean distance of the features ``[B, h, w, C]`` of fakes and real images, a scalar."""
    return tf.reduce_mean(tf.abs(fake - real))


def texture_loss(fake: Tensor, real: Tensor) -> Tensor:
    """Mean distance of the Gram matrices of the features ``[B, h, w, C]``, a scalar."""
    return tf.reduce_mean(tf.abs(_gram(fake) - _gram(real)))


def _gram(features: Tensor) -> Tensor:
    """Which channels respond together, wherever: ``[B, C, C]`` over C h w."""
    _, height, width, channels = features.shape
    rows = tf.reshape(features, [-1, height * width, channels])
    return tf.matmul(rows, rows, transpose_a=True) / (channels * height * width)


def _network(weights: Weights, name: str) -> keras.Model:
    with precision(name):
        network = VGG19()
    for layer in CONVOLUTIONS:
        network.get_layer(layer.name).set_weights([weights.arrays[array] for array in layer.shapes])
    network.trainable = False
    return network


def _conv(name: str, channels: int) -> list[keras.Layer]:
    """A 3x3 convolution that keeps the size, and its ReLU."""
    return [Conv2D(channels, 3, 1, "same", name=name), ReLU(name=f"{name}_relu")]
