"""Torch code for given amounts: stock layers, ``F.pad`` and slices, as words and as runnable lines. Plain NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parity.padding.axis import Amounts, Axis
from parity.verdict import UnusableInput

NOUNS = {1: "pixel", 2: "row and column", 3: "plane, row and column"}


@dataclass(frozen=True)
class Recipe:
    """A recipe in words, and as code that computes ``y`` from ``x [B, C, *S]`` with torch's ``nn`` and ``F``."""

    text: str
    code: str


def torch_recipe(axes: Sequence[Axis], amounts: Sequence[Amounts]) -> Recipe:
    """The layer with exactly these amounts per axis, for one to three axes of one op.

    Raises :class:`UnusableInput` if no torch layer can append as many zeros as a negative crop asks for.
    """
    write = _conv if axes[0].op == "conv" else _transposed
    return write(axes, amounts)


def _conv(axes: Sequence[Axis], amounts: Sequence[Amounts]) -> Recipe:
    if all(before == after >= 0 for before, after in amounts):
        padding = _argument([before for before, _ in amounts])
        return Recipe(f"padding={padding}", f"{_layer(axes, padding=padding)}\ny = conv(x)")
    edges = tuple(amount for pair in reversed(amounts) for amount in pair)  # F.pad counts from the last axis
    return Recipe(f"F.pad(x, {edges}), then padding=0", f"{_layer(axes, padding=0)}\ny = conv(F.pad(x, {edges}))")


def _transposed(axes: Sequence[Axis], amounts: Sequence[Amounts]) -> Recipe:
    plans = [_crop(axis, *pair) for axis, pair in zip(axes, amounts, strict=True)]
    padding, extra = _argument([plan[0] for plan in plans]), _argument([plan[1] for plan in plans])
    settings = {"padding": padding} | ({"output_padding": extra} if extra != 0 else {})
    text = ", ".join(f"{name}={value}" for name, value in settings.items())
    slices = [f"{first or ''}:{-last or ''}" for _, _, first, last in plans]
    if all(piece == ":" for piece in slices):
        return Recipe(text, f"{_layer(axes, **settings)}\ny = conv(x)")
    index = f"[..., {', '.join(slices)}]"
    only_last = all(plan[2:] == (0, 1) for plan in plans)
    dropped = f"drop the last {NOUNS[len(axes)]} of y" if only_last else f"keep y{index}"
    return Recipe(f"{text}, then {dropped}", f"{_layer(axes, **settings)}\ny = conv(x){index}")


def _crop(axis: Axis, before: int, after: int) -> tuple[int, int, int, int]:
    """Torch's ``padding`` and ``output_padding``, then how many pixels to drop first and last."""
    most = max(axis.stride, axis.dilation) - 1  # torch/nn/modules/conv.py: output_padding is smaller than either
    if before < 0 or after < -most:
        raise UnusableInput(f"crop ({before}, {after}): torch appends at most {most} pixels here, and only at the end")
    if 0 <= before - after <= most:
        return before, before - after, 0, 0
    padding = max(min(before, after), 0)
    return padding, padding - min(after, padding), before - padding, max(after - padding, 0)


def _layer(axes: Sequence[Axis], **settings: object) -> str:
    shape = {name: _argument([getattr(axis, name) for axis in axes]) for name in ("kernel", "stride", "dilation")}
    shape = {"kernel_size": shape["kernel"], "stride": shape["stride"], "dilation": shape["dilation"]}
    if shape["dilation"] == 1:
        del shape["dilation"]
    arguments = ", ".join(f"{name}={value}" for name, value in {**shape, **settings}.items())
    name = "Conv" if axes[0].op == "conv" else "ConvTranspose"
    return f"conv = nn.{name}{len(axes)}d(in_channels, out_channels, {arguments})"


def _argument(values: Sequence[int]) -> int | tuple[int, ...]:
    return values[0] if len(set(values)) == 1 else tuple(values)
