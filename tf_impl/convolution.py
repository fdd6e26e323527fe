"""Convolution by products of patches and kernel, in TensorFlow, NHWC; twin of torch_impl/convolution.py.

Where kernels are far larger than images, as in SpecGAN's innermost layer (13 million weights, 8x8 to 4x4), a
processor's convolution spends its time on moving weights: one matrix product is two to three times as fast. The
convolution, its transpose and the kernel's gradient are all linear in each of two arguments, and each other's
derivatives: so a derivative of any order is one of the three again. SAME padding, stride 2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from tf_impl.layers import layers_in

STRIDE = 2
LARGE = 2**23  # weights of a kernel from which on this is faster: 13e6 two to three times as fast, 3e6 no faster


def use_fast_path(network: keras.Model) -> keras.Model:
    """Let a network's very large layers be computed this way, where it is the faster one; changed in place."""
    for _, layer in layers_in(network):
        if type(layer) in _FAST_CALLS and _is_faster(layer):
            layer.call = _FastCall(_FAST_CALLS[type(layer)], layer)
    return network


def on_fast_path(layer: Any) -> bool:
    """Whether :func:`use_fast_path` has changed how the layer is computed."""
    return isinstance(layer.call, _FastCall)


def convolve(images: Tensor, kernel: Tensor) -> Tensor:
    """``[B, H, W, C]`` and ``[k, k, C, D]`` to ``[B, ceil(H / 2), ceil(W / 2), D]``."""

    @tf.custom_gradient
    def bilinear(images: Tensor, kernel: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
        side, _, _, features = kernel.shape
        height, width = (-(-n // STRIDE) for n in images.shape[1:3])
        made = tf.matmul(_patches(images, side), tf.reshape(kernel, [-1, features]))

        def back(cotangent: Tensor) -> tuple[Tensor, Tensor]:
            return spread(cotangent, kernel, tuple(images.shape[1:3])), correlate(images, cotangent, side)

        return tf.reshape(made, [-1, height, width, features]), back

    return bilinear(images, kernel)


def spread(features: Tensor, kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """The transpose: ``[B, ceil(H / 2), ceil(W / 2), D]`` and ``[k, k, C, D]`` to ``[B, H, W, C]`` of ``size``."""

    @tf.custom_gradient
    def bilinear(features: Tensor, kernel: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
        def back(cotangent: Tensor) -> tuple[Tensor, Tensor]:
            return convolve(cotangent, kernel), correlate(cotangent, features, kernel.shape[0])

        return _spread(features, kernel, size), back

    return bilinear(features, kernel)


def correlate(images: Tensor, features: Tensor, side: int) -> Tensor:
    """The kernel's gradient: ``[B, H, W, C]`` and ``[B, ceil(H / 2), ceil(W / 2), D]`` to ``[side, side, C, D]``."""

    @tf.custom_gradient
    def bilinear(images: Tensor, features: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
        channels, depth = images.shape[-1], features.shape[-1]
        made = tf.matmul(_patches(images, side), tf.reshape(features, [-1, depth]), transpose_a=True)

        def back(cotangent: Tensor) -> tuple[Tensor, Tensor]:
            return spread(features, cotangent, tuple(images.shape[1:3])), convolve(images, cotangent)

        return tf.reshape(made, [side, side, channels, depth]), back

    return bilinear(images, features)


def _call_convolution(layer: keras.layers.Conv2D, inputs: Tensor) -> Tensor:
    """``[B, H, W, C]`` to ``[B, ceil(H / 2), ceil(W / 2), C']``."""
    features = convolve(inputs, tf.convert_to_tensor(layer.kernel))
    return features + layer.bias if layer.use_bias else features


def _call_transposed(layer: keras.layers.Conv2DTranspose, inputs: Tensor) -> Tensor:
    """``[B, H, W, C]`` to ``[B, 2 H, 2 W, C']``."""
    size = (STRIDE * inputs.shape[1], STRIDE * inputs.shape[2])
    features = spread(inputs, tf.convert_to_tensor(layer.kernel), size)
    return features + layer.bias if layer.use_bias else features


class _FastCall(partial):
    """A layer's ``call`` by matrix products, instead of its class's."""


_FAST_CALLS: dict[type, Callable[[Any, Tensor], Tensor]] = {
    keras.layers.Conv2D: _call_convolution,
    keras.layers.Conv2DTranspose: _call_transposed,
}


def _is_faster(layer: Any) -> bool:
    halves = layer.padding == "same" and layer.strides == (STRIDE, STRIDE)
    exact = layer.compute_dtype in ("float32", "float64")
    return halves and exact and layer.kernel.shape.num_elements() >= LARGE and not tf.config.get_visible_devices("GPU")


def _spread(features: Tensor, kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """Every window's taps, those of one phase next to each other, added up where windows overlap."""
    side, _, channels, depth = kernel.shape
    height, width = features.shape[1:3]
    steps = -(-side // STRIDE)
    taps = tf.matmul(tf.reshape(features, [-1, depth]), tf.reshape(kernel, [-1, depth]), transpose_b=True)
    taps = tf.reshape(taps, [-1, height, width, side, side, channels])
    more = STRIDE * steps - side
    taps = tf.pad(taps, [[0, 0], [0, 0], [0, 0], [0, more], [0, more], [0, 0]])
    taps = tf.reshape(taps, [-1, height, width, steps, STRIDE, steps, STRIDE, channels])
    rows = tf.add_n([_shifted(taps[:, :, :, i], 1, i, steps) for i in range(steps)])
    both = tf.add_n([_shifted(rows[:, :, :, :, j], 2, j, steps) for j in range(steps)])
    whole = (STRIDE * (n + steps - 1) for n in (height, width))
    spread = tf.reshape(tf.transpose(both, [0, 1, 3, 2, 4, 5]), [-1, *whole, channels])
    top, left = (max((-(-n // STRIDE) - 1) * STRIDE + side - n, 0) // 2 for n in size)
    return spread[:, top : top + size[0], left : left + size[1]]


def _shifted(taps: Tensor, axis: int, by: int, steps: int) -> Tensor:
    return tf.pad(taps, [[by, steps - 1 - by] if i == axis else [0, 0] for i in range(len(taps.shape))])


def _patches(images: Tensor, side: int) -> Tensor:
    """What each window sees, ``[B H/2 W/2, side side C]``."""
    strides, whole = [1, STRIDE, STRIDE, 1], [1, 1, 1, 1]
    patches = tf.image.extract_patches(images, [1, side, side, 1], strides, whole, "SAME")
    return tf.reshape(patches, [-1, side * side * images.shape[-1]])
