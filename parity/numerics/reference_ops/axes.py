"""Shared by the reference operations: padding and cropping spatial axes, windows, one value per axis. Plain NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from parity.verdict import UnusableInput

Amounts = Sequence[tuple[int, int]]
PerAxis = int | Sequence[int]


def extend(x: np.ndarray, amounts: Amounts, value: float = 0.0) -> np.ndarray:
    """Pad the spatial axes of ``[B, *S, C]`` by ``(before, after)``, or crop where an amount is negative; float64."""
    sizes = x.shape[1:-1]
    if len(amounts) != len(sizes):
        raise UnusableInput(f"amounts {list(amounts)} given for {len(sizes)} spatial axes, one (before, after) each")
    if any(size + before + after < 1 for size, (before, after) in zip(sizes, amounts, strict=True)):
        raise UnusableInput(f"the crop leaves nothing: amounts {list(amounts)} on spatial shape {sizes}")
    kept = [slice(max(-before, 0), n - max(-after, 0)) for n, (before, after) in zip(sizes, amounts, strict=True)]
    pads = [(0, 0), *((max(before, 0), max(after, 0)) for before, after in amounts), (0, 0)]
    return np.pad(float64(x)[:, *kept], pads, constant_values=value)


def per_axis(value: PerAxis, rank: int, name: str) -> tuple[int, ...]:
    """One positive number per spatial axis from one for all or a sequence."""
    values = (value,) * rank if isinstance(value, (int, np.integer)) else tuple(value)
    if len(values) != rank or any(item < 1 for item in values):
        raise UnusableInput(f"{name}={value!r}: expected one positive number, or {rank} (one per spatial axis)")
    return tuple(int(item) for item in values)


def windows(
    op: str, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> list[tuple[tuple[Any, ...], tuple[slice, ...]]]:
    """For each kernel tap, the strided view of the input that it is multiplied with, one slice per axis."""
    spans = [size - (k - 1) * d for size, k, d in zip(sizes, kernel, dilation, strict=True)]
    if min(spans) < 1:
        raise UnusableInput(f"{op}: kernel {tuple(kernel)} is longer than the padded input {tuple(sizes)}")
    return [
        (tap, tuple(slice(t * d, t * d + span, s) for t, d, span, s in zip(tap, dilation, spans, strides, strict=True)))
        for tap in product(*map(range, kernel))
    ]


def add_bias(y: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """``y + bias``, or ``y`` without a bias."""
    return y if bias is None else y + bias


def float64(x: np.ndarray) -> np.ndarray:
    """The array in float64."""
    return np.asarray(x, dtype=np.float64)
