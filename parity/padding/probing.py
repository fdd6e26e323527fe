"""Padding amounts measured from values, independent of any layer's settings and of the calculus. Plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np

from parity.numerics import reference_ops
from parity.padding.axis import Amounts, Axis, Relation
from parity.verdict import UnusableInput

FIT = 1e-9
"""Relative error below which amounts reproduce values: float64 rounds at 1e-13, a wrong amount is off by 1e-3."""


def impulse_map(axis: Axis, amounts: Amounts, flipped: bool = False) -> np.ndarray:
    """The layer's linear map ``[size, output]``: an impulse at each pixel in turn, kernel 1, 2, ..., k.

    ``flipped`` reverses kernel, input and output. The values are small integers, so the map is exact.
    """
    ramp = np.arange(1.0, axis.kernel + 1)[:, None, None]
    impulses = np.eye(axis.size)[..., None]
    if not flipped:
        return _run(axis.op, impulses, ramp, [axis], [amounts])[..., 0]
    return _run(axis.op, impulses[:, ::-1], ramp[::-1], [axis], [amounts])[:, ::-1, 0]


def probe(axis: Axis, reference: Amounts, amounts: Amounts) -> Relation:
    """:meth:`parity.padding.axis.Axis.relation` again, from impulse maps alone."""
    try:
        measured = impulse_map(axis, amounts)
    except UnusableInput:
        return "nothing"
    wanted = impulse_map(axis, reference)
    if measured.shape != wanted.shape:
        return "nothing"
    if np.array_equal(measured, wanted):
        return "equal values"
    mirrored = impulse_map(axis, reference, flipped=True)
    return "equal in a mirror" if np.array_equal(measured, mirrored) else "equal shape only"


def measure_amounts(
    kernel: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    *,
    op: str,
    strides: int | Sequence[int],
    dilation: int | Sequence[int],
    groups: int = 1,
    bias: np.ndarray | None = None,
    guesses: Sequence[Sequence[Amounts]] = (),
) -> list[Amounts] | None:
    """The amounts per axis with which a layer computed ``y`` from ``x``, measured from the values.

    Float64 ``x [B, *S, in]``, ``y [B, *out, out]`` before any activation, ``kernel`` as in
    :mod:`parity.numerics.reference_ops`; ``op`` is conv or depthwise (pads) or conv-transpose (crops, negative where
    zeros are appended). ``after`` of a convolution is what windows reach: zeros that are added but never read do not
    count, and 0 stands for input rows left unread.
    With a negative ``before`` the first window starts inside the input.

    Uses batch item 0 and the two strongest channels of one group; the first of ``guesses`` that fits to :data:`FIT`
    is returned. None if nothing fits, or several amounts do. Raises :class:`UnusableInput` if the shapes do not fit
    together.
    """
    if op == "depthwise":
        op, groups, kernel = "conv", kernel.shape[-2], reference_ops.depthwise_as_grouped(kernel)
    rank = x.ndim - 2
    strides, dilation = (
        reference_ops.per_axis(strides, rank, "strides"),
        reference_ops.per_axis(dilation, rank, "dilation"),
    )
    axes = [Axis(op, *item) for item in zip(x.shape[1:-1], kernel.shape, strides, dilation, strict=False)]
    _validate_shapes(op, kernel, x, y, groups)
    y = y[:1] - (0 if bias is None else bias)
    if not np.isfinite(y).all() or not y.any():
        return None
    kernel, x, y = _strongest_channels(op, kernel, x[:1], y, groups)

    limit = FIT * np.abs(y).max()
    totals = [axis.total(size) for axis, size in zip(axes, y.shape[1:-1], strict=True)]

    def amounts(befores: Iterable[int]) -> list[Amounts]:
        return [(before, total - before) for before, total in zip(befores, totals, strict=True)]

    for guess in guesses:
        tried = amounts(before for before, _ in guess)
        if np.abs(_run(op, x, kernel, axes, tried) - y).max() <= limit:
            return _read_amounts(op, tried)
    befores, at = _every_start(op, x, kernel, axes, y.shape[1:-1], totals)
    fits = [starts for starts in product(*befores) if np.abs(at(starts) - y).max() <= limit]
    return _read_amounts(op, amounts(fits[0])) if len(fits) == 1 else None


def _run(op: str, x: np.ndarray, kernel: np.ndarray, axes: Sequence[Axis], amounts: Sequence[Amounts]) -> np.ndarray:
    settings: dict[str, Any] = {"strides": [axis.stride for axis in axes], "dilation": [axis.dilation for axis in axes]}
    if op == "conv":
        return reference_ops.conv(x, kernel, **settings, pads=amounts)
    return reference_ops.conv_transpose(x, kernel, **settings, crops=amounts)


def _read_amounts(op: str, amounts: list[Amounts]) -> list[Amounts]:
    return [(before, max(after, 0)) for before, after in amounts] if op == "conv" else amounts


def _validate_shapes(op: str, kernel: np.ndarray, x: np.ndarray, y: np.ndarray, groups: int) -> None:
    wide, narrow = (kernel.shape[-1], kernel.shape[-2] * groups)
    channels = (narrow, wide) if op == "conv" else (wide, narrow)
    if not kernel.ndim == x.ndim == y.ndim or (x.shape[-1], y.shape[-1]) != channels or len(x) != len(y):
        raise UnusableInput(
            f"measure_amounts: x {x.shape}, y {y.shape} and the {op} kernel {kernel.shape} (groups={groups}) do not "
            f"belong together: it takes {channels[0]} channels to {channels[1]}"
        )


def _strongest_channels(
    op: str, kernel: np.ndarray, x: np.ndarray, y: np.ndarray, groups: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kernel, input and output of at most two output channels, as a layer without groups."""
    strength = np.abs(y).reshape(-1, y.shape[-1]).max(0)
    outputs, inputs = y.shape[-1] // groups, x.shape[-1] // groups
    group = int(strength.argmax()) // outputs
    local = np.argsort(strength[group * outputs : (group + 1) * outputs])[-2:]
    kept, fed = group * outputs + local, slice(group * inputs, (group + 1) * inputs)
    kernel = kernel[..., kept] if op == "conv" else kernel[..., local, fed]
    return kernel, x[..., fed], y[..., kept]


