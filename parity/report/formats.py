"""Numbers, shapes and paddings as short text, from the plain data of a verdict."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

MISSING = "–"
EDGE_ARROWS = {1: ("←→",), 2: ("↑↓", "←→"), 3: ("⊙⊗", "↑↓", "←→")}
# What neither XML nor HTML may hold: control characters, surrogates and two more.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def printable(text: Any) -> str:
    """``text`` with every character that XML forbids shown as the replacement character."""
    return FORBIDDEN.sub("\ufffd", str(text))


def number(value: Any) -> float | None:
    """``value`` as a float; None for missing or textual values. Verdicts carry NaN and infinities as words."""
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def sort_key(value: Any) -> float:
    """A finite number to sort by: missing below everything, infinities and NaN above."""
    plain = number(value)
    if plain is None:
        return -1.0
    return plain if math.isfinite(plain) else 1e308


def error(value: Any) -> str:
    """A relative error: ``0``, ``2.1e-15``, ``0.82``, ``nan``, or a dash where nothing was measured."""
    plain = number(value)
    if plain is None:
        return MISSING
    if not math.isfinite(plain):
        return {math.inf: "∞", -math.inf: "−∞"}.get(plain, "nan")
    if plain == 0:
        return "0"
    if 0.01 <= abs(plain) < 1000:
        return f"{plain:.3g}"
    mantissa, exponent = f"{plain:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def multiple(value: Any) -> str:
    """A multiple of rounding: ``1.4×``, ``4.2e6×``."""
    text = error(value)
    return text if text in (MISSING, "nan", "∞", "−∞") else f"{text}×"


def factor(value: float) -> str:
    """A round amplification: ``200``, ``2e6``."""
    return f"{value:g}" if value < 1e4 else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")


def count(value: Any) -> str:
    """A whole number with thousands separated: ``19,065,345``."""
    plain = number(value)
    return MISSING if plain is None or not math.isfinite(plain) else f"{int(plain):,}"


def shape(dimensions: Sequence[Any] | None) -> str:
    """``[N, 4, 4, 1024]``; the first axis is the batch."""
    return f"[{', '.join(axes(dimensions))}]" if dimensions else MISSING


def sizes(dimensions: Sequence[Any]) -> str:
    """``[5, 5, 1, 64]``: a parameter's shape, which has no batch; ``scalar`` without axes."""
    return f"[{', '.join(map(str, dimensions))}]" if dimensions else "scalar"


def axes(dimensions: Sequence[Any] | None) -> list[str]:
    """The axes of a shape as words, the batch as ``N``."""
    return ["N", *(str(size) for size in dimensions[1:])] if dimensions else []


def edges(amounts: Sequence[Sequence[int]] | None) -> list[str]:
    """Amounts per edge, an axis each: ``["↑ 1 ↓ 2", "← 1 → 2"]`` for ``[[1, 2], [1, 2]]``."""
    if not amounts:
        return [MISSING]
    arrows = EDGE_ARROWS.get(len(amounts), ("<>",) * len(amounts))
    return [
        f"{arrow[0]} {_signed(before)} {arrow[1]} {_signed(after)}"
        for arrow, (before, after) in zip(arrows, amounts, strict=True)
    ]


def setting(value: Any) -> str:
    """A layer's attribute as text: ``5×5`` for equal sizes, numbers without noise, words as they are."""
    if value is None:
        return MISSING
    if isinstance(value, (list, tuple)):
        return "×".join(setting(item) for item in value) if value else "[]"
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)


def _signed(amount: Any) -> str:
    return f"−{-amount}" if isinstance(amount, (int, float)) and amount < 0 else str(amount)
