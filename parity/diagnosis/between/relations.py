"""How the port's values stand to the reference's where what either computes is unknown. Plain NumPy.

Terms of other layers, values dropped or masked, rounding to a shorter format.
"""

from __future__ import annotations

import numpy as np

from parity.diagnosis.between.constants import shown
from parity.diagnosis.between.forms import FIT, Sources, Target, axis_names, held_in
from parity.numerics.difference import scale

Array = np.ndarray
Explained = tuple[str, str, str] | None
"""Kind, message and fix."""


def missing_term(expected: Array, got: Target, others: Sources) -> Explained:
    """The port lacks, or adds again, a multiple of another layer's output; or it takes one for another."""
    gap = got.values - expected
    size = scale(gap)
    if not np.isfinite(gap).all() or size <= got.fit * got.scale:
        return None
    place = int(np.abs(gap).argmax())
    if expected.flat[place]:
        factor = got.values.flat[place] / expected.flat[place]
        if np.abs(got.values - factor * expected).max() <= got.fit * got.scale:
            return None  # a factor, of which any multiple of the values would be a term
    for name, x in others.items():
        if x.shape != gap.shape or not x.flat[place]:
            continue
        factor = float(gap.flat[place] / x.flat[place])
        factor = float(round(factor)) if abs(factor - round(factor)) < 1e-9 else factor
        if np.abs(gap - factor * x).max() > got.fit * got.scale:
            continue
        times = "" if abs(factor) == 1 else f"{shown(abs(factor), x.shape[1:])} times "
        if factor < 0:
            message = f"the port's values are the reference's less {times}the output of {name}"
            return "missing-term", message, f"add {times}the output of {name}"
        return (
            "extra-term",
            f"the port adds {times}the output of {name} to what the reference has",
            (f"do not add {times}the output of {name} here"),
        )
    return None


def exchanged_term(expected: Array, got: Target, sources: Sources, elsewhere: Sources) -> Explained:
    """A sum in which another layer's output stands for a source's."""
    gap = got.values - expected
    for name, x in sources.items():
        if x.shape != gap.shape:
            continue
        wanted = Target(gap + x)
        for other, y in elsewhere.items():
            if (
                y.shape == gap.shape
                and other not in sources
                and np.abs(wanted.values[:1] - y[:1]).max(initial=0) <= got.fit * max(got.scale, wanted.scale)
                and wanted.equals(y)
            ):
                return (
                    "wrong-source",
                    f"the port adds the output of {other}, the reference that of {name}",
                    (f"take the output of {name} (the skip connection starts there), not of {other}"),
                )
    return None


def another_layer(got: Target, elsewhere: Sources) -> Explained:
    """The port has the output of another layer here."""
    for name, x in elsewhere.items():
        if x.shape == got.shape and got.equals(x):
            return (
                "wrong-source",
                f"the port has the output of {name} here, the reference another layer's",
                (f"do not take the output of {name} here"),
            )
    return None


FORMATS = (("float16", 2.0**-10), ("bfloat16", 2.0**-7), ("float32", 2.0**-23))


def precision(expected: Array, got: Target) -> Explained:
    """The port's values are all numbers of a shorter format, near the reference's, which are not.

    Near: within 64 units of the format, the slack of this project's limits.
    """
    if expected.shape != got.shape or not np.isfinite(expected).all() or not got.finite:
        return None
    found = quantised(expected, got)
    if found is not None:
        return found
    apart = float(np.abs(got.values - expected).max(initial=0)) / max(scale(expected), 1e-300)
    for name, unit in FORMATS:
        if apart <= 64 * unit and _held(got.values, name) and not _held(expected, name):
            return (
                "precision",
                f"the port rounds to {name} here: all its values are numbers of that format",
                (f"compute in the input's precision: no .half(), .bfloat16(), .float() or autocast ({name}) here"),
            )
    return None


def _held(values: Array, name: str) -> bool:
    if name == "bfloat16":
        single = values.astype(np.float32)
        return held_in(values, np.float32) and not (single.view(np.uint32) & 0xFFFF).any()
    with np.errstate(over="ignore"):
        return held_in(values, np.dtype(name))


STEPS = (1, 255, 256, 127, 128, 127.5, 2, 10, 100, 1000, 15, 16, 65535)


def quantised(expected: Array, got: Target) -> Explained:
    """The port rounds, or cuts off, to a multiple of a step."""
    for steps in STEPS:
        for words, rounding in (("rounds", np.rint), ("cuts off", np.trunc), ("rounds down", np.floor)):
            if got.equals(rounding(expected * steps) / steps, FIT):
                what = "whole numbers" if steps == 1 else f"multiples of 1 / {steps:g}"
                return (
                    "precision",
                    f"the port {words} to {what} (an integer type) where the reference does not",
                    ("keep floating point: no .int(), .long(), .byte() or round() here"),
                )
    return None


def dropped(expected: Array, got: Target) -> Explained:
    """Values set to zero on one side alone, the others equal up to one factor: dropout, or a mask."""
    if expected.shape != got.shape or not np.isfinite(expected).all() or not got.finite:
        return None
    for mine, theirs, side, other in (
        (got.values, expected, "the port", "the reference"),
        (expected, got.values, "the reference", "the port"),
    ):
        zeros = (mine == 0) & (theirs != 0)
        share, kept = float(zeros.mean()), (mine != 0) & (theirs != 0)
        if not zeros.any() or not kept.any() or ((mine != 0) & (theirs == 0)).any():
            continue
        factor = float(np.median(mine[kept] / theirs[kept]))
        if not Target(mine).equals(np.where(zeros, 0, factor * theirs)):
            continue
        where = _whole_places(zeros)
        if abs(factor - 1) > got.fit:
            rate = 1 - 1 / factor if factor > 1 else share
            return (
                "dropout-rate",
                f"{side} drops {share:.0%} of the values and multiplies the others by {factor:.4g} "
                f"(dropout at p = {rate:.3g}), {other} does not",
                "drop in training alone, at the reference's rate: F.dropout(x, p, self.training)",
            )  # noqa: E501
        if where:
            axes = axis_names(zeros.ndim, where)
            return (
                "mask-ignored",
                f"{side} sets whole places to zero ({share:.0%} of the values, the same along {axes}: "
                f"a mask), {other} does not",
                "mask the same places on both sides",
            )
    return None


def _whole_places(zeros: Array) -> tuple[int, ...]:
    """The axes along which the zeros are constant, batch excluded."""
    return tuple(a for a in range(1, zeros.ndim) if (zeros.all(a) == zeros.any(a)).all() and zeros.shape[a] > 1)
