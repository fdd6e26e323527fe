"""Third referee: what each operation is by definition, in NumPy float64, channels last, for one to three spatial axes.

Kernels are Keras's: conv ``(*k, in/groups, out)``, transposed conv ``(*k, out/groups, in)``, depthwise
``(*k, in, multiplier)``, dense ``(in, out)``. Padding and cropping are always explicit ``(before, after)`` amounts per
axis (:mod:`parity.padding` knows which ones a framework takes), so that no framework's convention hides in here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product
from typing import Any

import numpy as np

from parity.verdict import UnusableInput

Amounts = Sequence[tuple[int, int]]
PerAxis = int | Sequence[int]


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
    windows = _windows("conv", padded.shape[1:-1], kernel.shape[:-2], strides, dilation)
    inputs = _split_channels(padded, groups)  # [g, B, *S, in/g]
    weights = _split_channels(kernel, groups)  # [g, *k, in/g, out/g]
    y = reduce(np.add, (_times(inputs[:, :, *window], weights[:, *tap]) for tap, window in windows))
    return _with_bias(_join_channels(y), bias)


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
    """The adjoint of :func:`conv`, ``[B, *S, in]`` -> ``[B, *out, out]``: each pixel stamps the kernel, then ``crops``.

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
    for tap, window in _windows("conv_transpose", full, kernel.shape[:-2], strides, dilation):
        y[:, :, *window] += _times(inputs, weights[:, *tap])
    return _with_bias(extend(_join_channels(y), [(-before, -after) for before, after in crops]), bias)


def dense(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """``[..., in]`` -> ``[..., out]``."""
    if x.shape[-1] != kernel.shape[0]:
        raise UnusableInput(f"dense: {x.shape[-1]} features do not fit a kernel (in, out) of shape {kernel.shape}")
    return _with_bias(_float64(x) @ _float64(kernel), bias)


def attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    factor: float = 1.0,
    axis: int = -1,
    transposed: bool = False,
    rows: int = 1024,
) -> np.ndarray:
    """``softmax(factor * query key^T) value``: ``[B, N, d]``, ``[B, M, d]`` and ``[B, M, C]`` -> ``[B, N, C]``.

    The softmax is over the keys; ``axis=-2`` takes it over the queries, and ``transposed`` sums the values by the
    transposed matrix (both wrong, and seen). ``rows`` of the result are computed at a time.
    """
    if query.shape[-1] != key.shape[-1] or key.shape[1] != value.shape[1]:
        raise UnusableInput(f"attention: queries {query.shape}, keys {key.shape}, values {value.shape} do not fit")
    q, k, v = _float64(query) * factor, _float64(key), _float64(value)
    first, second, over_rows = (k, q, axis == -1) if transposed else (q, k, axis == -2)
    norms = None
    if over_rows:  # every column's sum over all rows, found first
        norms = np.concatenate([_log_sums(first, block) for block in _blocks(second, rows)], 1)[:, None]
    made = []
    for block in _blocks(first, rows):
        logits = block @ second.swapaxes(1, 2)
        logits -= logits.max(-1, keepdims=True) if norms is None else norms
        shares = np.exp(logits, out=logits)
        made.append(shares @ v if norms is not None else shares @ v / shares.sum(-1, keepdims=True))
    return np.concatenate(made, 1)


def _blocks(x: np.ndarray, rows: int) -> list[np.ndarray]:
    return [x[:, start : start + rows] for start in range(0, x.shape[1], rows)]


def _log_sums(over: np.ndarray, of: np.ndarray) -> np.ndarray:
    """``log sum_j exp(of_i . over_j)``, ``[B, i]``."""
    logits = of @ over.swapaxes(1, 2)
    top = logits.max(-1)
    return top + np.log(np.exp(logits - top[..., None]).sum(-1))


def batchnorm(
    x: np.ndarray,
    gamma: np.ndarray | None,
    beta: np.ndarray | None,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
) -> np.ndarray:
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta`` over the last axis; None stands for 1 and for 0."""
    y = (_float64(x) - mean) / np.sqrt(_float64(variance) + epsilon)
    return _with_bias(y if gamma is None else y * gamma, beta)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, biased and unbiased variance per channel (last axis) over all other axes, each ``[C]``.

    Batch normalisation normalises with the biased one; torch's running variance keeps the unbiased one, Keras's the
    biased one.
    """
    rows = _float64(x).reshape(-1, x.shape[-1])
    return rows.mean(0), rows.var(0), rows.var(0, ddof=1) if len(rows) > 1 else np.full(x.shape[-1], np.nan)


def upsample(x: np.ndarray, factor: PerAxis, mode: str) -> np.ndarray:
    """``[B, *S, C]`` -> ``[B, *(S * factor), C]``, one of :data:`UPSAMPLING`, separably along each spatial axis."""
    if mode not in UPSAMPLING:
        raise UnusableInput(f"upsample: unknown mode {mode!r}; known: {', '.join(UPSAMPLING)}")
    y = _float64(x)
    for axis, times in enumerate(per_axis(factor, x.ndim - 2, "factor"), start=1):
        y = np.moveaxis(np.tensordot(UPSAMPLING[mode](y.shape[axis], times), y, (1, axis)), 0, axis)
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
    windows = _windows("pool", padded.shape[1:-1], size, strides, ones)
    patches = [padded[:, *window] for _, window in windows]
    if mode == "max":
        return np.maximum.reduce(patches)
    if count_padding:
        return np.add.reduce(patches) / len(patches)
    inside = extend(np.ones((1, *x.shape[1:-1], 1)), pads)
    return np.add.reduce(patches) / np.add.reduce([inside[:, *window] for _, window in windows])


