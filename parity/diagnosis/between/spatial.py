"""Resizing, padding, cropping, striding and pooling of the axes between batch and channels. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product

import numpy as np

from parity.diagnosis.between.forms import Family, Form, Target, unary
from parity.numerics.reference_ops import pool, resize
from parity.numerics.resize_modes import RESIZE_MODES, describe_mode
from parity.padding import same_pads

Array = np.ndarray
MAX_PAD = 64
MAX_POOL = 8
MAX_FORMS = 600
MODES = {"constant": "zeros", "reflect": "reflect", "symmetric": "symmetric", "edge": "edge", "wrap": "circular"}
TORCH_MODES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
SYMMETRIC_CODE = "index with the rows mirrored, edge included: F.pad's reflect leaves the edge out"


def _spatial(x: Array, target: Target) -> bool:
    """Whether both have the same number of axes, batch and channels, and at least one axis between these."""
    return 2 < x.ndim == len(target.shape) and (x.shape[0], x.shape[-1]) == (target.shape[0], target.shape[-1])


def _resized(name: str, x: Array, target: Target) -> Iterator[Form]:
    if not _spatial(x, target) or x.shape == target.shape:
        return
    for mode in RESIZE_MODES:
        code = RESIZE_MODES[mode].code.replace("(h, w)", str(tuple(target.shape[1:-1])))
        yield Form(
            f"resizes {name} by {describe_mode(mode)}",
            f"resize by {code}",
            partial(resize, x, target.shape[1:-1], mode),
            {"mode": mode},
        )


RESIZE = Family("resize", unary(_resized), {"": "resize-mode"}, channelwise=True)


def _padded(name: str, x: Array, target: Target) -> Iterator[Form]:
    """Padding of each amount and mode, cropping, or both, that lead to the target's size."""
    if not _spatial(x, target):
        return
    growth = [after - before for before, after in zip(x.shape[1:-1], target.shape[1:-1], strict=True)]
    if max(abs(n) for n in growth) > MAX_PAD:
        return
    for before in _placements(x, target, growth):
        amounts = [(first, total - first) for first, total in zip(before, growth, strict=True)]
        yield from _modes(name, x, target, amounts)


def _placements(x: Array, target: Target, growth: list[int]) -> Iterator[tuple[int, ...]]:
    """Amounts before each axis at which the part that both hold is the same."""
    usual = [sorted(range(min(n, 0) - (n == 0), max(n, 0) + 1 + (n == 0)), key=lambda k, n=n: abs(2 * k - n))  # type: ignore[misc]
             for n in growth]  # fmt: skip
    for before in product(*usual):
        inner, outer = [slice(None)], [slice(None)]
        for first, size, wide in zip(before, x.shape[1:-1], target.shape[1:-1], strict=True):
            start, stop = max(first, 0), min(first + size, wide)
            outer.append(slice(start, stop))
            inner.append(slice(start - first, stop - first))
        given = x[tuple(inner)]
        if given.size and Target(given).equals(target.values[tuple(outer)]):
            yield before


def _modes(name: str, x: Array, target: Target, amounts: list[tuple[int, int]]) -> Iterator[Form]:
    crops = [
        slice(None),
        *(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape[1:-1], amounts, strict=True)),
    ]
    inside = x[tuple(crops)]
    pads = [(0, 0), *((max(a, 0), max(b, 0)) for a, b in amounts), (0, 0)]
    listed = ", ".join(str(pair) for pair in amounts)
    if not any(map(any, pads)):
        if any(map(any, amounts)):
            yield Form(
                f"crops {name} by {_negated(amounts)}", f"crop (before, after) = {_negated(amounts)} per spatial axis",
                lambda: inside, {"amounts": tuple(amounts), "mode": "crop"},
            )  # fmt: skip
        return
    flat = [amount for pair in reversed(pads[1:-1]) for amount in pair]
    values = target.values[_corner(target.shape, amounts)]
    constants = dict.fromkeys([0.0, -np.inf, float(values)])
    for value in constants:
        words = "zeros" if value == 0 else f"{value:.6g}"
        written = 'float("-inf")' if value == -np.inf else f"{value:.6g}"
        option = f", value={written}" if value else ""
        yield Form(
            f"pads {name} by {listed} with {words}",
            f"F.pad(x, {flat}{option}): amounts from the last axis on",
            lambda value=value: np.pad(inside, pads, constant_values=value),  # type: ignore[misc]
            {"mode": "constant", "amounts": tuple(amounts), "value": value},
        )
    for mode in ("reflect", "edge", "wrap", "symmetric"):
        code = f'F.pad(x, {flat}, mode="{TORCH_MODES[mode]}")' if mode in TORCH_MODES else SYMMETRIC_CODE
        yield Form(
            f"pads {name} by {listed} in mode {MODES[mode]}",
            code,
            lambda mode=mode: np.pad(inside, pads, mode=mode),  # type: ignore[misc]
            {"mode": mode, "amounts": tuple(amounts)},
        )


