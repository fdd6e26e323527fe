"""Resize modes: one row a mode, with its definition and the frameworks' names for it. Plain NumPy.

To add a resize mode: a row in :data:`RESIZE_MODES`. Capture then recognises it in both frameworks, and the diagnosis
names it where a port uses it instead of another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ResizeMode:
    """One interpolation.

    Attributes:
        matrix: ``matrix(n, factor)`` is the matrix ``[n * factor, n]`` along one axis.
        torch: the ``(mode, align_corners)`` of ``F.interpolate`` that compute it for integer factors.
    """

    matrix: Callable[[int, int], np.ndarray]
    torch: tuple[tuple[str, bool], ...] = ()


def from_torch(mode: str, align_corners: bool | None) -> str:
    """The canonical name of a torch interpolation; one that is in no row keeps torch's own name."""
    settings = (mode, bool(align_corners))
    known = next((name for name, row in RESIZE_MODES.items() if settings in row.torch), "")
    return known or mode + (" (align_corners=True)" if align_corners else "")


def _interpolation(size: int, positions: np.ndarray, taps: Sequence[int], weigh: Callable) -> np.ndarray:
    """``[positions, size]``: each row spreads its weights over ``taps`` around a position, clamped to the edge."""
    base = np.floor(positions).astype(int)
    matrix = np.zeros((len(positions), size))
    for tap in taps:
        columns = np.clip(base + tap, 0, size - 1)
        np.add.at(matrix, (np.arange(len(positions)), columns), weigh(np.abs(positions - base - tap)))
    return matrix


def _cubic(distance: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Cubic kernel of Keys (1981, eq. 15) with the coefficient of TensorFlow's legacy resize (resize_bicubic_op.cc)."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def _linear(distance: np.ndarray) -> np.ndarray:
    return 1 - distance


def _corner_positions(size: int, factor: int) -> np.ndarray:
    """Positions at which the first and the last output are the first and the last input."""
    return np.arange(size * factor) * (size - 1) / max(size * factor - 1, 1)


RESIZE_MODES: dict[str, ResizeMode] = {
    "nearest": ResizeMode(lambda n, f: np.repeat(np.eye(n), f, axis=0), (("nearest", False), ("nearest-exact", False))),
    "bilinear": ResizeMode(
        lambda n, f: _interpolation(n, (np.arange(n * f) + 0.5) / f - 0.5, (0, 1), _linear),
        (("bilinear", False), ("linear", False)),
    ),
    "linear-legacy": ResizeMode(lambda n, f: _interpolation(n, np.arange(n * f) / f, (0, 1), _linear)),
    "bilinear (align_corners=True)": ResizeMode(
        lambda n, f: _interpolation(n, _corner_positions(n, f), (0, 1), _linear),
        (("bilinear", True), ("linear", True)),
    ),
    "cubic-legacy": ResizeMode(lambda n, f: _interpolation(n, np.arange(n * f) / f, (-1, 0, 1, 2), _cubic)),
}
"""By canonical name, which is Keras's ``interpolation`` where Keras has the mode.

``bilinear`` has half-pixel centres (torch ``align_corners=False``, Keras's UpSampling2D); the legacy modes are TF 1's
``align_corners=False, half_pixel_centers=False``: samples at ``i / factor``, clamped at the edge. TF tabulates the
cubic weights at steps of 1/1024: exact for factor 2, rounded for factors that are no power of two.
"""
