"""Spectral normalisation in Keras, NHWC, with torch's semantics; twin of torch_impl/spectral_norm.py.

Miyato et al. 2018, arXiv:1802.05957, as ``torch.nn.utils.parametrizations.spectral_norm`` does it: each call in
training makes one power iteration, and the kernel is divided by sigma = u^T W v, where u and v are constants to the
gradient and sigma is not. ``keras.layers.SpectralNormalization`` is something else: it overwrites its kernel at every
call in training, its gradient ignores sigma, and of a transposed convolution it takes another matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from keras.layers import Conv2D, Conv2DTranspose, Dense
from tensorflow import Tensor

from shared_impl.training.initial_weights import singular_vectors
from tf_impl.framework_draws import FrameworkDraws


class _Spectral(keras.layers.Layer):
    """Adds ``u`` and ``v`` to a layer with a kernel, and the kernel that it computes with.

    The matrix W is ``[out, rest]``; ``u`` is ``[out]`` and ``v`` has the kernel's shape without its outputs, both of
    length one. A kernel whose outputs lie last is W^T as it is, and is not turned about. Half-precision layers keep all
    weights, and make the iterations, in float32.
    """

    outputs = -1  # the axis of the kernel along which its outputs lie

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(package="tf_impl")(cls)

    def __init__(self, *args: Any, power_iterations: int = 1, epsilon: float = 1e-12, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if power_iterations < 1:
            raise ValueError(f"{self.name}: power_iterations is {power_iterations}, expected at least 1")
        self.power_iterations, self.epsilon = power_iterations, epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the stock weights, ``u`` and ``v``; both fit the initial kernel after 15 iterations."""
        super().build(input_shape)
        shape = list(self.kernel.shape)
        out = shape.pop(self.outputs)
        # Each device moves its own copy: they stay equal, as the kernels do.
        with tf.init_scope():
            kernel = tf.convert_to_tensor(self.kernel).numpy()
        u, v = singular_vectors(FrameworkDraws(), self.name, kernel, self.outputs)
        self.u = self.add_weight(shape=[out], name="u", initializer=_value(u), trainable=False)
        self.v = self.add_weight(shape=shape, name="v", initializer=_value(v), trainable=False)

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        """As stock, in the variable's own precision: sigma is computed in it whatever the layer computes in."""
        return super().add_weight(*args, **{**kwargs, "autocast": False})

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """What the stock layer computes, by the normalised kernel."""
        outputs = self._product(inputs, ops.cast(self._normalised(bool(training)), self.compute_dtype))
        if self.use_bias:
            outputs = outputs + ops.cast(self.bias, self.compute_dtype)
        return outputs if self.activation is None else self.activation(outputs)

    def _normalised(self, training: bool) -> Tensor:
        kernel = tf.convert_to_tensor(self.kernel)
        matrix = self._matrix(kernel)
        u, v = tf.convert_to_tensor(self.u), tf.reshape(self.v, [-1])
        if training:
            u, v = self._iterated(tf.stop_gradient(matrix), u, v, self.power_iterations)
            self.u.assign(u)
            self.v.assign(tf.reshape(v, self.v.shape))
        sigma = tf.reduce_sum(tf.stop_gradient(u) * self._forth(matrix, tf.stop_gradient(v)))
        return kernel / sigma

    @property
    def _turned(self) -> bool:
        """Whether :meth:`_matrix` is W^T."""
        return self.outputs == -1

    def _matrix(self, kernel: Tensor) -> Tensor:
        out = kernel.shape[self.outputs]
        if self._turned:
            return tf.reshape(kernel, [-1, out])
        axes = list(range(len(kernel.shape)))
        return tf.reshape(tf.transpose(kernel, [axes.pop(self.outputs), *axes]), [out, -1])

    def _iterated(self, matrix: Tensor, u: Tensor, v: Tensor, times: int) -> tuple[Tensor, Tensor]:
        for _ in range(times):
            u = self._unit(self._forth(matrix, v))
            v = self._back(matrix, u)
        return u, v

    def _forth(self, matrix: Tensor, v: Tensor) -> Tensor:
        return _times(matrix, v, self._turned)

    def _back(self, matrix: Tensor, u: Tensor) -> Tensor:
        return self._unit(_times(matrix, u, not self._turned))

    def _unit(self, vector: Tensor) -> Tensor:
        return vector / tf.maximum(tf.sqrt(tf.reduce_sum(vector * vector)), self.epsilon)

    def _product(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        raise NotImplementedError

    def save_own_variables(self, store: Any) -> None:
        """All weights; the stock layers would leave out ``u`` and ``v``."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        """All weights."""
        keras.layers.Layer.load_own_variables(self, store)

    def get_config(self) -> dict[str, Any]:
        """Stock configuration, ``power_iterations`` and ``epsilon``."""
        return {**super().get_config(), "power_iterations": self.power_iterations, "epsilon": self.epsilon}


def _value(array: np.ndarray) -> Callable[..., Tensor]:
    """An initialiser that gives these values."""
    return lambda shape, dtype: tf.convert_to_tensor(array, dtype)


def _times(matrix: Tensor, vector: Tensor, turned: bool) -> Tensor:
    return tf.reshape(tf.matmul(matrix, tf.reshape(vector, [-1, 1]), transpose_a=turned), [-1])


class SpectralConv2D(_Spectral, Conv2D):
    """``Conv2D`` whose kernel ``[k, k, in, out]`` is spectrally normalised; ``v`` is ``[k, k, in]``."""

    def _product(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        return self.convolution_op(inputs, kernel)


class SpectralConv2DTranspose(_Spectral, Conv2DTranspose):
    """``Conv2DTranspose`` whose kernel ``[k, k, out, in]`` is spectrally normalised; ``v`` is ``[k, k, in]``."""

    outputs = -2

    def _product(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        settings = {"strides": list(self.strides), "dilation_rate": self.dilation_rate}
        return ops.conv_transpose(inputs, kernel, padding=self.padding, output_padding=self.output_padding, **settings)


class SpectralDense(_Spectral, Dense):
    """``Dense`` whose kernel ``[in, out]`` is spectrally normalised; ``v`` is ``[in]``."""

    def _product(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        return ops.matmul(inputs, kernel)
