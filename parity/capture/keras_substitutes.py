"""Exact float64 substitutes for TensorFlow functions that have no float64 kernel, or one with a rounded constant.

Resizing always computes in float32, 3-D pooling in float32 at most, leaky ReLU holds its slope in float32, and Python
numbers are rounded to float32 before they are cast. Grouped convolutions have no gradient on the CPU. A substitute
never hides what Keras computes: in float32 the stock kernels run, and resizing is compared with the stock result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.ops import math_ops

from parity.numerics import interpolation
from parity.numerics.difference import difference, scale
from parity.padding import same_amounts

CHANNELS_LAST = {"NCW": "NWC", "NCHW": "NHWC", "NCDHW": "NDHWC"}
"""Convolutions that work channels first have no float64 kernel on the CPU, and are computed channels last."""


@contextmanager
def exact_functions() -> Iterator[None]:
    """Within this context the substitutes replace TensorFlow's Python functions."""
    with (
        replaced(tf, cast=_cast, constant=_constant, convert_to_tensor=_constant),
        replaced(math_ops, cast=_cast),
        replaced(
            tf.nn,
            max_pool=_max_pool,
            avg_pool=_average_pool,
            convolution=_convolution,
            conv_transpose=_transposed_convolution,
        ),  # fmt: skip
    ):
        yield


@contextmanager
def differentiable_moments(enabled: bool) -> Iterator[None]:
    """If ``enabled``, differentiate through the mean inside ``tf.nn.moments``, where TensorFlow stops the gradient."""
    with replaced(tf.nn, **({"moments": _moments} if enabled else {})):
        yield


@contextmanager
def replaced(module: Any, **functions: Callable) -> Iterator[None]:
    """Within this context these functions of a module are replaced; each is handed the stock function first."""
    stock = {name: getattr(module, name) for name in functions}
    for name, function in functions.items():
        setattr(module, name, _bound(function, stock[name]))
    try:
        yield
    finally:
        for name, function in stock.items():
            setattr(module, name, function)


def _bound(function: Callable, stock: Callable) -> Callable:
    return lambda *args, **kwargs: function(stock, *args, **kwargs)


def _moments(stock: Any, x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: Any = None) -> Any:
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(x - mean), axes, keepdims=keepdims)
    return (mean if keepdims else tf.squeeze(mean, axes)), variance


def _cast(stock: Any, x: Any, dtype: Any, name: Any = None) -> Any:
    return tf.constant(x, tf.float64) if tf.as_dtype(dtype) == tf.float64 and _exact(x) else stock(x, dtype, name)


