"""The padding study: where SAME and its symmetric imitation put every window, as grids to be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parity.padding import Amounts, Comparison, Recipe, compare_symmetric

KERNEL, STRIDE, IMAGE = 5, 2, 8
PADDING, OUTPUT_PADDING = 2, 1


@dataclass(frozen=True)
class Grid:
    """One way of padding a convolution's image, or of cropping a transposed one's, the same in both directions.

    ``amounts`` are ``(before, after)``, ``centres`` the image pixels under the middle of each window; of a transposed
    convolution, those that the input's pixels land on.
    """

    op: Literal["conv", "conv-transpose"]
    title: str
    amounts: Amounts
    centres: tuple[int, ...]
    size: int = IMAGE
    kernel: int = KERNEL


@dataclass(frozen=True)
class Study:
    """SAME beside the symmetric padding of equal shape, and the torch code that computes SAME."""

    op: Literal["conv", "conv-transpose"]
    same: Grid
    symmetric: Grid
    relation: str
    recipe: Recipe


def studies() -> tuple[Study, Study]:
    """The convolution and its transpose, kernel 5 and stride 2, on :data:`IMAGE` pixels a side."""
    return (
        _study("conv", compare_symmetric("conv", IMAGE, KERNEL, STRIDE, torch_padding=PADDING)),
        _study(
            "conv-transpose",
            compare_symmetric(
                "conv-transpose",
                IMAGE // STRIDE,
                KERNEL,
                STRIDE,
                torch_padding=PADDING,
                output_padding=OUTPUT_PADDING,
            ),
        ),
    )


def _study(op: Literal["conv", "conv-transpose"], comparison: Comparison) -> Study:
    given = comparison.given
    assert given is not None
    windows = IMAGE // STRIDE
    same, symmetric = (
        Grid(op, title, amounts, tuple(index * STRIDE - amounts[0] + KERNEL // 2 for index in range(windows)))
        for title, amounts in (("study.same", comparison.reference), (f"study.{op}.symmetric", given.amounts))
    )
    return Study(op, same, symmetric, given.verdict, comparison.recipe)
