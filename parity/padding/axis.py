"""One spatial axis of a convolution: its padding or crop, its output size, which paddings are equal. Plain NumPy.

``amounts`` are ``(before, after)``: pixels of zeros added to a convolution's input, or pixels cropped off a transposed
convolution's full output (negative: zeros appended). Windows start ``before`` pixels outside, so two layers whose
outputs have one size compute the same values exactly if their ``before`` agrees.

Sources: TensorFlow ``core/framework/common_shape_fns.cc`` (SAME puts the odd pixel after); Keras 3
``src/backend/common/backend_utils.py`` (``_get_output_shape_given_tf_padding``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from parity.verdict import UnusableInput

Amounts = tuple[int, int]
Relation = Literal["equal values", "equal in a mirror", "equal shape only", "nothing"]
RELATIONS: tuple[Relation, ...] = ("equal values", "equal in a mirror", "equal shape only", "nothing")
OPS = ("conv", "conv-transpose")
LARGEST = 4096
"""Largest kernel, stride and dilation accepted: the list of torch candidates grows with them."""


@dataclass(frozen=True)
class Axis:
    """One axis of a (transposed) convolution; raises :class:`UnusableInput` where it cannot exist."""

    op: str
    size: int
    kernel: int
    stride: int = 1
    dilation: int = 1

    def __post_init__(self) -> None:
        if self.op not in OPS:
            raise UnusableInput(f"op {self.op!r} is unknown; known: {', '.join(OPS)}")
        for name in ("size", "kernel", "stride", "dilation"):
            if (value := getattr(self, name)) < 1:
                raise UnusableInput(f"{name} is {value}; expected 1 or more")
            if name != "size" and value > LARGEST:
                raise UnusableInput(f"{name} is {value}; expected at most {LARGEST}")

    @property
    def extent(self) -> int:
        """Pixels from a kernel's first tap to its last, both included."""
        return _extent(self.kernel, self.dilation)

    @property
    def same(self) -> Amounts:
        """The amounts of TensorFlow's SAME."""
        if self.op == "conv":
            return same_amounts(self.size, self.kernel, self.stride, self.dilation)
        return same_crops(self.kernel, self.stride, self.dilation)

    def output(self, amounts: Amounts) -> int:
        """Output size; 0 where the layer cannot run."""
        if self.op == "conv":
            return max((self.size + sum(amounts) - self.extent) // self.stride + 1, 0)
        return max((self.size - 1) * self.stride + self.extent - sum(amounts), 0)

    def total(self, output: int) -> int:
        """``before + after`` that the windows of ``output`` values reach; negative: rows stay unread."""
        if self.op == "conv":
            return (output - 1) * self.stride + self.extent - self.size
        return (self.size - 1) * self.stride + self.extent - output

    def relation(self, reference: Amounts, amounts: Amounts) -> Relation:
        """How a layer with ``amounts`` relates to one with ``reference`` and the same kernel, for every input."""
        output = self.output(reference)
        if not output or self.output(amounts) != output:
            return "nothing"
        if amounts[0] == reference[0]:
            return "equal values"
        return "equal in a mirror" if sum((amounts[0], reference[0])) == self.total(output) else "equal shape only"


def same_amounts(size: int, kernel: int, stride: int, dilation: int = 1) -> Amounts:
    """Zeros that a SAME convolution adds: output ``ceil(size / stride)``, the odd zero after."""
    total = max((-(-size // stride) - 1) * stride + _extent(kernel, dilation) - size, 0)
    return total // 2, total - total // 2


def same_crops(kernel: int, stride: int, dilation: int = 1) -> Amounts:
    """Pixels that a SAME transposed convolution crops: output ``size * stride``, whatever the size.

    It is the adjoint of the SAME convolution on ``size * stride`` pixels. A kernel shorter than the stride leaves
    nothing to crop and zeros are appended: ``after`` is negative.
    """
    total = _extent(kernel, dilation) - stride
    before = max(total, 0) // 2
    return before, total - before


def valid_crops(kernel: int, stride: int, dilation: int = 1) -> Amounts:
    """The same for Keras's VALID: nothing is cropped, zeros appended up to the stride (torch appends none)."""
    return 0, -max(stride - _extent(kernel, dilation), 0)


def same_pads(
    sizes: Sequence[int], kernel: int | Sequence[int], strides: int | Sequence[int], dilation: int | Sequence[int] = 1
) -> list[Amounts]:
    """:func:`same_amounts` of every axis; kernel, strides and dilation are one number or one per axis."""
    spread = [item if isinstance(item, Sequence) else (item,) * len(sizes) for item in (kernel, strides, dilation)]
    return [same_amounts(*axis) for axis in zip(sizes, *spread, strict=True)]


def _extent(kernel: int, dilation: int) -> int:
    return (kernel - 1) * dilation + 1
