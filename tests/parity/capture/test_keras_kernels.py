"""TensorFlow's kernels in a float64 run: none rounds to float32, and resizing agrees with what TensorFlow computes."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from parity.capture.keras_adapter import KerasAdapter
from parity.numerics import interpolation

SIZES = [((4, 5), (8, 10)), ((8, 6), (3, 5)), ((7, 9), (11, 4)), ((1, 3), (4, 5)), ((33, 64), (100, 20))]
X = np.random.default_rng(0).uniform(0, 1, (2, 6, 8, 3))
CONSTANT = tf.constant([0.1, 0.2, 0.3])


def computed(function: Callable, dtype: str) -> np.ndarray:
    adapter = KerasAdapter(keras.Sequential([keras.Input(X.shape[1:]), keras.layers.Lambda(function)]))
    with adapter.precision(dtype):
        return adapter.run([X]).result[0]


FUNCTIONS: dict[str, Callable] = {
    "cast": lambda x: tf.cast(x, tf.float32) * 0.1,
    "constant": lambda x: x * tf.constant(0.1),
    "constant outside": lambda x: x * CONSTANT,
    "cast integers": lambda x: tf.cast(tf.argmax(x, -1), tf.float32) * 0.1,
    "ones": lambda x: tf.concat([x, tf.ones((tf.shape(x)[0], 6, 8, 1)) / 3], -1),
    "matrix": lambda x: tf.matmul(x, tf.eye(3) / 3),
    "contrast": lambda x: tf.image.adjust_contrast(x, 1.3),
    "filter bank": lambda x: tf.matmul(x, tf.signal.linear_to_mel_weight_matrix(4, 3, 16000, 80.0, 7000.0)),
    **{method: lambda x, method=method: tf.image.resize(x, (9, 5), method=method)
       for method in ("bilinear", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")},
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_float64_run_stays_in_float64(name: str) -> None:
    exact, rounded = (computed(FUNCTIONS[name], dtype) for dtype in ("float64", "float32"))
    assert (exact.dtype, rounded.dtype) == (np.float64, np.float32)
    apart = np.abs(exact - rounded).max() / np.abs(exact).max()
    assert 0 < apart < 2.0**-20, "only float32 rounds"


@pytest.mark.parametrize(("size", "target"), SIZES)
def test_the_matrices_of_resizing_are_tensorflows(size: tuple[int, int], target: tuple[int, int]) -> None:
    x = np.random.default_rng(0).standard_normal((2, *size, 3)).astype(np.float32)

    def agree(stock: tf.Tensor, matrix: Callable) -> None:
        rows, columns = (matrix(n, m) for n, m in zip(size, target, strict=True))
        exact = np.einsum("oh,nhwc,pw->nopc", rows, x.astype(np.float64), columns)
        assert np.abs(exact - stock.numpy()).max() <= interpolation.float32_error(rows, columns) * np.abs(x).max()

    for corners, half in ((False, False), (True, False), (False, True)):
        settings = {"align_corners": corners, "half_pixel_centers": half}
        for kernel, matrix in (("ResizeBilinear", interpolation.bilinear), ("ResizeBicubic", interpolation.bicubic)):
            stock = getattr(tf.raw_ops, kernel)(images=x, size=target, **settings)
            agree(stock, lambda n, m, matrix=matrix, settings=settings: matrix(n, m, **settings))
    agree(tf.raw_ops.ResizeArea(images=x, size=target, align_corners=False), interpolation.area)
    ratios = np.array([m / n for n, m in zip(size, target, strict=True)], np.float32)
    for kernel in interpolation.KERNELS:
        stock = tf.raw_ops.ScaleAndTranslate(
            images=x,
            size=target,
            scale=ratios,
            translation=np.zeros(2, np.float32),
            kernel_type=kernel,
            antialias=False,
        )
        agree(stock, lambda n, m, kernel=kernel: interpolation.sampled(n, m, kernel, m / n, 0.0, False))


def test_what_operations_make_of_constants_is_a_constant() -> None:
    """A window is computed while the network runs, from nothing that it is given.

    Of odd length TensorFlow's is symmetric, even where it says periodic.
    """

    def windowed(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(x * tf.signal.hann_window(3), (1, 2))

    dense = keras.layers.Dense(2, name="d")
    adapter = KerasAdapter(keras.Sequential([keras.Input(X.shape[1:]), keras.layers.Lambda(windowed), dense]))
    with adapter.precision("float64"):
        found = adapter.constants([X], training=False)
        kernel = np.asarray(dense.kernel)
    assert any(x.shape == (3,) and np.allclose(x, [0, 1, 0]) for x in found)
    assert not any(x.shape == kernel.shape or x.shape[:1] == X.shape[:1] for x in found), "weights and values are none"
