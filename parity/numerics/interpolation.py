"""TensorFlow's resizing kernels as one exact matrix per axis, ``[target, size]``. Plain NumPy.

Definitions: ``tensorflow/core/kernels/image/`` (``image_resizer_state.h``, ``resize_bicubic_op.cc``,
``resize_area_op.cc``, ``scale_and_translate_op.cc``, ``sampling_kernels.h``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
TABLE = 1024
"""Steps per pixel of the table in which the bicubic kernel looks up its weights: its positions are rounded to these."""


def bilinear(size: int, target: int, align_corners: bool = False, half_pixel_centers: bool = True) -> Array:
    """Linear interpolation between the two neighbours, edges clamped."""
    place = _places(size, target, align_corners, half_pixel_centers)
    low = np.floor(place)
    return _gathered(size, [(low, 1 - (place - low)), (low + 1, place - low)])


def bicubic(size: int, target: int, align_corners: bool = False, half_pixel_centers: bool = True) -> Array:
    """Cubic convolution: a = -1/2 without what lies outside for half-pixel centres, else -3/4, edges clamped."""
    place = _places(size, target, align_corners, half_pixel_centers)
    low = np.floor(place)
    offset = np.rint((place - low) * TABLE) / TABLE
    a = -0.5 if half_pixel_centers else -0.75
    taps = [(low + k, _cubic(np.abs(offset - k), a)) for k in (-1, 0, 1, 2)]
    if half_pixel_centers:
        taps = [(index, np.where((index >= 0) & (index < size), share, 0.0)) for index, share in taps]
        total = sum(share for _, share in taps)
        taps = [(index, share / total) for index, share in taps]
    return _gathered(size, taps)


def area(size: int, target: int, align_corners: bool = False) -> Array:
    """The mean over the stretch of the input that each output covers."""
    ratio = _ratio(size, target, align_corners)
    if not ratio:  # one pixel with its corners aligned
        return np.ones((target, 1))
    start = np.arange(target)[:, None] * ratio
    pixels = np.arange(int(np.ceil((target - 1) * ratio + ratio)) + 1)
    overlap = np.clip(np.minimum(start + ratio, pixels + 1) - np.maximum(start, pixels), 0, None) / ratio
    matrix = np.zeros((target, size))
    np.add.at(matrix.T, np.clip(pixels, 0, size - 1), overlap.T)
    return matrix


def sampled(size: int, target: int, kernel: str, scale: float, translation: float, antialias: bool) -> Array:
    """Any kernel of :data:`KERNELS`, stretched if it shrinks with antialiasing, normalised at the edges."""
    radius, function = KERNELS[kernel]
    stretch = max(1 / scale, 1.0) if antialias else 1.0
    place = (np.arange(target) + 0.5) / scale - translation / scale
    pixels = np.arange(size)
    first = np.clip(np.ceil(place - radius * stretch - 0.5), 0, size - 1)
    last = np.clip(np.floor(place + radius * stretch - 0.5), 0, size - 1)
    weights = function(np.abs(pixels + 0.5 - place[:, None]) / stretch)
    weights = np.where((pixels >= first[:, None]) & (pixels <= last[:, None]), weights, 0.0)
    weights[(place < 0) | (place > size)] = 0.0
    total = weights.sum(1, keepdims=True)
    return weights / np.where(total == 0, 1.0, total)


def float32_error(rows: Array, columns: Array) -> float:
    """How far a float32 kernel's result may be from that of its exact matrices, relative to the largest input."""
    return _axis_error(rows) * _gain(columns) + _axis_error(columns) * _gain(rows)


def _axis_error(matrix: Array) -> float:
    """A position up to ``n`` pixels is rounded by the ratio, the product and the sum, each by half a unit of ``n``, and
    the result moves with it by the kernel's slope. Each weight and each partial sum of ``k`` taps is rounded once.

    A row's weights are samples of a kernel, one a pixel, and no kernel here is anywhere twice as steep as the largest
    step between neighbouring samples.
    """
    slope = float(2 * np.abs(np.diff(np.pad(matrix, ((0, 0), (1, 1))), axis=1)).sum(1).max())
    taps = int((matrix != 0).sum(1).max(initial=1))
    return 2.0**-24 * (3 * max(matrix.shape) * slope + 4 * (taps + 1) * _gain(matrix))


def _gain(matrix: Array) -> float:
    return float(np.abs(matrix).sum(1).max())


def _ratio(size: int, target: int, align_corners: bool) -> float:
    return (size - 1) / (target - 1) if align_corners and target > 1 else size / target


def _places(size: int, target: int, align_corners: bool, half_pixel_centers: bool) -> Array:
    ratio = _ratio(size, target, align_corners)
    return (np.arange(target) + 0.5) * ratio - 0.5 if half_pixel_centers else np.arange(target) * ratio


def _gathered(size: int, taps: list[tuple[Array, Array]]) -> Array:
    target = len(taps[0][0])
    matrix = np.zeros((target, size))
    for index, share in taps:
        np.add.at(matrix, (np.arange(target), np.clip(index, 0, size - 1).astype(int)), share)
    return matrix


def _cubic(x: Array, a: float) -> Array:
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _mitchell(x: Array) -> Array:
    near = (7 / 6 * x - 2) * x * x + 8 / 9
    far = ((-7 / 18 * x + 2) * x - 10 / 3) * x + 16 / 9
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _lanczos(radius: float) -> Callable[[Array], Array]:
    def kernel(x: Array) -> Array:
        return np.where(x <= radius, np.sinc(x) * np.sinc(x / radius), 0.0)

    return kernel


def _gaussian(x: Array) -> Array:
    return np.where(x < 1.5, np.exp(-(x**2) / (2 * 0.5**2)), 0.0)


KERNELS: dict[str, tuple[float, Callable[[Array], Array]]] = {
    "lanczos1": (1.0, _lanczos(1.0)),
    "lanczos3": (3.0, _lanczos(3.0)),
    "lanczos5": (5.0, _lanczos(5.0)),
    "gaussian": (1.5, _gaussian),
    "box": (1.0, lambda x: np.where(x < 0.5, 1.0, np.where(x == 0.5, 0.5, 0.0))),
    "triangle": (1.0, lambda x: np.where(x < 1, 1 - x, 0.0)),
    "keyscubic": (2.0, lambda x: _cubic(x, -0.5)),
    "mitchellcubic": (2.0, _mitchell),
}
"""Radius and function of each kernel of ``tf.raw_ops.ScaleAndTranslate``."""
