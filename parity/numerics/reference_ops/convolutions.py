"""Convolutions, transposed convolutions and dense layers by definition. Plain NumPy."""

from __future__ import annotations

from functools import reduce

import numpy as np

from parity.numerics.reference_ops.axes import Amounts, PerAxis, add_bias, extend, float64, per_axis, windows
from parity.verdict import UnusableInput


def conv(
    x: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    strides: PerAxis,
    dilation: PerAxis,
    groups: int = 1,
    pads: Amounts,
) -> np.ndarray:
    """Cross-correlation ``[B, *S, in]`` -> ``[B, *out, out]``; negative pads leave input out.

    Raises :class:`UnusableInput` where shapes do not fit together or a window is longer than the padded input.
    """
    rank = _rank("conv", x, kernel)
    if x.shape[-1] != kernel.shape[-2] * groups or kernel.shape[-1] % groups:
        raise UnusableInput(
            f"conv: {x.shape[-1]} input channels do not fit a kernel (*k, in/groups, out) of shape {kernel.shape} "
            f"with groups={groups}"
        )
    strides, dilation = per_axis(strides, rank, "strides"), per_axis(dilation, rank, "dilation")
    padded = extend(x, pads)
    taps = windows("conv", padded.shape[1:-1], kernel.shape[:-2], strides, dilation)
    inputs = _split_channels(padded, groups)  # [g, B, *S, in/g]
    weights = _split_channels(kernel, groups)  # [g, *k, in/g, out/g]
    y = reduce(np.add, (_times(inputs[:, :, *window], weights[:, *tap]) for tap, window in taps))
    return add_bias(_join_channels(y), bias)


def depthwise_conv(
    x: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    strides: PerAxis,
    dilation: PerAxis,
    pads: Amounts,
) -> np.ndarray:
    """Each channel by its own kernels: ``[B, *S, in]`` -> ``[B, *out, in * multiplier]``."""
    grouped = depthwise_as_grouped(kernel)
    return conv(x, grouped, bias, strides=strides, dilation=dilation, groups=kernel.shape[-2], pads=pads)


def depthwise_as_grouped(kernel: np.ndarray) -> np.ndarray:
    """``(*k, in, multiplier)`` as the kernel ``(*k, 1, in * multiplier)`` of a conv with ``groups=in``."""
    return kernel.reshape(*kernel.shape[:-2], 1, -1)


def conv_transpose(
    x: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    strides: PerAxis,
    dilation: PerAxis,
    crops: Amounts,
    groups: int = 1,
) -> np.ndarray:
    """The adjoint of :func:`conv`, ``[B, *S, in]`` -> ``[B, *out, out]``: every pixel adds a kernel, then ``crops``.

    Uncropped, an axis has ``(size - 1) * stride + (k - 1) * dilation + 1`` pixels. A negative crop appends zeros (as
    torch's ``output_padding`` does); the bias is added after that, to those zeros too.
    """
    rank = _rank("conv_transpose", x, kernel)
    if x.shape[-1] != kernel.shape[-1] or x.shape[-1] % groups:
        raise UnusableInput(
            f"conv_transpose: {x.shape[-1]} input channels do not fit a kernel (*k, out/groups, in) of shape "
            f"{kernel.shape} with groups={groups}"
        )
    strides, dilation = per_axis(strides, rank, "strides"), per_axis(dilation, rank, "dilation")
    full = [
        (n - 1) * s + (k - 1) * d + 1
        for n, s, k, d in zip(x.shape[1:-1], strides, kernel.shape, dilation, strict=False)
    ]
    inputs = _split_channels(x, groups)  # [g, B, *S, in/g]
    weights = np.swapaxes(_split_channels(kernel, groups), -1, -2)  # [g, *k, in/g, out/g]
    y = np.zeros((groups, x.shape[0], *full, kernel.shape[-2]))
    for tap, window in windows("conv_transpose", full, kernel.shape[:-2], strides, dilation):
        y[:, :, *window] += _times(inputs, weights[:, *tap])
    return add_bias(extend(_join_channels(y), [(-before, -after) for before, after in crops]), bias)


def dense(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """``[..., in]`` -> ``[..., out]``."""
    if x.shape[-1] != kernel.shape[0]:
        raise UnusableInput(f"dense: {x.shape[-1]} features do not fit a kernel (in, out) of shape {kernel.shape}")
    return add_bias(float64(x) @ float64(kernel), bias)


def _rank(op: str, x: np.ndarray, kernel: np.ndarray) -> int:
    if x.ndim != kernel.ndim or not 3 <= x.ndim <= 5:
        raise UnusableInput(f"{op}: x {x.shape} and kernel {kernel.shape} need the same rank, 3 to 5 (channels last)")
    return x.ndim - 2


def _split_channels(x: np.ndarray, groups: int) -> np.ndarray:
    """``[..., g * c]`` -> contiguous float64 ``[g, ..., c]``."""
    split = float64(x).reshape(*x.shape[:-1], groups, x.shape[-1] // groups)
    return np.ascontiguousarray(np.moveaxis(split, -2, 0))


def _join_channels(y: np.ndarray) -> np.ndarray:
    """``[g, ..., c]`` -> ``[..., g * c]``."""
    return np.moveaxis(y, 0, -2).reshape(*y.shape[1:-1], -1)


def _times(patch: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """``[g, ..., in] @ [g, in, out]`` as one matrix product per group."""
    flat = patch.reshape(len(patch), -1, patch.shape[-1]) @ weight
    return flat.reshape(*patch.shape[:-1], weight.shape[-1])
