"""Drawings as SVG text, coloured by the page's style sheet so that they follow its light or dark mode."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup, escape

from parity.report.formats import error, number
from parity.report.strings import LANGUAGES, text
from parity.report.study import Grid

FLOOR = 1e-17  # an exact zero is drawn here: below the relative spacing of float64 (2.2e-16)
CEILING = 1e2
CELL = 17


def error_plot(rows: list[dict[str, Any]], limits: dict[str, float]) -> Markup:
    """Chained and isolated float64 error of each layer on a logarithmic scale, with the limit line.

    Exact agreement is drawn on the floor, NaN and infinities as a cross on the ceiling; empty without measurements.
    """
    rows = [row for row in rows if number(row["float64"]) is not None or number(row["isolated"]) is not None]
    if not rows:
        return Markup("")
    values = [number(row[key]) for row in rows for key in ("float64", "isolated")]
    drawn = [limits.get(row["reference_layer"] or row["layer"]) for row in rows]
    finite = [value for value in (*values, *drawn) if value is not None and math.isfinite(value) and value > 0]
    top = min(max(math.ceil(math.log10(max(finite, default=1e-15))) + 1, -11), 2)
    bottom = -17
    step, left, upper, height = min(max(560 // len(rows), 26), 64), 58, 16, 230
    width = left + step * len(rows) + 8

    def x(index: int) -> float:
        return left + step * (index + 0.5)

    def y(value: float) -> float:
        exponent = min(max(math.log10(max(value, FLOOR)), bottom), top) if math.isfinite(value) else top
        return upper + height * (top - exponent) / (top - bottom)

    parts = []
    every = 2 if top - bottom <= 12 else 4
    for exponent in range(bottom + 1, top + 1, every):
        line = y(10.0**exponent)
        parts.append(f'<line class="grid" x1="{left}" x2="{width - 8}" y1="{line:.1f}" y2="{line:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{line + 4:.1f}" text-anchor="end">1e{exponent}</text>')
    floor = upper + height
    parts.append(f'<line class="floor" x1="{left}" x2="{width - 8}" y1="{floor}" y2="{floor}"/>')
    parts.append(_both(left - 8, floor + 4, "plot.exact", "tick", "end"))
    for index, limit in enumerate(drawn):
        if limit is not None:
            line, start = y(limit), left + step * index
            parts.append(f'<line class="limit" x1="{start}" x2="{start + step}" y1="{line:.1f}" y2="{line:.1f}"/>')
    parts.append(_path(rows, "float64", x, y))
    for index, row in enumerate(rows):
        name = row["layer"] or row["reference_layer"]
        for key, label in (("float64", "plot.chained"), ("isolated", "plot.isolated")):
            parts.append(_mark(x(index), y, number(row[key]), key, f"{name}, {text(label, 'en')}: {error(row[key])}"))
        anchor_y = floor + 16
        parts.append(
            f'<text class="tick name {row["judgement"]}" text-anchor="end" x="{x(index) + 3:.1f}" y="{anchor_y}"'
            f' transform="rotate(-52 {x(index) + 3:.1f} {anchor_y})">{escape(_short(name))}</text>'
        )
    return Markup(
        f'<svg class="plot" viewBox="0 0 {width} {height + 120}" width="{width}" height="{height + 120}"'
        f' aria-hidden="true" focusable="false">{"".join(parts)}</svg>'
    )


def pixel_grid(grid: Grid) -> Markup:
    """The image with its padding (or crop) as squares, the first window outlined, a dot on each window's centre."""
    margin = 2
    first, last = -margin, grid.size + margin
    origin = 22
    side = origin + CELL * (last - first) + 2

    def at(coordinate: int) -> int:
        return origin + CELL * (coordinate - first)

    parts = []
    for row in range(first, last):
        for column in range(first, last):
            inside = 0 <= row < grid.size and 0 <= column < grid.size
            reach = range(-grid.amounts[0], grid.size + grid.amounts[1])
            if not inside and (row not in reach or column not in reach):
                continue
            kind = "image" if inside else "pad" if grid.op == "conv" else "crop"
            parts.append(f'<rect class="px {kind}" x="{at(column)}" y="{at(row)}" width="{CELL}" height="{CELL}"/>')
    window = CELL * grid.kernel
    start = at(-grid.amounts[0])
    parts.append(f'<rect class="window" x="{start}" y="{start}" width="{window}" height="{window}" rx="2"/>')
    for row in grid.centres:
        for column in grid.centres:
            parts.append(f'<circle class="centre" cx="{at(column) + CELL / 2}" cy="{at(row) + CELL / 2}" r="3.4"/>')
    for index in range(grid.size):
        middle = at(index) + CELL / 2
        parts.append(f'<text class="tick" x="{middle}" y="{origin - 6}" text-anchor="middle">{index}</text>')
        parts.append(f'<text class="tick" x="{origin - 6}" y="{middle + 3.5}" text-anchor="end">{index}</text>')
    return Markup(
        f'<svg class="pixels" viewBox="0 0 {side} {side}" width="{side}" height="{side}" aria-hidden="true"'
        f' focusable="false">{"".join(parts)}</svg>'
    )


def _mark(x: float, y: Any, value: float | None, key: str, title: str) -> str:
    if value is None:
        return ""
    height = y(value)
    tip = f"<title>{escape(title)}</title>"
    if not math.isfinite(value):
        return f'<path class="bad" d="M{x - 5:.1f} {height - 5:.1f}l10 10m0 -10l-10 10">{tip}</path>'
    if key == "float64":
        return f'<circle class="chained" cx="{x:.1f}" cy="{height:.1f}" r="4">{tip}</circle>'
    return f'<path class="isolated" d="M{x:.1f} {height - 6:.1f}l6 6l-6 6l-6 -6z">{tip}</path>'


def _path(rows: list[dict[str, Any]], key: str, x: Any, y: Any) -> str:
    points = [(x(index), number(row[key])) for index, row in enumerate(rows)]
    drawn = " ".join(f"{at:.1f},{y(value):.1f}" for at, value in points if value is not None)
    return f'<polyline class="chained-line" points="{drawn}"/>'


def _both(x: float, y: float, key: str, classes: str, anchor: str = "start") -> str:
    place = f'text-anchor="{anchor}" x="{x:.1f}" y="{y:.1f}"'
    return "".join(
        f'<text class="{classes} t-{language}" {place}>{escape(text(key, language))}</text>' for language in LANGUAGES
    )


def _short(name: str) -> str:
    return name if len(name) <= 18 else "…" + name[-17:]
