"""What a conversion may have done to each value of a weight: rounding, scaling, a function of it. Plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from parity.transfer.held_weights import TWO_ROUNDINGS, cast

Array = np.ndarray
Known = tuple[float, float]
LEVELS = 256  # values of eight bits
FEW = 3  # different values: through fewer a factor, an offset and a step can always be found


@dataclass(frozen=True)
class Conversion:
    """A function of one value, in words, and what to do instead.

    Its results agree with what the port holds within two roundings in float32: of each value, or, where it adds
    (``sums``), of the largest.
    """

    words: str
    fix: str
    function: Callable[[Array], Array]
    sums: bool = False

    def __call__(self, values: Array) -> Array:
        """The converted values, in float64; undefined ones are NaN."""
        with np.errstate(all="ignore"):
            return np.asarray(self.function(values.astype(np.float64)), np.float64)

    def agrees(self, held: Array, converted: Array, largest: float) -> bool:
        """Whether all values agree; ``largest`` is the largest magnitude in the whole weight."""
        with np.errstate(invalid="ignore"):
            scale = largest if self.sums else np.maximum(np.abs(held), np.abs(converted))
            return bool((np.abs(held - converted) <= TWO_ROUNDINGS * scale).all())


def _bfloat16(values: Array) -> Array:
    """Rounded to the nearest bfloat16, ties to even."""
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    kept = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return kept.astype(np.uint32).view(np.float32)


def _cut_to_bfloat16(values: Array) -> Array:
    """The upper half of each float32."""
    return (values.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


COPIED = Conversion("", "", lambda x: x)
IN_FLOAT32 = "copy the values in float32"
AS_THEY_ARE = "copy the values as they are"
FIXED: tuple[Conversion, ...] = (
    COPIED,
    Conversion("rounded through float16", IN_FLOAT32, lambda x: cast(x, np.dtype(np.float16))),
    Conversion("rounded through bfloat16", IN_FLOAT32, _bfloat16),
    Conversion("cut off to bfloat16", IN_FLOAT32, _cut_to_bfloat16),
    Conversion("negated", AS_THEY_ARE, np.negative),
    Conversion("the square root of the reference's", AS_THEY_ARE, np.sqrt),
    Conversion("the square of the reference's", AS_THEY_ARE, np.square),
    Conversion("one over the reference's", AS_THEY_ARE, np.reciprocal),
    Conversion("one over the square root of the reference's", AS_THEY_ARE, lambda x: 1 / np.sqrt(x)),
)


def conversions(value: Array, held: Array) -> Iterator[Conversion]:
    """The conversions that turn the range of ``value`` into that of ``held``."""
    ends = np.array([held.min(), held.max()], np.float64)
    largest = float(np.abs(ends).max())
    for conversion in (*FIXED, *_linear(value, ends)):
        converted = conversion(value)
        if conversion.agrees(ends, np.array([converted.min(), converted.max()]), largest):
            yield conversion


def quantised(right: Array, held: Array) -> str:
    """How ``held`` is ``right`` rounded to the levels of eight bits, in words; "" if it is not."""
    a, b = right.astype(np.float64), held.astype(np.float64)
    if _on_levels(a.reshape(-1), b.reshape(-1)):
        return "rounded to eight bits, one scale for all values"
    if b.ndim > 1 and all(map(_on_levels, a.reshape(len(a), -1), b.reshape(len(b), -1))):
        return "rounded to eight bits, a scale for each output"
    return ""


def _on_levels(right: Array, held: Array) -> bool:
    """Whether values are rounded to whole multiples of one step."""
    levels = np.unique(held)
    if not FEW <= len(levels) <= LEVELS:
        return False
    noise = TWO_ROUNDINGS * float(np.abs(levels).max())
    step: Known = (0.0, 0.0)
    for gap in np.diff(levels):
        step = _common_divisor((float(gap), noise), step)
    spread = float(levels[-1] - levels[0])
    return step[0] * LEVELS > spread and bool((np.abs(right - held) <= step[0] / 2 + noise).all())


def _common_divisor(a: Known, b: Known) -> Known:
    """The largest number of which both are multiples (Euclid); numbers with how far off they may be."""
    while b[0] > b[1]:
        times = round(a[0] / b[0])
        rest, off = abs(a[0] - times * b[0]), a[1] + times * b[1]
        a, b = b, (rest if rest > off else 0.0, off)
    return a


def _linear(value: Array, ends: Array) -> Iterator[Conversion]:
    """The factors and the offset that would turn the extremes of ``value`` into ``ends``."""
    extremes = np.array([value.min(), value.max()], np.float64)
    if not ((value > extremes[0]) & (value < extremes[1])).any():
        return
    largest = int(np.argmax(np.abs(extremes)))
    for other in (ends[largest], ends[1 - largest]):
        factor = float(other / extremes[largest])
        if factor not in (0.0, 1.0, -1.0) and np.isfinite(factor):
            yield Conversion(f"{_named(factor)} times the reference's", "copy it without the factor", _times(factor))
    offset = float(ends[0] - extremes[0])
    if offset:
        words = f"the reference's plus {offset:.4g}"
        yield Conversion(words, "copy it without the offset", lambda x: x + offset, sums=True)


def _times(factor: float) -> Callable[[Array], Array]:
    return lambda x: x * factor


def _named(factor: float) -> str:
    inverse = round(1 / factor)
    near = abs(inverse) > 1 and abs(1 / factor / inverse - 1) < 2 * TWO_ROUNDINGS
    return f"1/{inverse}" if near else f"{factor:.6g}"
