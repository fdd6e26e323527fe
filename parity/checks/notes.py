"""What a reader should know although nothing is wrong with it: one sentence a subject. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator

from parity.checks.climbing import Climbed
from parity.checks.context import CheckContext
from parity.checks.structure import named_inputs
from parity.checks.withdrawal import WITHOUT_EFFECT
from parity.verdict import listed

ARRANGED = WITHOUT_EFFECT.partition("{}")[2].strip(" ()")
SHOWN = 3
"""Differences of arrangement that are listed one by one; the others are counted."""


def notes(context: CheckContext, climbed: Climbed) -> list[str]:
    """Inputs matched by name, reordered rows, other arrangements, constants of another precision."""
    found = [named_inputs(context.models), *_reorderings(context), *_arrangements(climbed), *_measured(context)]
    return list(dict.fromkeys(filter(None, found)))


def _reorderings(context: CheckContext) -> Iterator[str]:
    """Dense layers whose rows follow another order of flattening."""
    found: dict[str, list[str]] = {}
    for match in context.models.matching.matches:
        order = context.models.reordering(match.reference)
        if order:
            found.setdefault(order, []).append(match.port.name)
    for order, names in found.items():
        yield f"{listed(names)}: {order}"


def _arrangements(climbed: Climbed) -> Iterator[str]:
    """What is arranged differently and computes the same."""
    suffix = WITHOUT_EFFECT.format("")
    found = [check.message.removesuffix(suffix) for check in climbed.checks
             if check.judgement == "pass" and check.message.endswith(suffix)]  # fmt: skip
    found = list(dict.fromkeys(found))
    if found:
        more = f"; {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        yield f"{ARRANGED}: {'; '.join(found[:SHOWN])}{more}"


def _measured(context: CheckContext) -> Iterator[str]:
    """What measuring had to say, with the layers that it is said of."""
    found: dict[str, list[str]] = {}
    for layer in context.measured.layers if context.measured else []:
        if layer.note and layer.key not in found.get(layer.note, ()):
            found.setdefault(layer.note, []).append(layer.key)
    for note, names in found.items():
        yield f"{listed(names)}: {note}"
