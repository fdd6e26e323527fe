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
        matrix: ``matrix(n, m)`` is the matrix ``[m, n]`` along one axis from ``n`` to ``m`` pixels.
        torch: the ``(mode, align_corners, antialias)`` of ``F.interpolate`` that compute it.
        words: what tells it from the others, for messages.
        fix: how to compute it in torch where no setting of ``F.interpolate`` does.
    """

    matrix: Callable[[int, int], np.ndarray]
    torch: tuple[tuple[str, bool, bool], ...] = ()
    words: str = ""
    fix: str = ""

    @property
    def code(self) -> str:
        """What to write in torch."""
        if not self.torch:
            return self.fix
        mode, corners, antialias = self.torch[0]
        options = (
            f'mode="{mode}"' + (", align_corners=True" if corners else "") + (", antialias=True" if antialias else "")
        )
        return f"F.interpolate(x, size=(h, w), {options})" + (f" ({self.fix})" if self.fix else "")


def from_torch(mode: str, align_corners: bool | None, antialias: bool = False, whole: bool = True) -> str:
    """The canonical name of a torch interpolation; one that is in no row keeps torch's own name.

    ``whole``: sizes grow by whole factors, where ``nearest`` and ``nearest-exact`` are one and the same.
    """
    settings = ("nearest" if whole and mode == "nearest-exact" else mode, bool(align_corners), bool(antialias))
    known = next((name for name, row in RESIZE_MODES.items() if settings in row.torch), "")
    words = (" (align_corners=True)" if align_corners else "") + (" (antialias=True)" if antialias else "")
    return known or mode + words


def _interpolation(size: int, positions: np.ndarray, taps: Sequence[int], weigh: Callable) -> np.ndarray:
    """``[positions, size]``: each row spreads its weights over ``taps`` around a position, clamped to the edge."""
    base = np.floor(positions).astype(int)
    matrix = np.zeros((len(positions), size))
    for tap in taps:
        columns = np.clip(base + tap, 0, size - 1)
        np.add.at(matrix, (np.arange(len(positions)), columns), weigh(np.abs(positions - base - tap)))
    return matrix


def _picking(size: int, indices: np.ndarray) -> np.ndarray:
    """``[indices, size]``: each row takes one value."""
    return np.eye(size)[np.clip(indices.astype(int), 0, size - 1)]


def _windowed(size: int, target: int, kernel: Callable, radius: float, antialias: bool) -> np.ndarray:
    """A kernel at half-pixel centres, widened with the step where ``antialias``, normalised over the pixels inside.

    TensorFlow's ScaleAndTranslate (scale_and_translate_op.cc) and torch's antialiased kernels (UpSampleKernel.cpp).
    """
    step = size / target
    width = max(step, 1.0) if antialias else 1.0
    distance = (np.arange(size) + 0.5 - (np.arange(target)[:, None] + 0.5) * step) / width
    weights = np.where(np.abs(distance) < radius, kernel(np.abs(distance)), 0.0)
    sums = weights.sum(1, keepdims=True)
    return weights / np.where(sums == 0, 1.0, sums)


def _cubic(distance: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Cubic kernel of Keys (1981, eq. 15) with the coefficient of TensorFlow's legacy resize (resize_bicubic_op.cc)."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def _keys(distance: np.ndarray) -> np.ndarray:
    """Keys's own coefficient: the kernel of TensorFlow 2, Pillow and torch's antialiased bicubic."""
    return _cubic(distance, -0.5)


def _linear(distance: np.ndarray) -> np.ndarray:
    return 1 - distance


def _lanczos(radius: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda distance: np.sinc(distance) * np.sinc(distance / radius)


def _mitchell(distance: np.ndarray) -> np.ndarray:
    """Mitchell and Netravali's cubic with B = C = 1/3."""
    near = ((7 * distance - 12) * distance**2 + 16 / 3) / 6
    far = (((-7 / 3 * distance + 12) * distance - 20) * distance + 32 / 3) / 6
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def _tabulated_keys(size: int, target: int) -> np.ndarray:
    """Keys's cubic at half-pixel centres as TensorFlow takes it from a table of 1024 steps (resize_bicubic_op.cc)."""
    positions = np.floor(centres := _centres(size, target)) + np.rint((centres - np.floor(centres)) * 1024) / 1024
    weights = _keys(np.abs(np.arange(size) - positions[:, None]))
    return weights / weights.sum(1, keepdims=True)


def _corner_positions(size: int, target: int) -> np.ndarray:
    """Positions at which the first and the last output are the first and the last input."""
    return np.arange(target) * (size - 1) / max(target - 1, 1)


def _centres(size: int, target: int) -> np.ndarray:
    """Positions of pixels' centres, in pixels of the input."""
    return (np.arange(target) + 0.5) * size / target - 0.5


def _starts(size: int, target: int) -> np.ndarray:
    """Positions ``i * size / target``: TensorFlow 1's, without half-pixel centres."""
    return np.arange(target) * size / target