def _every_start(
    op: str, x: np.ndarray, kernel: np.ndarray, axes: Sequence[Axis], sizes: Sequence[int], totals: Sequence[int]
) -> tuple[list[range], Callable[[tuple[int, ...]], np.ndarray]]:
    """Every possible ``before`` per axis, and how to look up the output for one choice of them.

    One evaluation serves them all: a convolution at stride 1 with all the padding that is possible, or the uncropped
    transposed convolution; each choice is a strided view of it.
    """
    least = [0] * len(axes)
    if op == "conv":  # floor division leaves less than a stride unread
        least = [min(total, 0) for total in totals]
        most = [max(total + axis.stride - 1, 0) for axis, total in zip(axes, totals, strict=True)]
        pads = [(before, max(total, 0)) for before, total in zip(most, totals, strict=True)]
        table = reference_ops.conv(x, kernel, strides=1, dilation=[axis.dilation for axis in axes], pads=pads)
        steps, last = [axis.stride for axis in axes], most
    else:  # output_padding is smaller than the stride or the dilation
        most = [max(total, 0) + max(axis.stride, axis.dilation) - 1 for axis, total in zip(axes, totals, strict=True)]
        table = _run(op, x, kernel, axes, [(0, total - before) for before, total in zip(most, totals, strict=True)])
        steps, last = [1] * len(axes), []

    def at(befores: tuple[int, ...]) -> np.ndarray:
        starts = [end - before for end, before in zip(last, befores, strict=True)] if last else befores
        window = [slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, sizes, steps, strict=True)]
        return table[:, *window]

    return [range(fewest, before + 1) for fewest, before in zip(least, most, strict=True)], at
