"""Drawings of a training run as SVG text: its losses in both frameworks, and how far its states are apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup, escape

from parity.report.figures import FLOOR
from parity.report.formats import error, number

WIDTH, HEIGHT = 292, 128  # of the area in which lines are drawn
LEFT, UPPER, RIGHT, LOWER = 52, 10, 10, 24  # around it
Values = Sequence[float | None]
Place = Callable[[float], float]


def loss_plot(curve: dict[str, Any]) -> Markup:
    """One loss by step: Keras as a broad line, torch as a thin one upon it. Steps that are not finite leave a gap."""
    expected, got = ([_finite(value) for value in curve[side]] for side in ("reference", "port"))
    known = [value for value in (*expected, *got) if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if high - low < 1e-9 * max(abs(high), abs(low)) or high == low:
        low, high = low - (abs(low) or 1.0), high + (abs(high) or 1.0)

    def y(value: float) -> float:
        return UPPER + HEIGHT * (high - value) / (high - low)

    ticks = [(value, _short(value)) for value in (low, (low + high) / 2, high)]
    lines = [(expected, "keras-line"), (got, "torch-line")]
    return _plot(len(expected), y, ticks, lines)


def deviation_plot(training: dict[str, Any]) -> Markup:
    """The largest relative distance of the two states by step, and by how much rounding alone moves the reference.

    Logarithmic; exact agreement is drawn on the floor. Empty where single values cannot be judged.
    """
    apart, rounding = ([_finite(value) for value in training[key]] for key in ("apart", "rounding"))
    known = [math.log10(max(value, FLOOR)) for value in (*apart, *rounding) if value is not None]
    if not known:
        return Markup("")
    low, high = math.floor(min(known)) - 0.5, math.ceil(max(known)) + 0.5

    def y(value: float) -> float:
        return UPPER + HEIGHT * (high - math.log10(max(value, FLOOR))) / (high - low)

    every = max(1, round((high - low) / 4))
    ticks = [(10.0**power, f"1e{power}") for power in range(math.ceil(low), math.floor(high) + 1, every)]
    return _plot(len(apart), y, ticks, [(rounding, "rounding-line"), (apart, "apart-line")])


def _plot(count: int, y: Place, ticks: Sequence[tuple[float, str]], lines: Sequence[tuple[Values, str]]) -> Markup:
    def x(index: int) -> float:
        return LEFT + WIDTH * (index + 0.5) / max(count, 1)

    parts = []
    for value, words in ticks:
        line = y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{line:.1f}" y2="{line:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 7}" y="{line + 3.5:.1f}" text-anchor="end">{escape(words)}</text>')
    for index in sorted({0, count // 2, count - 1} if count else ()):
        place = f'x="{x(index):.1f}" y="{UPPER + HEIGHT + 17}"'
        parts.append(f'<text class="tick" {place} text-anchor="middle">{index + 1}</text>')
    for values, name in lines:
        parts += [f'<polyline class="{name}" points="{points}"/>' for points in _stretches(values, x, y)]
    size = LEFT + WIDTH + RIGHT, UPPER + HEIGHT + LOWER
    return Markup(
        f'<svg class="curve" viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" height="{size[1]}"'
        f' aria-hidden="true" focusable="false">{"".join(parts)}</svg>'
    )


def _stretches(values: Values, x: Callable[[int], float], y: Place) -> list[str]:
    """The points of each run of known values."""
    found: list[list[str]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            found.append([])
        else:
            found[-1].append(f"{x(index):.1f},{y(value):.1f}")
    return [" ".join(points) for points in found if points]


def _finite(value: Any) -> float | None:
    plain = number(value)
    return plain if plain is not None and math.isfinite(plain) else None


def _short(value: float) -> str:
    return error(value) if abs(value) < 0.01 else f"{value:.3g}"
