"""Dropout of whole channels, decided by random numbers from outside, in Keras, NHWC; twin of torch_impl/dropout.py."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from keras import ops

_decisions = threading.local()  # replicas of a MirroredStrategy run in threads of their own


@contextmanager
def dropout_decided_by(numbers: Any) -> Iterator[None]:
    """Within, dropout layers decide by ``numbers`` ``[B, C]``, U[0, 1), a column a channel: the first layer by the
    first columns, the next one by those that follow.
    """
    _decisions.numbers = numbers
    try:
        yield
    finally:
        _decisions.numbers = None


@keras.saving.register_keras_serializable(package="tf_impl")
class ChannelDropout(keras.layers.SpatialDropout2D):
    """Dropout of whole channels (Tompson et al. 2015, arXiv:1411.4280).

    A channel is dropped where its number is below ``rate``; numbers are those of :func:`dropout_decided_by`, or drawn
    by the framework outside of it.
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(0.0, **kwargs)  # no generator of its own, whose state would be one of the network's variables
        self.rate = rate

    def call(self, inputs: Any, training: bool = False) -> Any:
        """``[B, H, W, C]``, what stays divided by ``1 - rate``; in evaluation unchanged."""
        if not training or not self.rate:
            return inputs
        numbers, channels = getattr(_decisions, "numbers", None), inputs.shape[-1]
        if numbers is None:
            numbers = tf.random.uniform([tf.shape(inputs)[0], channels], dtype=self.compute_dtype)
        else:
            _decisions.numbers = numbers[:, channels:]
        kept = ops.cast(numbers[:, None, None, :channels] >= self.rate, inputs.dtype) / (1 - self.rate)
        return inputs * kept
