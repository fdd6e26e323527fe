"""A padding comparison as text: verdicts, recipe, and the edges drawn one character a pixel. Plain NumPy."""

from __future__ import annotations

from collections.abc import Callable

from parity.padding import Candidate, Comparison
from parity.padding.axis import Amounts, Axis

Pixel = Callable[[int], str]
LABEL, EDGE, MANY = 27, 36, 12
LEGEND = {
    "conv": "digits: input, '.': zeros, '-': left unread behind the last window, '#': taps",
    "conv-transpose": "digits: output, 'x': cropped, '.': zeros appended, '#': taps",
}


def describe(comparison: Comparison, confirmed: bool | None) -> str:
    """The whole text; ``confirmed`` is the result of the impulse probes (None: too large to probe)."""
    axis = comparison.axis
    verb = "pads" if axis.op == "conv" else "crops"
    dilation = f", dilation {axis.dilation}" if axis.dilation > 1 else ""
    lines = [
        f"{axis.op}, size {axis.size}, kernel {axis.kernel}, stride {axis.stride}{dilation}: "
        f"SAME {verb} {comparison.reference}, output {comparison.output}",
        "",
        "Symmetric torch padding against SAME:",
    ]
    for item in comparison.candidates[:MANY]:
        line = f"  {_name(item):{LABEL}}{item.verdict:19}{verb} {item.amounts}"
        lines.append(f"{line}  {item.note}".rstrip())
    if len(comparison.candidates) > MANY:
        lines.append(f"  and {len(comparison.candidates) - MANY} more, all listed by --json")
    elif comparison.given is None:
        lines.append("  any other: nothing (another output size)")
    lines += ["", f"Exact in torch, two axes: {comparison.recipe.text}"]
    lines += [f"    {line}" for line in comparison.recipe.code.splitlines()]
    lines += ["", f"Edges ({LEGEND[axis.op]}):", *(f"  {line}" for line in picture(comparison).splitlines())]
    return "\n".join([*lines, "", _confirmation(axis.kernel, confirmed)])


def picture(comparison: Comparison) -> str:
    """SAME and the paddings of the same output size (or the one asked about), edge under edge."""
    shown = [item for item in comparison.candidates if item.verdict != "nothing" or item is comparison.given][:MANY]
    layouts = [("SAME", comparison.reference), *((_name(item), item.amounts) for item in shown)]
    draw = _input_rows if comparison.axis.op == "conv" else _output_rows
    return draw(comparison, layouts)


def _input_rows(comparison: Comparison, layouts: list[tuple[str, Amounts]]) -> str:
    """The padded input of each layout, and where its first and last window lie."""
    axis, rows = comparison.axis, []
    for name, (before, after) in layouts:
        last = (axis.output((before, after)) - 1) * axis.stride - before
        rows.append((name, _padded(axis.size, before, after, last + axis.extent)))
        if axis.output((before, after)):
            rows += [("  first window", _taps(axis, -before)), ("  last window", _taps(axis, last))]
    start = min(-before for _, (before, _) in layouts)
    return _drawn(rows, start, axis.size + max(after for _, (_, after) in layouts))


def _output_rows(comparison: Comparison, layouts: list[tuple[str, Amounts]]) -> str:
    """The full output with what each layout crops, and what the first and last input pixel stamp on it."""
    axis = comparison.axis
    full = axis.output((0, 0))
    rows = [(name, _cropped(full, before, after)) for name, (before, after) in layouts]
    rows.append(("  stamp of the first pixel", _taps(axis, 0)))
    rows.append(("  stamp of the last pixel", _taps(axis, (axis.size - 1) * axis.stride)))
    return _drawn(rows, 0, full + max(0, *(-after for _, (_, after) in layouts)))


def _padded(size: int, before: int, after: int, end: int) -> Pixel:
    def pixel(i: int) -> str:
        if not -before <= i < size + after:
            return " "
        return "-" if i >= end else str(i % 10) if 0 <= i < size else "."

    return pixel


def _cropped(full: int, before: int, after: int) -> Pixel:
    def pixel(i: int) -> str:
        if before <= i < full - after:
            return str((i - before) % 10) if i < full else "."
        return "x" if i < full else " "

    return pixel


def _drawn(rows: list[tuple[str, Pixel]], start: int, stop: int) -> str:
    """Each row's characters from ``start`` to ``stop``; the middle of a wide picture is left out of every row."""
    parts = [range(start, stop)]
    if stop - start > 2 * EDGE:
        parts = [range(start, start + EDGE), range(stop - EDGE, stop)]
    lines = (f"{name:{LABEL}}" + " ~ ".join("".join(map(pixel, part)) for part in parts) for name, pixel in rows)
    return "\n".join(line.rstrip() for line in lines)


def _taps(axis: Axis, start: int) -> Pixel:
    span = range(start, start + axis.extent, axis.dilation)
    return lambda i: "#" if i in span else " "


def _name(item: Candidate) -> str:
    return f"padding={item.padding}" + f" output_padding={item.output_padding}" * (item.output_padding > 0)


def _confirmation(kernel: int, confirmed: bool | None) -> str:
    if confirmed is None:
        return "Not probed: too large for an impulse at every pixel."
    ramp = ", ".join(map(str, range(1, kernel + 1))) if kernel <= 4 else f"1, 2, ..., {kernel}"
    outcome = "Confirmed" if confirmed else "CONTRADICTED (a bug in parity: please report it)"
    return f"{outcome} by impulse probes: one impulse at every pixel in turn, kernel ({ramp})."
