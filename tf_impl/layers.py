"""The layers that stock Keras lacks or rounds, NHWC; twin of torch_impl/layers.py.

Convolutions need no class here: stock ``Conv2D`` and ``Conv2DTranspose`` with ``padding="same"`` are TF's SAME.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

# Weights of the samples x[i + offset] that make up out[2i + 1]; out[2i] is x[i]. The cubic kernel has a = -0.75.
TAPS: dict[str, dict[int, float]] = {
    "nearest": {0: 1.0},
    "linear": {0: 1 / 2, 1: 1 / 2},
    "cubic": {-1: -3 / 32, 0: 19 / 32, 1: 19 / 32, 2: -3 / 32},
}
AS_IT_IS = {0: 1.0}
# Of out[2i] and out[2i + 1]; bilinear between pixel centres.
SAMPLES: dict[str, tuple[dict[int, float], dict[int, float]]] = {
    "nearest": (AS_IT_IS, AS_IT_IS),
    "bilinear": ({-1: 1 / 4, 0: 3 / 4}, {0: 3 / 4, 1: 1 / 4}),
}


POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float64": "float64"}


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Keras builds layers that compute in ``name`` within; its settings are put back afterwards.

    ``bfloat16`` layers keep their weights in float32.
    """
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64" if name == "float64" else "float32")
    keras.config.set_dtype_policy(POLICIES[name])
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def layers_in(outer: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every layer of a network by its path, layers in layers too: ``scale_0/body/downconv_1``."""
    for layer in outer._flatten_layers(include_self=False, recursive=False):
        yield f"{path}{layer.name}", layer
        yield from layers_in(layer, f"{path}{layer.name}/")


def names_of(network: keras.Model) -> dict[int, str]:
    """``path/weight`` of every variable, by its id; Keras's own paths leave the outer layers out."""
    return {
        id(variable): f"{path}/{variable.name}"
        for path, layer in layers_in(network)
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables)
    }


def named(network: keras.Model, variables: Sequence[Any]) -> dict[str, tf.Variable]:
    """Some of a network's variables by ``path/weight``."""
    names = names_of(network)
    return {names[id(variable)]: variable.value for variable in variables}


class Chain(keras.Sequential):
    """A ``keras.Sequential`` whose constructor takes options instead of layers.

    Saved, pickled or cloned it comes back as a plain ``keras.Sequential`` of the same named layers.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(package="tf_impl")(cls)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> keras.Sequential:
        """Rebuild the layers from ``Sequential.get_config()``."""
        return keras.Sequential.from_config(config, custom_objects)


class Graph(keras.Model):
    """A functional ``keras.Model`` whose constructor takes options instead of tensors.

    Saved, pickled or cloned it comes back as a plain functional model of the same named layers.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(package="tf_impl")(cls)

    def get_config(self) -> dict[str, Any]:
        """The layers and how they are joined."""
        given, made = (tensors if len(tensors) > 1 else tensors[0] for tensors in (self.inputs, self.outputs))
        return keras.Model(given, made, name=self.name).get_config()

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> keras.Model:
        """Join the layers again."""
        return keras.Model.from_config(config, custom_objects)


def average(values: Sequence[Any]) -> list[Any]:
    """Values averaged over the devices of a tf.distribute strategy, each of which calls this."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, list(values))


def moments(x: Any, averaged: Callable[[Sequence[Any]], list[Any]] = list) -> tuple[Any, Any]:
    """Mean and biased variance ``[C]`` of ``[..., C]``; ``averaged`` over devices that hold equally much of it.

    ``keras.ops.moments`` is ``tf.nn.moments``, which stops the gradient at the mean inside the variance: harmless to
    a gradient, wrong in a gradient of a gradient (a penalty through batch norm was off by 1.4 %).
    """
    axes = list(range(len(x.shape) - 1))
    (mean,) = averaged([ops.mean(x, axes)])
    (variance,) = averaged([ops.mean(ops.square(x - mean), axes)])
    return mean, variance


@keras.saving.register_keras_serializable(package="tf_impl")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation over the last axis whose running variance is unbiased, as in TF 1's fused op and in torch.

    Stock Keras 3 feeds the biased variance to the running one; here it is multiplied by n / (n - 1) first.
    ``momentum`` is the weight of the *old* running value (torch's is one minus this).
    ``track=False`` keeps no running statistics at all: batch statistics normalise in training and evaluation alike.
    ``synchronized`` takes the batch statistics of all devices' examples, equally many on each.
    Raises ValueError where batch statistics are asked of one value per channel.
    """

    def __init__(self, momentum: float, epsilon: float, track: bool = True, **kwargs: Any) -> None:
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)
        self.track = track

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create gamma and beta ``[C]`` and, if tracked, moving_mean and moving_variance ``[C]``."""
        if self.track:
            super().build(input_shape)
            return
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(shape=shape, name="gamma", initializer=self.gamma_initializer, autocast=False)
        self.beta = self.add_weight(shape=shape, name="beta", initializer=self.beta_initializer, autocast=False)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise ``[..., C]`` per channel; half precision is normalised in float32, as torch does."""
        given = inputs.dtype
        inputs = ops.cast(inputs, keras.backend.result_type(given, "float32"))
        if not self.track or (training and self.trainable):
            count = self._values_per_channel(inputs)
            shared = self.synchronized and training
            mean, variance = moments(inputs, average if shared else list)
            count = count * (tf.distribute.get_strategy().num_replicas_in_sync if shared else 1)
            if self.track:
                self._remember(mean, variance * count / (count - 1))
        else:
            mean, variance = ops.cast(self.moving_mean, inputs.dtype), ops.cast(self.moving_variance, inputs.dtype)
        normalised = ops.batch_normalization(
            inputs,
            mean,
            variance,
            axis=-1,
            offset=ops.cast(self.beta, inputs.dtype),
            scale=ops.cast(self.gamma, inputs.dtype),
            epsilon=self.epsilon,
        )
        return ops.cast(normalised, given)

    def _values_per_channel(self, inputs: Any) -> Any:
        complaint = (
            f"{self.name}: batch statistics need more than one value per channel, got input {tuple(inputs.shape)}; "
            "use a larger batch, or training=False where running statistics are kept"
        )
        shape = ops.shape(inputs)[:-1]
        if all(isinstance(size, int) for size in shape):
            count = math.prod(shape)
            if count < 2:
                raise ValueError(complaint)
            return float(count)
        count = ops.prod(ops.stack(shape))
        tf.debugging.assert_greater(count, 1, message=complaint)
        return ops.cast(count, inputs.dtype)

    def _remember(self, mean: Any, variance: Any) -> None:
        for running, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            running.assign(running * self.momentum + ops.cast(new, running.dtype) * (1 - self.momentum))

    def get_config(self) -> dict[str, Any]:
        """Stock configuration and ``track``."""
        return {**super().get_config(), "track": self.track}


