"""SAME convolution, its transpose and the gradient at its kernel, NHWC; twin of torch_impl/convolution.py.

The three are linear in both arguments, and each one's derivatives are the other two: so a gradient penalty, which asks
for gradients of gradients, costs what the convolutions cost.

Where the layers are small, a CPU multiplies with the batch as the third axis of a 3-D convolution: its rows are then as
long as the batch, and not only four or eight pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow import Tensor

# The smaller image's pixels a side, at most, and its channels, at least, from which the batch makes for faster rows.
SMALL, WIDE = 8, 512


def conv2d(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """``[B, H, W, C]`` by ``[k, k, C, C']`` to ``[B, ceil(H / stride), ceil(W / stride), C']``.

    SAME: where the total padding is odd, the larger half goes to the bottom right.
    """
    if not _is_small(x, stride, kernel.shape[-1]):
        return tf.nn.conv2d(x, kernel, stride, "SAME")

    @tf.custom_gradient
    def small(x: Tensor, kernel: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
        def gradient(y: Tensor) -> tuple[Tensor, Tensor]:
            return (
                conv2d_transpose(y, kernel, stride, x.shape[1:3]),
                conv2d_kernel(x, y, stride, kernel.shape[0]),
            )

        return _flat(tf.nn.conv3d(_deep(x), kernel[:, :, None], [1, stride, stride, 1, 1], "SAME")), gradient

    return small(x, kernel)


def conv2d_transpose(y: Tensor, kernel: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """``[B, h, w, C']`` by ``[k, k, C, C']`` to ``[B, *size, C]``: the transpose of ``conv2d`` of such images."""
    if not _is_small(y, 1, y.shape[-1]):
        shape = tf.stack([tf.shape(y)[0], *size, kernel.shape[2]])
        return tf.nn.conv2d_transpose(y, kernel, shape, stride, "SAME")

    @tf.custom_gradient
    def small(y: Tensor, kernel: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
        def gradient(x: Tensor) -> tuple[Tensor, Tensor]:
            return conv2d(x, kernel, stride), conv2d_kernel(x, y, stride, kernel.shape[0])

        shape = [1, *size, y.shape[0], kernel.shape[2]]
        return _flat(
            tf.nn.conv3d_transpose(_deep(y), kernel[:, :, None], shape, [1, stride, stride, 1, 1], "SAME")
        ), gradient

    return small(y, kernel)


def conv2d_kernel(x: Tensor, y: Tensor, stride: int, side: int) -> Tensor:
    """The gradient ``[side, side, C, C']`` at the kernel of ``conv2d(x, kernel, stride)``, ``y`` that at its result."""
    shape = [side, side, x.shape[-1], y.shape[-1]]
    if not _is_small(y, 1, y.shape[-1]):
        return tf.raw_ops.Conv2DBackpropFilter(
            input=x, filter_sizes=shape, out_backprop=y, strides=[1, stride, stride, 1], padding="SAME"
        )

    @tf.custom_gradient
    def small(x: Tensor, y: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
        def gradient(kernel: Tensor) -> tuple[Tensor, Tensor]:
            return conv2d_transpose(y, kernel, stride, x.shape[1:3]), conv2d(x, kernel, stride)

        patches = tf.image.extract_patches(x, [1, side, side, 1], [1, stride, stride, 1], [1, 1, 1, 1], "SAME")
        rows, values = (tf.reshape(z, [-1, z.shape[-1]]) for z in (patches, y))
        return tf.reshape(tf.matmul(rows, values, transpose_a=True), shape), gradient

    return small(x, y)


def _is_small(x: Tensor, stride: int, channels: int) -> bool:
    batch, height, width, _ = x.shape
    if batch is None or tf.config.list_logical_devices("GPU"):
        return False
    return -(-max(height, width) // stride) <= SMALL < batch and channels >= WIDE


def _deep(x: Tensor) -> Tensor:
    """``[B, H, W, C]`` as ``[1, H, W, B, C]``."""
    return tf.transpose(x, [1, 2, 0, 3])[None]


def _flat(x: Tensor) -> Tensor:
    """``[1, H, W, B, C]`` as ``[B, H, W, C]``."""
    return tf.transpose(x[0], [2, 0, 1, 3])
