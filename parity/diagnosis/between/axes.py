"""Axes permuted, reversed, reshaped or shifted; channels reordered; depth to space. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations

import numpy as np

from parity.diagnosis.between.forms import Family, Form, Target, axis_name, axis_names, torch_axis, unary

Array = np.ndarray
MAX_RANK = 5
BLOCKS = range(2, 9)


def _permuted(name: str, x: Array, target: Target) -> Iterator[Form]:
    """Every order of the axes, reshaped to the target where that takes it."""
    if x.size != target.values.size or x.ndim > MAX_RANK:
        return
    orders = [*permutations(range(x.ndim))] if x.ndim < MAX_RANK else [(0, *p) for p in permutations(range(1, x.ndim))]
    # The batch stays where it is in most programs.
    for order in sorted(orders, key=lambda order: (order[0] != 0, order)):
        yield Form(
            *_permutation_words(name, x, order, target),
            lambda order=order: x.transpose(order).reshape(target.shape),  # type: ignore[misc]
            {"order": order, "shape": target.shape},
        )


def _permutation_words(name: str, x: Array, order: tuple[int, ...], target: Target) -> tuple[str, str]:
    same_rank = len(target.shape) == x.ndim
    moved = [axis for axis, place in enumerate(order) if axis != place]
    torchs = ", ".join(str(torch_axis(x.ndim, axis)) for axis in order)
    if not same_rank:
        names = ", ".join(axis_name(x.ndim, axis) for axis in order)
        flat = len(target.shape) == 2 and order[0] == 0
        does = f"flattens {name} as ({names})" if flat else f"reshapes {name}, read as ({names})"
        return does, f"x.permute({torchs}).reshape{target.shape}, from x (batch, channels, ...)".replace(
            f"reshape{target.shape}", "flatten(1)" if flat else f"reshape{target.shape}"
        )
    if not moved:
        return (
            (f"passes {name} on as it is", "leave the axes as they are: no transpose, permute or reshape")
            if target.shape == x.shape
            else (f"reshapes {name} to {target.shape}", f"reshape to {target.shape} in the reference's layout")
        )
    reshaped = "" if tuple(x.shape[axis] for axis in order) == target.shape else f" and reshapes to {target.shape}"
    if len(moved) == 2:
        does = f"exchanges {axis_names(x.ndim, tuple(moved))} of {name}{reshaped}"
        dims = ", ".join(str(torch_axis(x.ndim, axis)) for axis in moved)
        return does, f"x.transpose({dims})"
    return f"permutes the axes of {name} to {order}{reshaped}", f"permute to {order} of the reference's axes"


def _reversed(name: str, x: Array, target: Target) -> Iterator[Form]:
    """Reversed along one or two axes, shifted along one, or with height and width exchanged as well."""
    if x.shape != target.shape:
        return
    axes = [axis for axis in range(x.ndim) if x.shape[axis] > 1]
    for chosen in [*combinations(axes, 1), *combinations(axes, 2)]:
        dims = [torch_axis(x.ndim, axis) for axis in chosen]
        yield Form(
            f"reverses {name} along {axis_names(x.ndim, chosen)} (flip)",
            f"x.flip({dims})",
            lambda chosen=chosen: np.flip(x, chosen),  # type: ignore[misc]
            {"flip": chosen},
        )
    for axis in axes:
        for shift in dict.fromkeys((1, -1, 2, -2, x.shape[axis] // 2, -(x.shape[axis] // 2))):
            yield Form(
                f"shifts {name} by {shift} along {axis_name(x.ndim, axis)}, round the end",
                f"torch.roll(x, {shift}, {torch_axis(x.ndim, axis)})",
                lambda axis=axis, shift=shift: np.roll(x, shift, axis),  # type: ignore[misc]
                {"shift": (axis, shift)},
            )


def channel_order(x: Array, target: Array) -> Array | None:
    """The order in which ``target`` holds the channels of ``x``, if it holds each once; None if not."""
    if x.shape != target.shape or x.ndim < 2 or x.shape[-1] < 2 or not np.isfinite(target).all():
        return None
    a, b = x.reshape(-1, x.shape[-1]), target.reshape(-1, x.shape[-1])
    order = np.argsort(a[0], kind="stable")[np.argsort(np.argsort(b[0], kind="stable"), kind="stable")]
    return order if len(set(order.tolist())) == len(order) else None


def _channels(name: str, x: Array, target: Target) -> Iterator[Form]:
    order = channel_order(x, target.values)
    if order is None or (order == np.arange(len(order))).all():
        return
    places = order.tolist()
    yield Form(
        f"takes the channels of {name} {channel_words(places)}",
        f"x[:, {places}]" if len(places) <= 16 else "bring the channels into the reference's order",
        lambda: x[..., order],
        {"channels": tuple(places)},
    )


def channel_words(places: list[int]) -> str:
    """An order of channels in words."""
    count = len(places)
    if places == [*range(count)][::-1]:
        return "in reverse" + (" (RGB against BGR)" if count == 3 else "")
    for groups in range(2, count):
        if count % groups == 0 and places == np.arange(count).reshape(groups, -1).T.ravel().tolist():
            return f"shuffled in {groups} groups (channel shuffle)"
    start = places[0]
    if places == [*range(start, count), *range(start)]:
        return f"from {start} on first (two parts exchanged)"
    return f"as {places}" if count <= 8 else "in another order"


def _blocks(name: str, x: Array, target: Target) -> Iterator[Form]:
    """Depth to space and back, with either order of the channels."""
    if x.ndim != 4 or len(target.shape) != 4:
        return
    for r in BLOCKS:
        if target.shape[1:3] == (x.shape[1] * r, x.shape[2] * r) and x.shape[-1] % r**2 == 0:
            yield from _to_space(name, x, r)
        if (x.shape[1], x.shape[2]) == (target.shape[1] * r, target.shape[2] * r):
            yield from _to_depth(name, x, r)


DCR = "block first, then channel (DCR, TensorFlow's depth_to_space)"
CRD = "channel first, then block (CRD, torch's pixel_shuffle)"


def _to_space(name: str, x: Array, r: int) -> Iterator[Form]:
    b, h, w, c = x.shape
    keeps = c // r**2
    wide = lambda y, order: y.transpose(order).reshape(b, h * r, w * r, keeps)  # noqa: E731
    split = f"x.view(b, {r}, {r}, {keeps}, h, w).permute(0, 3, 4, 1, 5, 2).reshape(b, {keeps}, h * {r}, w * {r})"
    for words, code, shape, order in (
        (DCR, split, (b, h, w, r, r, keeps), (0, 1, 3, 2, 4, 5)),
        (CRD, f"F.pixel_shuffle(x, {r})", (b, h, w, keeps, r, r), (0, 1, 4, 2, 5, 3)),
        (DCR + " with rows and columns exchanged", "", (b, h, w, r, r, keeps), (0, 1, 4, 2, 3, 5)),
        (CRD + " with rows and columns exchanged", "", (b, h, w, keeps, r, r), (0, 1, 5, 2, 4, 3)),
    ):
        yield Form(
            f"moves depth to space in blocks of {r}, channels read {words}",
            code or f"depth to space, channels read {words}",
            lambda shape=shape, order=order: wide(x.reshape(shape), order),  # type: ignore[misc]
            {"depth": (r, words)},
        )


def _to_depth(name: str, x: Array, r: int) -> Iterator[Form]:
    b, height, width, c = x.shape
    h, w = height // r, width // r
    split = x.reshape(b, h, r, w, r, c)
    view = f"x.view(b, {c}, h, {r}, w, {r}).permute(0, 3, 5, 1, 2, 4).reshape(b, -1, h, w)"
    for words, code, order in (
        (DCR.replace("depth_to_space", "space_to_depth"), view, (0, 1, 3, 2, 4, 5)),
        (CRD.replace("shuffle", "unshuffle"), f"F.pixel_unshuffle(x, {r})", (0, 1, 3, 5, 2, 4)),
        ("block columns first, then rows, then channel", "", (0, 1, 3, 4, 2, 5)),
        ("channel, then block columns, then rows", "", (0, 1, 3, 5, 4, 2)),
    ):
        yield Form(
            f"moves space to depth in blocks of {r}, channels made {words}",
            code or f"space to depth, channels made {words}",
            lambda order=order: split.transpose(order).reshape(b, h, w, -1),  # type: ignore[misc]
            {"depth": (r, words)},
        )


def _axis_kinds(name: str, x: Array, target: Target) -> Iterator[Form]:
    yield from _permuted(name, x, target)
    yield from _reversed(name, x, target)


DEPTH = Family("depth", unary(_blocks), {"": "depth-to-space"})
CHANNELS = Family("channels", unary(_channels), {"": "channel-order"})
FLATTEN = Family(
    "flatten",
    unary(lambda name, x, target: _permuted(name, x, target) if len(target.shape) == 2 < x.ndim else iter(())),
    {"": "flatten-order"},
)
AXES = Family("axes", unary(_axis_kinds), {"flip": "axis-reversed", "shift": "axis-shifted", "": "axes-exchanged"})
