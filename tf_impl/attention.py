"""Self-attention over the positions of an image in Keras, NHWC; twin of torch_impl/attention.py."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops
from keras.layers import Conv2D
from tensorflow import Tensor

from tf_impl.framework_draws import FrameworkDraws
from tf_impl.initial_weights import initialise


@keras.saving.register_keras_serializable(package="tf_impl")
class SelfAttention(keras.layers.Layer):
    """``gamma * attention(x) + x`` for images ``[B, H, W, C]`` (SAGAN, Zhang et al. 2019, arXiv:1805.08318, section 3).

    Three 1x1 convolutions with bias make ``query`` and ``key`` (``channels // 8``, at least one) and ``value``
    (``channels``) of every position; each position takes the values of all, weighted by the softmax of its query with
    their keys, without a scale. ``gamma`` is one number and starts at zero. ``init`` is the convolutions' distribution.

    Of the N x N weights, N = H W, no more than ``rows`` rows a sample exist at a time in evaluation; in training all
    rows are kept for the backward pass, once: at 64x64 positions 4096^2 * 4 B = 64 MiB a sample in float32.
    """

    def __init__(self, channels: int, init: str = "framework", rows: int = 1024, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels, self.init, self.rows = channels, init, rows
        d = max(channels // 8, 1)
        self.query = Conv2D(d, 1, dtype=self.dtype_policy, name="query")
        self.key = Conv2D(d, 1, dtype=self.dtype_policy, name="key")
        self.value = Conv2D(channels, 1, dtype=self.dtype_policy, name="value")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the convolutions' weights and ``gamma`` ``[]``."""
        if input_shape[-1] != self.channels:
            raise ValueError(f"{self.name}: got {input_shape[-1]} channels, expected channels={self.channels}")
        for convolution in (self.query, self.key, self.value):
            convolution.build(input_shape)
        self.gamma = self.add_weight(shape=(), name="gamma", initializer="zeros")
        initialise(self, "", self.init, FrameworkDraws())

    def call(self, inputs: Tensor) -> Tensor:
        """``[B, H, W, C]`` to the same shape."""
        query, key, value = (_flat(layer(inputs)) for layer in (self.query, self.key, self.value))  # [B, N, ...]
        attended = _attended(query, key, value, self.rows)  # [B, N, C]
        return self.gamma * ops.reshape(attended, ops.shape(inputs)) + inputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Stock configuration and the arguments."""
        return {**super().get_config(), "channels": self.channels, "init": self.init, "rows": self.rows}


def _flat(x: Tensor) -> Tensor:
    """``[B, H, W, C]`` to ``[B, N, C]``."""
    return tf.reshape(x, [tf.shape(x)[0], -1, x.shape[-1]])


def _attended(query: Tensor, key: Tensor, value: Tensor, rows: int) -> Tensor:
    """Queries ``[B, M, d]``, keys ``[B, N, d]``, values ``[B, N, C]`` to ``[B, M, C]``, ``rows`` queries at a time."""
    count = query.shape[1]
    if count is not None and count <= rows:
        return _block(query, key, value)
    count = tf.shape(query)[1] if count is None else count
    blocks = -(-count // rows)
    padded = tf.pad(query, [[0, 0], [0, blocks * rows - count], [0, 0]])
    each = tf.transpose(tf.reshape(padded, [-1, blocks, rows, query.shape[-1]]), [1, 0, 2, 3])
    found = tf.map_fn(lambda some: _block(some, key, value), each, parallel_iterations=1)  # [blocks, B, rows, C]
    found = tf.reshape(tf.transpose(found, [1, 0, 2, 3]), [tf.shape(query)[0], blocks * rows, value.shape[-1]])
    return found[:, :count]


def _block(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """All positions' values, weighted for some queries; half precision is normalised in float32, as torch does."""
    logits = tf.matmul(query, key, transpose_b=True)  # [B, rows, N]
    weights = tf.nn.softmax(tf.cast(logits, keras.backend.result_type(logits.dtype, "float32")))
    return tf.matmul(tf.cast(weights, value.dtype), value)