def extend(x: np.ndarray, amounts: Amounts, value: float = 0.0) -> np.ndarray:
    """Pad the spatial axes of ``[B, *S, C]`` by ``(before, after)``, or crop where an amount is negative; float64."""
    sizes = x.shape[1:-1]
    if len(amounts) != len(sizes):
        raise UnusableInput(f"amounts {list(amounts)} given for {len(sizes)} spatial axes, one (before, after) each")
    if any(size + before + after < 1 for size, (before, after) in zip(sizes, amounts, strict=True)):
        raise UnusableInput(f"the crop leaves nothing: amounts {list(amounts)} on spatial shape {sizes}")
    kept = [slice(max(-before, 0), n - max(-after, 0)) for n, (before, after) in zip(sizes, amounts, strict=True)]
    pads = [(0, 0), *((max(before, 0), max(after, 0)) for before, after in amounts), (0, 0)]
    return np.pad(_float64(x)[:, *kept], pads, constant_values=value)


def per_axis(value: PerAxis, rank: int, name: str) -> tuple[int, ...]:
    """One positive number per spatial axis from one for all or a sequence."""
    values = (value,) * rank if isinstance(value, (int, np.integer)) else tuple(value)
    if len(values) != rank or any(item < 1 for item in values):
        raise UnusableInput(f"{name}={value!r}: expected one positive number, or {rank} (one per spatial axis)")
    return tuple(int(item) for item in values)


def _rank(op: str, x: np.ndarray, kernel: np.ndarray) -> int:
    if x.ndim != kernel.ndim or not 3 <= x.ndim <= 5:
        raise UnusableInput(f"{op}: x {x.shape} and kernel {kernel.shape} need the same rank, 3 to 5 (channels last)")
    return x.ndim - 2


def _windows(
    op: str, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> list[tuple[tuple[Any, ...], tuple[slice, ...]]]:
    """For each kernel tap, the strided view of the input it meets, one slice per axis."""
    spans = [size - (k - 1) * d for size, k, d in zip(sizes, kernel, dilation, strict=True)]
    if min(spans) < 1:
        raise UnusableInput(f"{op}: kernel {tuple(kernel)} is longer than the padded input {tuple(sizes)}")
    return [
        (tap, tuple(slice(t * d, t * d + span, s) for t, d, span, s in zip(tap, dilation, spans, strides, strict=True)))
        for tap in product(*map(range, kernel))
    ]


def _split_channels(x: np.ndarray, groups: int) -> np.ndarray:
    """``[..., g * c]`` -> contiguous float64 ``[g, ..., c]``."""
    split = _float64(x).reshape(*x.shape[:-1], groups, x.shape[-1] // groups)
    return np.ascontiguousarray(np.moveaxis(split, -2, 0))


def _join_channels(y: np.ndarray) -> np.ndarray:
    """``[g, ..., c]`` -> ``[..., g * c]``."""
    return np.moveaxis(y, 0, -2).reshape(*y.shape[1:-1], -1)


def _times(patch: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """``[g, ..., in] @ [g, in, out]`` as one matrix product per group."""
    flat = patch.reshape(len(patch), -1, patch.shape[-1]) @ weight
    return flat.reshape(*patch.shape[:-1], weight.shape[-1])


def _with_bias(y: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    return y if bias is None else y + bias


def _float64(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, dtype=np.float64)


def _interpolation(size: int, positions: np.ndarray, taps: Sequence[int], weigh: Callable) -> np.ndarray:
    """``[positions, size]``: each row spreads its weights over ``taps`` around a position, clamped to the edge."""
    base = np.floor(positions).astype(int)
    matrix = np.zeros((len(positions), size))
    for tap in taps:
        columns = np.clip(base + tap, 0, size - 1)
        np.add.at(matrix, (np.arange(len(positions)), columns), weigh(np.abs(positions - base - tap)))
    return matrix


def _keys(distance: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Keys's cubic kernel (1981, eq. 15) with the coefficient of TensorFlow's legacy resize (resize_bicubic_op.cc)."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def _linear(distance: np.ndarray) -> np.ndarray:
    return 1 - distance


def _cornered(size: int, factor: int) -> np.ndarray:
    """Positions at which the first and the last output are the first and the last input."""
    return np.arange(size * factor) * (size - 1) / max(size * factor - 1, 1)


UPSAMPLING: dict[str, Callable[[int, int], np.ndarray]] = {
    "nearest": lambda n, f: np.repeat(np.eye(n), f, axis=0),
    "bilinear": lambda n, f: _interpolation(n, (np.arange(n * f) + 0.5) / f - 0.5, (0, 1), _linear),
    "linear-legacy": lambda n, f: _interpolation(n, np.arange(n * f) / f, (0, 1), _linear),
    "bilinear (align_corners=True)": lambda n, f: _interpolation(n, _cornered(n, f), (0, 1), _linear),
    "cubic-legacy": lambda n, f: _interpolation(n, np.arange(n * f) / f, (-1, 0, 1, 2), _keys),
}
"""Matrices ``[n * factor, n]`` along one axis.

``bilinear`` has half-pixel centres (torch ``align_corners=False``, Keras's UpSampling2D); the legacy modes are TF 1's
``align_corners=False, half_pixel_centers=False``: samples at ``i / factor``, clamped at the edge. TF tabulates the
cubic weights at steps of 1/1024: exact for factor 2, rounded for factors that are no power of two.
"""
