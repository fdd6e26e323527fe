"""Resizing and pooling by definition. Plain NumPy."""

from __future__ import annotations

import numpy as np

from parity.numerics.reference_ops.axes import Amounts, PerAxis, extend, float64, per_axis, windows
from parity.numerics.resize_modes import RESIZE_MODES
from parity.verdict import UnusableInput


def upsample(x: np.ndarray, factor: PerAxis, mode: str) -> np.ndarray:
    """``[B, *S, C]`` -> ``[B, *(S * factor), C]``, ``mode`` a key of ``RESIZE_MODES``, separably along each axis."""
    if mode not in RESIZE_MODES:
        raise UnusableInput(f"upsample: unknown mode {mode!r}; known: {', '.join(RESIZE_MODES)}")
    y = float64(x)
    for axis, times in enumerate(per_axis(factor, x.ndim - 2, "factor"), start=1):
        y = np.moveaxis(np.tensordot(RESIZE_MODES[mode].matrix(y.shape[axis], times), y, (1, axis)), 0, axis)
    return y


def pool(
    x: np.ndarray, size: PerAxis, strides: PerAxis, pads: Amounts, mode: str, count_padding: bool = False
) -> np.ndarray:
    """``max`` or ``average`` of each window, ``[B, *S, C]`` -> ``[B, *out, C]``.

    ``count_padding``: the average divides by the window's size (torch's default) instead of by the number of input
    pixels in it (Keras).
    """
    if mode not in ("max", "average"):
        raise UnusableInput(f"pool: unknown mode {mode!r}; known: max, average")
    rank = x.ndim - 2
    size, strides, ones = per_axis(size, rank, "size"), per_axis(strides, rank, "strides"), (1,) * rank
    padded = extend(x, pads, -np.inf if mode == "max" else 0.0)
    taps = windows("pool", padded.shape[1:-1], size, strides, ones)
    patches = [padded[:, *window] for _, window in taps]
    if mode == "max":
        return np.maximum.reduce(patches)
    if count_padding:
        return np.add.reduce(patches) / len(patches)
    inside = extend(np.ones((1, *x.shape[1:-1], 1)), pads)
    return np.add.reduce(patches) / np.add.reduce([inside[:, *window] for _, window in taps])