def _corner(shape: tuple[int, ...], amounts: list[tuple[int, int]]) -> tuple[int, ...]:
    """An element that lies in the padding."""
    corner = [0] * len(shape)
    for axis, (before, after) in enumerate(amounts, start=1):
        if before <= 0 < after:
            corner[axis] = shape[axis] - 1
    return tuple(corner)


def _negated(amounts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(-before, -after) for before, after in amounts]


def _strided(name: str, x: Array, target: Target) -> Iterator[Form]:
    """Every second (third ...) value of each axis, from an offset on."""
    if not _spatial(x, target) or x.shape == target.shape:
        return
    axes = []
    for n, m in zip(x.shape[1:-1], target.shape[1:-1], strict=True):
        found = [(1, 0)] if n == m else []
        found += [(s, o) for s in range(2, 9) for o in range(s) if len(range(o, n, s)) == m]
        axes.append(found)
    for steps in product(*axes):
        picked = ", ".join(f"{offset}::{step}" for step, offset in steps)
        yield Form(
            f"takes the values [{picked}] of {name}",
            f"x[:, :, {picked}]",
            lambda steps=steps: x[(slice(None), *(slice(o, None, s) for s, o in steps))],  # type: ignore[misc]
            {"picked": steps},
        )


PADDING = Family(
    "padding",
    unary(_padded),
    {"mode": "padding-mode", "amounts": "padding-alignment", "value": "padding-value", "": "padding-alignment"},
    channelwise=True,
)
STRIDES = Family("strides", unary(_strided), {"": "stride"}, channelwise=True)


