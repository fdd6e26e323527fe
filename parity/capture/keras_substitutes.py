"""Exact float64 substitutes for TensorFlow functions that have no float64 kernel, or one with a rounded constant.

Bilinear resizing always computes in float32, 3-D pooling in float32 at most, GELU holds sqrt(2) in float32, and Python
numbers are rounded to float32 when they are cast. Grouped convolutions have no gradient on the CPU. A substitute never
hides what Keras computes: in float32 the stock kernels run, and resizing is compared with the stock result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import numpy as np
import tensorflow as tf

from parity.padding import same_amounts

# float32 kernels agree with their definition to a few units of 2^-24; another definition would be off by 1e-3 and more.
STOCK_AGREES = 1e-5


@contextmanager
def exact_kernels() -> Iterator[None]:
    """Within this context the substitutes replace TensorFlow's functions."""
    with (
        _replaced(tf, cast=_cast),
        _replaced(tf.nn, gelu=_gelu, max_pool=_max_pool, avg_pool=_average_pool, convolution=_convolution),
        _replaced(tf.image, resize=_resize),
    ):
        yield


@contextmanager
def differentiable_moments(enabled: bool) -> Iterator[None]:
    """If ``enabled``, differentiate through the mean inside ``tf.nn.moments``, where TensorFlow stops the gradient."""
    with _replaced(tf.nn, **({"moments": _moments} if enabled else {})):
        yield


@contextmanager
def _replaced(module: Any, **functions: Callable) -> Iterator[None]:
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
    numbers = isinstance(x, float) or isinstance(x, (tuple, list)) and all(isinstance(n, float) for n in x)
    return tf.constant(x, tf.float64) if numbers and tf.as_dtype(dtype) == tf.float64 else stock(x, dtype, name)


def _gelu(stock: Any, features: Any, approximate: bool = False, name: Any = None) -> Any:
    if features.dtype != tf.float64:
        return stock(features, approximate, name)
    half = tf.constant(0.5, tf.float64)
    if approximate:
        inner = features + tf.constant(0.044715, tf.float64) * features**3
        return half * features * (1.0 + tf.tanh(tf.constant(math.sqrt(2 / math.pi), tf.float64) * inner))
    return half * features * (1.0 + tf.math.erf(features / tf.constant(math.sqrt(2), tf.float64)))


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
    groups = int(x.shape[-1]) // int(filters.shape[-2])
    if groups == 1 or kwargs.get("data_format") in ("NCW", "NCHW", "NCDHW"):
        return stock(x, filters, *args, **kwargs)
    parts = zip(tf.split(x, groups, -1), tf.split(filters, groups, -1), strict=True)
    return tf.concat([stock(part, kernel, *args, **kwargs) for part, kernel in parts], -1)


def _resize(stock: Any, images: Any, size: Any, method: Any = "bilinear", *args: Any, **kwargs: Any) -> Any:
    plain = method == "bilinear" and not args and not any(kwargs.values())
    if images.dtype != tf.float64 or len(images.shape) != 4 or not plain:
        return stock(images, size, method, *args, **kwargs)
    rows, columns = (tf.constant(_bilinear(int(n), int(m))) for n, m in zip(images.shape[1:3], size, strict=True))
    exact = tf.einsum("oh,nhwc,pw->nopc", rows, images, columns)
    rounded = tf.cast(stock(images, size, method), tf.float64)
    apart = float(tf.reduce_max(tf.abs(exact - rounded)))
    return exact if apart <= STOCK_AGREES * float(tf.reduce_max(tf.abs(rounded))) else rounded


def _bilinear(size: int, target: int) -> np.ndarray:
    """The matrix ``[target, size]`` of bilinear interpolation with half-pixel centres, edges clamped."""
    place = (np.arange(target) + 0.5) * size / target - 0.5
    low = np.floor(place)
    matrix = np.zeros((target, size))
    for index, share in ((low, 1 - (place - low)), (low + 1, place - low)):
        np.add.at(matrix, (np.arange(target), np.clip(index, 0, size - 1).astype(int)), share)
    return matrix