def _adaptive(size: int, target: int) -> np.ndarray:
    """Each output is the mean of the input pixels that its share touches (torch's adaptive pooling)."""
    pixels, places = np.arange(size), np.arange(target)[:, None]
    inside = (pixels >= places * size // target) & (pixels < -(-(places + 1) * size // target))
    return inside / inside.sum(1, keepdims=True)


def _covered(size: int, target: int) -> np.ndarray:
    """Each output is the mean over its share of the input, pixels at its edges by the part that lies in it."""
    pixels, places = np.arange(size), np.arange(target)[:, None] * size / target
    shares = np.minimum(places + size / target, pixels + 1) - np.maximum(places, pixels)
    return np.clip(shares, 0, None) * target / size


BY_HAND = "multiply by the interpolation matrix of each axis; F.interpolate has no setting for it"
RESIZE_MODES: dict[str, ResizeMode] = {
    "nearest": ResizeMode(
        lambda n, m: _picking(n, np.arange(m) * n // m),
        (("nearest", False, False),),
        "the pixel at floor(i * in / out)",
    ),
    "nearest-exact": ResizeMode(
        lambda n, m: _picking(n, (2 * np.arange(m) + 1) * n // (2 * m)),
        (("nearest-exact", False, False),),
        "the pixel at floor((i + 0.5) * in / out), half-pixel centres",
    ),
    "nearest (align_corners=True)": ResizeMode(
        lambda n, m: _picking(n, np.floor(_corner_positions(n, m) + 0.5)),
        words="TensorFlow 1's, the pixel at round(i * (in - 1) / (out - 1))",
        fix="index with torch.floor(torch.arange(out) * (in - 1) / (out - 1) + 0.5).long() along each axis",
    ),
    "bilinear": ResizeMode(
        lambda n, m: _interpolation(n, _centres(n, m), (0, 1), _linear),
        (("bilinear", False, False), ("linear", False, False), ("trilinear", False, False)),
        "half-pixel centres, align_corners=False",
    ),
    "linear-legacy": ResizeMode(
        lambda n, m: _interpolation(n, _starts(n, m), (0, 1), _linear),
        words="bilinear at i * in / out: TensorFlow 1's align_corners=False, half_pixel_centers=False",
        fix="interpolate between the pixels at floor(i * in / out) and the next one, clamped at the edge, by the "
        "fraction; F.interpolate has no setting for it",
    ),
    "bilinear (align_corners=True)": ResizeMode(
        lambda n, m: _interpolation(n, _corner_positions(n, m), (0, 1), _linear),
        (("bilinear", True, False), ("linear", True, False), ("trilinear", True, False)),
        "corners on corners",
    ),
    "cubic-legacy": ResizeMode(
        lambda n, m: _interpolation(n, _starts(n, m), (-1, 0, 1, 2), _cubic),
        words="bicubic a=-0.75 at i * in / out: TensorFlow 1's half_pixel_centers=False",
        fix=BY_HAND,
    ),
    "bicubic": ResizeMode(
        lambda n, m: _interpolation(n, _centres(n, m), (-1, 0, 1, 2), _cubic),
        (("bicubic", False, False),),
        "a=-0.75, half-pixel centres, clamped at the edge",
    ),
    "bicubic (align_corners=True)": ResizeMode(
        lambda n, m: _interpolation(n, _corner_positions(n, m), (-1, 0, 1, 2), _cubic),
        (("bicubic", True, False),),
        "a=-0.75, corners on corners",
    ),
    "bicubic (a=-0.5)": ResizeMode(
        _tabulated_keys,
        words="half-pixel centres without antialias: TensorFlow 2's and Keras's",
        fix='F.interpolate(x, size=(h, w), mode="bicubic", antialias=True) to enlarge by powers of two (TensorFlow '
        "rounds weights to steps of 1/1024); else " + BY_HAND,
    ),
    "bilinear (antialias=True)": ResizeMode(
        lambda n, m: _windowed(n, m, _linear, 1, True),
        (("bilinear", False, True), ("linear", False, True)),
        "the kernel widened with the step",
    ),
    "bicubic (antialias=True)": ResizeMode(
        lambda n, m: _windowed(n, m, _keys, 2, True), (("bicubic", False, True),), "a=-0.5, widened with the step"
    ),
    "area": ResizeMode(_adaptive, (("area", False, False),), "the mean of the pixels touched, adaptive pooling"),
    "area (by coverage)": ResizeMode(
        _covered, words="TensorFlow's, edge pixels by the part that is covered", fix=BY_HAND
    ),
    "lanczos3": ResizeMode(lambda n, m: _windowed(n, m, _lanczos(3), 3, False), words="radius 3", fix=BY_HAND),
    "lanczos3 (antialias=True)": ResizeMode(
        lambda n, m: _windowed(n, m, _lanczos(3), 3, True), words="radius 3, widened", fix=BY_HAND
    ),
    "lanczos5": ResizeMode(lambda n, m: _windowed(n, m, _lanczos(5), 5, False), words="radius 5", fix=BY_HAND),
    "lanczos5 (antialias=True)": ResizeMode(
        lambda n, m: _windowed(n, m, _lanczos(5), 5, True), words="radius 5, widened", fix=BY_HAND
    ),
    "mitchellcubic": ResizeMode(lambda n, m: _windowed(n, m, _mitchell, 2, False), words="B=C=1/3", fix=BY_HAND),
}
"""By canonical name, which is Keras's ``interpolation`` where Keras has the mode.

``bilinear`` has half-pixel centres (torch ``align_corners=False``, Keras's UpSampling2D); the legacy modes are TF 1's
``align_corners=False, half_pixel_centers=False``: samples at ``i / factor``, clamped at the edge. TF tabulates the
cubic weights at steps of 1/1024: exact for factor 2, rounded for factors that are no power of two.
"""


def describe_mode(name: str) -> str:
    """A mode with what tells it from the others."""
    words = RESIZE_MODES[name].words if name in RESIZE_MODES else ""
    return f"{name} ({words})" if words else name
