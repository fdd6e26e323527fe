"""Differences and amounts in words, for the messages of checks and findings. Plain NumPy."""

from __future__ import annotations

from parity.checks.climbing import Amounts
from parity.numerics.array_layouts import to_port_shape
from parity.numerics.difference import Difference

Shape = tuple[int, ...]
FED_BY = "fed by {}, whose output has another shape in the port"
OUTPUTS = "the port returns {} outputs, the reference {}"
OUTPUTS_FIX = "return exactly the reference's outputs, in its order; auxiliary ones belong into another method"
SPATIAL = {3: ("L",), 4: ("H", "W"), 5: ("D", "H", "W")}
IMAGES = (4, 5)
TF32 = "{}: float64 agrees, float32 differs by more than its rounding: products are rounded to TensorFloat-32 by {}"
TF32_FIX = "turn off {} to compare float32, or verify on the CPU"
STOPPED = "the port does not run to its end: {}"


def describe(found: Difference, condition: str = "") -> str:
    """A difference in words: how far, how many, where, both values."""
    where = f" ({condition})" if condition else ""
    if not found.finite:
        return f"NaN or infinity at {list(found.worst)}: got {found.got}, expected {found.expected}{where}"
    return (
        f"values differ: max |Δ| {found.absolute:.3g}, {found.relative:.2g} relative, {found.mismatched:.0%} of them; "
        f"worst at {list(found.worst)}: got {found.got:.6g}, expected {found.expected:.6g}{where}"
    )


def describe_shapes(got: Shape | None, expected: Shape, channels_first: bool | None = None) -> str:
    """Two shapes in words, both in the port's layout; ``expected`` is given in the reference's.

    ``channels_first`` None: where the number of channels stands, else first for images. It is named from three axes on.
    """
    if channels_first is None:
        channels_first = _likely_channels_first(got, expected)
    due = to_port_shape(tuple(expected), channels_first)
    layout = f" as {_axes(len(due), channels_first)}" if len(due) > 2 else ""
    return f"got {'no output' if got is None else tuple(got)}, expected {due}{layout}"


def _likely_channels_first(got: Shape | None, expected: Shape) -> bool:
    channels = expected[-1] if expected else None
    if got and len(got) == len(expected) and (got[1:2] == (channels,)) != (got[-1:] == (channels,)):
        return got[1] == channels
    return len(expected) in IMAGES


def _axes(rank: int, channels_first: bool) -> str:
    spatial = SPATIAL.get(rank, ("…",))
    return f"[{', '.join(('N', 'C', *spatial) if channels_first else ('N', *spatial, 'C'))}]"


def describe_amounts(amounts: Amounts) -> str:
    """Padding or crop per axis, written once if all axes agree."""
    if not amounts:
        return "unknown"
    pairs = [tuple(pair) for pair in amounts]
    return str(pairs[0]) if len(set(pairs)) == 1 else str(pairs)
