"""Resizing and pooling by definition. Plain NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from parity.numerics.reference_ops.axes import Amounts, PerAxis, extend, float64, per_axis, windows
from parity.numerics.resize_modes import RESIZE_MODES
from parity.verdict import UnusableInput

# What an extended pixel holds, by mode, so that no window takes its value from one.
NEUTRAL = {"max": -np.inf, "min": np.inf, "average": 0.0, "sum": 0.0, "l2": 0.0}


def upsample(x: np.ndarray, factor: PerAxis, mode: str) -> np.ndarray:
    """``[B, *S, C]`` -> ``[B, *(S * factor), C]``, ``mode`` a key of ``RESIZE_MODES``, separably along each axis."""
    factors = (factor,) * (x.ndim - 2) if isinstance(factor, (int, float, np.number)) else tuple(factor)
    if len(factors) != x.ndim - 2 or any(times <= 0 for times in factors):
        raise UnusableInput(f"factor={factor!r}: expected one positive number, or {x.ndim - 2} (one per spatial axis)")
    return resize(x, [max(int(n * times), 1) for n, times in zip(x.shape[1:-1], factors, strict=True)], mode)


def resize(x: np.ndarray, sizes: Sequence[int], mode: str) -> np.ndarray:
    """``[B, *S, C]`` -> ``[B, *sizes, C]``, ``mode`` a key of ``RESIZE_MODES``, separably along each axis."""
    if mode not in RESIZE_MODES:
        raise UnusableInput(f"upsample: unknown mode {mode!r}; known: {', '.join(RESIZE_MODES)}")
    y = float64(x)
    for axis, size in enumerate(sizes, start=1):
        if y.shape[axis] != size:
            y = np.moveaxis(np.tensordot(RESIZE_MODES[mode].matrix(y.shape[axis], size), y, (1, axis)), 0, axis)
    return y


def pool(
    x: np.ndarray,
    size: PerAxis,
    strides: PerAxis,
    pads: Amounts,
    mode: str,
    count_padding: bool = False,
    padding_value: float | None = None,
) -> np.ndarray:
    """``max``, ``min``, ``average``, ``sum`` or ``l2`` of each window, ``[B, *S, C]`` -> ``[B, *out, C]``.

    ``count_padding``: the average divides by the window's size (torch's default) instead of by the number of input
    pixels in it (Keras). ``padding_value`` stands in the padding instead of what leaves the result alone.
    """
    if mode not in NEUTRAL:
        raise UnusableInput(f"pool: unknown mode {mode!r}; known: {', '.join(NEUTRAL)}")
    rank = x.ndim - 2
    size, strides, ones = per_axis(size, rank, "size"), per_axis(strides, rank, "strides"), (1,) * rank
    padded = extend(x, pads, NEUTRAL[mode] if padding_value is None else padding_value)
    taps = windows("pool", padded.shape[1:-1], size, strides, ones)
    patches = [padded[:, *window] for _, window in taps]
    if mode in ("max", "min"):
        return (np.maximum if mode == "max" else np.minimum).reduce(patches)
    if mode == "l2":
        return np.sqrt(np.add.reduce([patch**2 for patch in patches]))
    if mode == "sum":
        return np.add.reduce(patches)
    if count_padding:
        return np.add.reduce(patches) / len(patches)
    inside = extend(np.ones((1, *x.shape[1:-1], 1)), pads)
    return np.add.reduce(patches) / np.add.reduce([inside[:, *window] for _, window in taps])