@keras.saving.register_keras_serializable(package="tf_impl")
class LeakyReLU(keras.layers.LeakyReLU):
    """``max(slope * x, x)`` in the tensor's own dtype; stock Keras rounds the slope to float32.

    The gradient at exactly 0 is the slope: specgan.py:114-115 and torch agree on it.
    Below float64 it is TensorFlow's fused op, without the zeros that stand for its second derivative: of a penalty's
    double backward they would go through every convolution below.
    """

    def call(self, inputs: Any) -> Any:
        """Element by element, any shape."""
        if inputs.dtype == "float64":
            one, slope = (ops.convert_to_tensor(value, "float64") for value in (1.0, self.negative_slope))
            return inputs * ops.stop_gradient(ops.where(inputs > 0, one, slope))
        return _leaky_relu(inputs, self.negative_slope)


def _leaky_relu(x: Any, slope: float) -> Any:
    @tf.custom_gradient
    def fused(x: Any) -> tuple[Any, Callable[[Any], Any]]:
        y = tf.nn.leaky_relu(x, slope)
        sides = tf.stop_gradient(y)
        return y, lambda gradient: tf.raw_ops.LeakyReluGrad(gradients=gradient, features=sides, alpha=slope)

    return fused(x)


@keras.saving.register_keras_serializable(package="tf_impl")
class LegacyUpsample(keras.layers.Layer):
    """Twice the height and width as TF 1 resizes (specgan.py:24-31): sample positions i / 2, clamped at the edge.

    ``mode`` is ``nearest``, ``linear`` or ``cubic``; no modern resize equals the last two (they sample at i / 2 - 1/4).
    """

    def __init__(self, mode: str, **kwargs: Any) -> None:
        if mode not in TAPS:
            raise ValueError(f"LegacyUpsample: mode is {mode!r}, expected one of {', '.join(TAPS)}")
        super().__init__(**kwargs)
        self.mode = mode

    def call(self, inputs: Any) -> Any:
        """``[B, H, W, C]`` to ``[B, 2H, 2W, C]``."""
        return _doubled(_doubled(inputs, 1, AS_IT_IS, TAPS[self.mode]), 2, AS_IT_IS, TAPS[self.mode])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """``[B, 2H, 2W, C]``."""
        batch, height, width, channels = input_shape
        return (batch, height and 2 * height, width and 2 * width, channels)

    def get_config(self) -> dict[str, Any]:
        """Stock configuration and ``mode``."""
        return {**super().get_config(), "mode": self.mode}


@keras.saving.register_keras_serializable(package="tf_impl")
class Upsample(keras.layers.UpSampling2D):
    """Twice the height and width, ``nearest`` or ``bilinear`` between pixel centres, as ``nn.Upsample`` does it.

    Stock Keras resizes bilinearly in float32 whatever it is given, and its gradient has no gradient.
    """

    def __init__(self, interpolation: str, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "size": 2, "interpolation": interpolation})

    def call(self, inputs: Any) -> Any:
        """``[B, H, W, C]`` to ``[B, 2H, 2W, C]``."""
        return _doubled(_doubled(inputs, 1, *SAMPLES[self.interpolation]), 2, *SAMPLES[self.interpolation])


def _doubled(x: Any, axis: int, even: dict[int, float], odd: dict[int, float]) -> Any:
    """Twice as long along an axis, every other value by its own taps; what lies outside repeats the edge.

    A product with the weights of all samples: gathers, slices and their gradients take twice the time and more.
    """
    before, size, rest = x.shape[1:axis], x.shape[axis], x.shape[axis + 1 :]
    if even == odd == AS_IT_IS:
        made = ops.stack([x, x], axis=axis + 1)
    else:
        weights = ops.convert_to_tensor(_weights(size, even, odd), x.dtype)
        made = ops.matmul(weights, ops.reshape(x, [-1, *before, size, math.prod(rest)]))
    return ops.reshape(made, [-1, *before, 2 * size, *rest])


def _weights(size: int, even: dict[int, float], odd: dict[int, float]) -> np.ndarray:
    """What each of ``size`` samples weighs in each of those twice as many, ``[2 size, size]``."""
    found = np.zeros((2 * size, size))
    for way, taps in enumerate((even, odd)):
        for offset, weight in taps.items():
            found[way::2] += weight * np.eye(size)[np.clip(np.arange(size) + offset, 0, size - 1)]
    return found