def _constant(stock: Any, value: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
    """In a float64 run, numbers that Python or NumPy holds in double precision are not rounded to float32."""
    double = keras.config.floatx() == "float64" and (dtype is None or tf.as_dtype(dtype) == tf.float32)
    return stock(value, tf.float64 if double and _exact(value) else dtype, *args, **kwargs)


def _exact(value: Any) -> bool:
    """Whether these are numbers in double precision, at least one of them no integer by type."""
    if isinstance(value, np.ndarray):
        return value.dtype == np.float64
    if isinstance(value, (tuple, list)):
        numbers = [x for x in tf.nest.flatten(value) if type(x) is not int]
        return bool(numbers) and all(_exact(x) for x in numbers)
    return isinstance(value, float)  # np.float64 too


def _max_pool(
    stock: Any, x: Any, ksize: Any, strides: Any, padding: Any, data_format: Any = None, name: Any = None
) -> Any:
    if x.dtype != tf.float64 or len(x.shape) != 5:
        return stock(x, ksize, strides, padding, data_format, name)
    return tf.reduce_max(_windows(x, ksize, strides, padding, x.dtype.min), axis=0)


def _average_pool(
    stock: Any, x: Any, ksize: Any, strides: Any, padding: Any, data_format: Any = None, name: Any = None
) -> Any:
    if x.dtype != tf.float64 or len(x.shape) != 5:
        return stock(x, ksize, strides, padding, data_format, name)
    counted = _windows(tf.ones_like(x), ksize, strides, padding, 0.0)
    return tf.reduce_sum(_windows(x, ksize, strides, padding, 0.0), axis=0) / tf.reduce_sum(counted, axis=0)


def _windows(x: Any, ksize: Any, strides: Any, padding: str, filler: float) -> Any:
    """``[k, N, D, H, W, C]``: for each tap of the window, its input at each position of the output."""
    size, step = ([int(n) for n in np.broadcast_to(value, 3)] for value in (ksize, strides))
    edges = [same_amounts(int(n), k, s) if padding == "SAME" else (0, 0)
             for n, k, s in zip(x.shape[1:4], size, step, strict=True)]  # fmt: skip
    x = tf.pad(x, [(0, 0), *edges, (0, 0)], constant_values=filler)
    counts = [(int(n) - k) // s + 1 for n, k, s in zip(x.shape[1:4], size, step, strict=True)]
    windows = [
        x[:, *(slice(o, o + (c - 1) * s + 1, s) for o, c, s in zip(offset, counts, step, strict=True))]
        for offset in product(*(range(k) for k in size))
    ]
    return tf.stack(windows)


def _convolution(stock: Any, x: Any, filters: Any, *args: Any, **kwargs: Any) -> Any:
    if kwargs.get("data_format") in CHANNELS_LAST:
        last = {**kwargs, "data_format": CHANNELS_LAST[kwargs["data_format"]]}
        return _first(_convolution(stock, _last(x), filters, *args, **last))
    groups = int(x.shape[-1]) // int(filters.shape[-2])
    if groups == 1:
        return stock(x, filters, *args, **kwargs)
    parts = zip(tf.split(x, groups, -1), tf.split(filters, groups, -1), strict=True)
    return tf.concat([stock(part, kernel, *args, **kwargs) for part, kernel in parts], -1)


def _transposed_convolution(
    stock: Any, x: Any, filters: Any, output_shape: Any, strides: Any, *args: Any, **kwargs: Any
) -> Any:
    if kwargs.get("data_format") not in CHANNELS_LAST:
        return stock(x, filters, output_shape, strides, *args, **kwargs)
    last = {**kwargs, "data_format": CHANNELS_LAST[kwargs["data_format"]]}
    batch, channels, *sizes = (int(n) for n in output_shape)
    return _first(stock(_last(x), filters, (batch, *sizes, channels), strides, *args, **last))


def _last(x: Any) -> Any:
    return tf.transpose(x, [0, *range(2, len(x.shape)), 1])


def _first(x: Any) -> Any:
    return tf.transpose(x, [0, len(x.shape) - 1, *range(1, len(x.shape) - 1)])


def _leaky_relu(stock: Any, features: Any, alpha: float) -> Any:
    return tf.where(features > 0, features, tf.constant(alpha, features.dtype) * features)


def _local_response(stock: Any, x: Any, depth_radius: int, bias: float, alpha: float, beta: float) -> Any:
    count = int(x.shape[-1])
    band = np.abs(np.subtract.outer(np.arange(count), np.arange(count))) <= depth_radius
    squares = tf.tensordot(x * x, tf.constant(band.astype(np.float64)), 1)
    return x * (bias + alpha * squares) ** tf.constant(-beta, tf.float64)


def _contrast(stock: Any, images: Any, factor: Any) -> Any:
    mean = tf.reduce_mean(images, (-3, -2), keepdims=True)
    return (images - mean) * tf.cast(factor, tf.float64) + mean


def _resized(matrix: Callable) -> Callable:
    """A resizing kernel's exact substitute: a matrix per axis, if float32's rounding explains the stock's."""

    def resize(stock: Callable, images: Any, size: Any, *more: Any, **settings: Any) -> Any:
        placed = [[float(x[axis]) for x in more] for axis in (0, 1)]  # scale and translation
        axes = zip(images.shape[1:3], np.asarray(size), placed, strict=True)
        rows, columns = (matrix(int(n), int(m), *place, **settings) for n, m, place in axes)
        exact = tf.einsum("oh,nhwc,pw->nopc", tf.constant(rows), images, tf.constant(columns))
        limit = interpolation.float32_error(rows, columns) * scale(images.numpy())
        return exact if difference(stock().numpy(), exact.numpy()).absolute <= limit else None

    return resize


def _scale_and_translate(size: int, target: int, scale: float, translation: float, **settings: Any) -> np.ndarray:
    return interpolation.sampled(size, target, settings["kernel_type"], scale, translation, settings["antialias"])


KERNELS: dict[str, Callable] = {
    "LeakyRelu": _leaky_relu,
    "LRN": _local_response,
    "AdjustContrastv2": _contrast,
    "ResizeBilinear": _resized(interpolation.bilinear),
    "ResizeBicubic": _resized(interpolation.bicubic),
    "ResizeArea": _resized(interpolation.area),
    "ScaleAndTranslate": _resized(_scale_and_translate),
}
"""By operation, what computes it in float64, or None: from the stock float32 result, its operands, its attributes."""