def axis_windows(n: int, m: int) -> Iterator[tuple[int, int, tuple[int, int], str]]:
    """``(size, stride, amounts, rule)`` of windows that make ``m`` values of ``n``."""
    for size in range(1, min(MAX_POOL, n) + 1):
        for stride in range(1, MAX_POOL + 1):
            if (n - size) // stride + 1 == m:
                yield size, stride, (0, 0), "valid"
            if -(-n // stride) == m and (same := same_pads([n], [size], [stride])[0]) != (0, 0):
                yield size, stride, same, "same"
            if (n - size) % stride and -(-(n - size) // stride) + 1 == m and (m - 1) * stride < n:
                yield size, stride, (0, (m - 1) * stride + size - n), "ceil_mode"
            for pad in range(1, size // 2 + 1):
                if (n + 2 * pad - size) // stride + 1 == m:
                    yield size, stride, (pad, pad), f"padding={pad}"


RULES = ("valid", "same", "ceil_mode", "padding=1", "padding=2", "padding=3", "padding=4")


def _pooled(name: str, x: Array, target: Target) -> Iterator[Form]:
    if not _spatial(x, target):
        return
    sizes, wanted = x.shape[1:-1], target.shape[1:-1]
    if max(sizes) > 1024 or any(m > n + 1 for n, m in zip(sizes, wanted, strict=True)):
        return
    per_axis = [list(axis_windows(n, m)) for n, m in zip(sizes, wanted, strict=True)]
    combined = [
        windows
        for rule in RULES
        for windows in product(*([w for w in found if w[3] in (rule, "valid")] for found in per_axis))
        if any(w[3] == rule for w in windows) and any(w[0] > 1 for w in windows)
    ]
    for windows in sorted(combined, key=_unusual)[:MAX_FORMS]:
        yield from _pools(name, x, windows)


def _unusual(windows: tuple[tuple[int, int, tuple[int, int], str], ...]) -> tuple[int, int, int]:
    """Equal windows on all axes first, then strides equal to sizes, then small ones."""
    sizes, strides = [w[0] for w in windows], [w[1] for w in windows]
    return (
        len(set(sizes)) + len(set(strides)),
        sum(abs(a - b) for a, b in zip(sizes, strides, strict=True)),
        sum(sizes),
    )


POOLS = {"max": "max", "average": "average", "sum": "sum", "min": "min", "l2": "L2"}


def _pools(name: str, x: Array, windows: tuple[tuple[int, int, tuple[int, int], str], ...]) -> Iterator[Form]:
    sizes, strides = [w[0] for w in windows], [w[1] for w in windows]
    amounts, rule = [w[2] for w in windows], next((w[3] for w in windows if w[3] != "valid"), "valid")
    brief = lambda values: str(values[0]) if len(set(values)) == 1 else str(tuple(values))  # noqa: E731
    padded = any(map(any, amounts))
    at_end = all(before == 0 for before, _ in amounts)
    words = "as ceil_mode=True has it" if rule == "ceil_mode" or at_end else "same" if rule == "same" else ""
    around = f", padding {brief(amounts)}" + (f" ({words})" if words else "") if padded else ""
    for mode, spoken in POOLS.items():
        for count, value in PADDINGS.get(mode, [(False, None)])[: None if padded else 1]:
            extra = " that counts the padding in the mean" if count else ""
            extra = " that takes the padding as zeros instead of -inf" if mode == "max" and value == 0 else extra
            yield Form(
                f"takes the {spoken} pooling of {name} over windows of {brief(sizes)}, stride {brief(strides)}"
                f"{around}{extra}",
                _pool_code(mode, brief(sizes), brief(strides), amounts, rule, count, value),
                partial(pool, x, sizes, strides, amounts, mode, count, value),
                {"mode": mode, "size": sizes, "strides": strides, "value": value, "amounts": amounts, "count": count},
            )


# By mode, what the padding may count for: whether it is in the mean's divisor, and the value that it holds.
PADDINGS: dict[str, list[tuple[bool, float | None]]] = {
    "max": [(False, None), (False, 0.0)],
    "average": [(False, None), (True, None)],
}
CALLS = {"max": "F.max_pool{}d", "average": "F.avg_pool{}d", "l2": "F.lp_pool{}d (norm_type=2)"}


def _pool_code(
    mode: str, size: str, stride: str, amounts: list[tuple[int, int]], rule: str, count: bool, value: float | None
) -> str:
    base = f"{CALLS.get(mode, mode + ' pooling').format(len(amounts))} of kernel_size={size}, stride={stride}"
    symmetric = all(before == after for before, after in amounts) and len({*amounts}) == 1
    if not any(map(any, amounts)):
        return f"{base}, without padding"
    if rule == "ceil_mode":
        return f"{base}, ceil_mode=True" + ("" if mode == "max" else f", count_include_pad={count}")
    flat = [amount for pair in reversed(amounts) for amount in pair]
    if value == 0:
        return f"F.pad(x, {flat}) with zeros, then {base} without padding: torch's own padding is -inf"
    if mode == "max":
        drop = "drop a ZeroPad2d or F.pad with zeros before it"
        own = f'F.pad(x, {flat}, value=float("-inf")), then {base} without padding'
        return f"{base}, padding={amounts[0][0]} (which is -inf); {drop}" if symmetric else f"{own}; {drop}"
    if symmetric:
        return f"{base}, padding={amounts[0][0]}, count_include_pad={count}"
    return f"F.pad(x, {flat}), then {base}" + ("" if count else ", divided by the number of pixels inside each window")


POOLING = Family(
    "pooling",
    unary(_pooled),
    {
        "mode": "pooling-mode",
        "size": "pooling-size",
        "strides": "stride",
        "value": "padding-value",
        "amounts": "padding-alignment",
        "count": "pooling-count",
        "": "pooling-mode",
    },
    channelwise=True,
)
