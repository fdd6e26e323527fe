"""Images changed at random before D sees them, in TensorFlow; twin of torch_impl/augmentation.py.

Written out, so that both frameworks give the same images: gathers, products and sums, no gradient.
"""

from __future__ import annotations

import tensorflow as tf

from shared_impl.config.data import DataConfig
from shared_impl.data.augmentation import LUMINANCE, angles, factors, flips


def augment(cfg: DataConfig, images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Flip, turn, then jitter images ``[B, H, W, C]`` in [-1, 1]; what is switched off changes no bit.

    ``numbers``: U[0, 1) ``[B, AUGMENTATION]`` in the dtype of the images; see :mod:`shared_impl.data.augmentation`.
    """
    images = tf.stop_gradient(images)
    if cfg.flip != "none":
        across, down = flips(cfg, numbers)
        images = _mirrored(_mirrored(images, across, 2), down, 1)
    if cfg.rotate:
        images = _turned(images, angles(cfg, numbers))
    if cfg.jitter:
        images = _jittered(images, *factors(cfg, numbers))
    return images


def _mirrored(images: tf.Tensor, which: tf.Tensor, axis: int) -> tf.Tensor:
    return tf.where(which[:, None, None, None], tf.reverse(images, [axis]), images)


def _turned(images: tf.Tensor, angle: tf.Tensor) -> tf.Tensor:
    """Each image about its centre, bilinearly; what turns in from outside repeats the edge."""
    batch, height, width, channels = images.shape
    rows = tf.range(height, dtype=images.dtype)[:, None] - (height - 1) / 2  # [H, 1]
    columns = tf.range(width, dtype=images.dtype)[None] - (width - 1) / 2  # [1, W]
    cos, sin = tf.cos(angle)[:, None, None], tf.sin(angle)[:, None, None]
    y = tf.clip_by_value(sin * columns + cos * rows + (height - 1) / 2, 0, height - 1)  # [B, H, W]
    x = tf.clip_by_value(cos * columns - sin * rows + (width - 1) / 2, 0, width - 1)
    top, left = tf.floor(y), tf.floor(x)
    below, beside = tf.minimum(top + 1, height - 1), tf.minimum(left + 1, width - 1)
    pixels = tf.reshape(images, [-1, height * width, channels])

    def at(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        index = tf.reshape(tf.cast(row * width + column, tf.int64), [-1, height * width])
        return tf.reshape(tf.gather(pixels, index, batch_dims=1), tf.shape(images))

    down, right = (y - top)[..., None], (x - left)[..., None]
    upper = (1 - right) * at(top, left) + right * at(top, beside)
    lower = (1 - right) * at(below, left) + right * at(below, beside)
    return tf.ensure_shape((1 - down) * upper + down * lower, [batch, height, width, channels])


def _jittered(images: tf.Tensor, brightness: tf.Tensor, contrast: tf.Tensor, saturation: tf.Tensor) -> tf.Tensor:
    """Each image mixed with black, with its mean grey and with its own greys, as torchvision's ColorJitter does."""
    shades = (images + 1) / 2
    shades = _blended(shades, tf.zeros_like(shades), brightness)
    shades = _blended(shades, tf.reduce_mean(_grey(shades), [1, 2, 3], keepdims=True), contrast)
    shades = _blended(shades, _grey(shades), saturation)
    return 2 * shades - 1


def _blended(shades: tf.Tensor, other: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    factor = factor[:, None, None, None]
    return tf.clip_by_value(factor * shades + (1 - factor) * other, 0, 1)


def _grey(shades: tf.Tensor) -> tf.Tensor:
    """Luminance ``[B, H, W, 1]`` of colours; any other images are their own."""
    if shades.shape[3] != 3:
        return shades
    red, green, blue = (share * shades[..., i : i + 1] for i, share in enumerate(LUMINANCE))
    return red + green + blue
