"""Differences and amounts in words, for the messages of checks and findings. Plain NumPy."""

from __future__ import annotations

from parity.checks.climbing import Amounts
from parity.numerics.difference import Difference

FED_BY = "fed by {}, whose output has another shape in the port"
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


def describe_amounts(amounts: Amounts) -> str:
    """Padding or crop per axis, written once if all axes agree."""
    if not amounts:
        return "unknown"
    pairs = [tuple(pair) for pair in amounts]
    return str(pairs[0]) if len(set(pairs)) == 1 else str(pairs)
