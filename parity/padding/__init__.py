"""Which symmetric torch padding equals TensorFlow's SAME, and what to write if none does. Plain NumPy.

The calculus is in :mod:`parity.padding.axis`, its confirmation by impulses and the measurement of real layers in
:mod:`parity.padding.probing`, the torch code in :mod:`parity.padding.recipe`; all of it is re-exported here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from parity.padding.axis import (
    OPS,
    RELATIONS,
    Amounts,
    Axis,
    Relation,
    same_amounts,
    same_crops,
    same_pads,
    valid_crops,
)
from parity.padding.probing import FIT, impulse_map, measure_amounts, probe
from parity.padding.recipe import Recipe, torch_recipe
from parity.verdict import UnusableInput

__all__ = [
    "FIT", "OPS", "RELATIONS", "Amounts", "Axis", "Candidate", "Comparison", "Recipe", "Relation", "compare_symmetric",
    "confirm", "impulse_map", "measure_amounts", "probe", "same_amounts", "same_crops", "same_pads", "torch_recipe",
    "valid_crops",
]  # fmt: skip

PROBED = 2**25
"""Largest number of multiplications spent on probing: about a tenth of a second."""


@dataclass(frozen=True)
class Candidate:
    """A symmetric torch padding and how it compares; ``shift`` is its ``before`` minus the reference's, in pixels."""

    padding: int
    output_padding: int
    amounts: Amounts
    output: int
    verdict: Relation
    shift: int
    note: str


@dataclass(frozen=True)
class Comparison:
    """Symmetric torch paddings compared with SAME on one axis; ``given`` is the one that was asked about, if any."""

    axis: Axis
    reference: Amounts
    output: int
    candidates: tuple[Candidate, ...]
    recipe: Recipe
    given: Candidate | None = None

    @property
    def faithful(self) -> bool:
        """The given padding computes the reference's values; True where none was given."""
        return self.given is None or self.given.verdict == "equal values"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready plain data."""
        return {**asdict(self), "faithful": self.faithful}


def compare_symmetric(
    op: str,
    size: int,
    kernel: int,
    stride: int,
    dilation: int = 1,
    torch_padding: int | None = None,
    output_padding: int | None = None,
) -> Comparison:
    """Compare the given torch padding with SAME, or else all of the right output size and their nearest neighbours.

    The recipe is for two spatial axes of this kind. Raises :class:`UnusableInput` for settings no layer can have.
    """
    axis = Axis(op, size, kernel, stride, dilation)
    if torch_padding is None and output_padding is not None:
        raise UnusableInput(f"output padding {output_padding} came without a torch padding; give both or none")
    if torch_padding is None:
        pairs: Iterable[tuple[int, int]] = _candidates(axis)
    else:
        pairs = [_validated(axis, torch_padding, output_padding or 0)]
    candidates = tuple(_compared(axis, *pair) for pair in pairs)
    recipe = torch_recipe([axis, axis], [axis.same, axis.same])
    given = None if torch_padding is None else candidates[0]
    return Comparison(axis, axis.same, axis.output(axis.same), candidates, recipe, given)


def confirm(comparison: Comparison) -> bool | None:
    """Whether impulse probes confirm every verdict; None if that takes too long (:data:`PROBED`)."""
    axis = comparison.axis
    length = axis.size + comparison.output + axis.extent
    if axis.size * length * axis.kernel * len(comparison.candidates) > PROBED:
        return None
    return all(probe(axis, comparison.reference, item.amounts) == item.verdict for item in comparison.candidates)


def _validated(axis: Axis, padding: int, output_padding: int) -> tuple[int, int]:
    for name, value in (("torch padding", padding), ("output padding", output_padding)):
        if value < 0:
            raise UnusableInput(f"{name} is {value}; expected 0 or more")
    if output_padding and axis.op == "conv":
        raise UnusableInput(f"output padding is {output_padding}; only a transposed convolution has one")
    if output_padding and output_padding >= max(axis.stride, axis.dilation):
        limits = f"stride ({axis.stride}) or dilation ({axis.dilation})"
        raise UnusableInput(f"output padding is {output_padding}; torch wants it smaller than {limits}")
    return padding, output_padding


def _candidates(axis: Axis) -> list[tuple[int, int]]:
    """Every ``(padding, output_padding)`` of the right output size, and the nearest that miss it."""
    total = axis.total(axis.output(axis.same))
    if axis.op == "conv":
        fewest, most = -(-total // 2), (total + axis.stride - 1) // 2
        return [(padding, 0) for padding in range(max(fewest - 1, 0), max(most, 0) + 2)]
    pairs = {
        (max(padding, 0), extra)
        for extra in range(max(axis.stride, axis.dilation))
        for padding in ((total + extra) // 2, (total + extra + 1) // 2)
    }
    return sorted(pairs)


def _compared(axis: Axis, padding: int, output_padding: int) -> Candidate:
    amounts = padding, padding - output_padding
    relation, output, shift = axis.relation(axis.same, amounts), axis.output(amounts), padding - axis.same[0]
    return Candidate(padding, output_padding, amounts, output, relation, shift, _note(axis, relation, output, shift))


def _note(axis: Axis, relation: Relation, output: int, shift: int) -> str:
    """With SAME's shape, symmetric padding never starts later than SAME, nor a whole stride earlier."""
    if relation == "nothing":
        return f"output {output}, not {axis.output(axis.same)}" if output else "torch refuses: no output is left"
    if relation == "equal values":
        return ""
    distance = f"{shift} pixel{'s' * (shift > 1)} earlier"
    if axis.op == "conv":
        text = f"windows start {distance}: another sampling phase, no shift of the output mends it"
    else:
        text = f"everything lies {distance}: torch[i] = reference[i+{shift}]"
    return text + "; equal if kernel, input and output are flipped" * (relation == "equal in a mirror")
