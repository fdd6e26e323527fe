"""What the port holds beside what a right copy of the reference's weights would be. Plain NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from parity.capture.adapter import ModelAdapter
from parity.match.alignment import Match, Matching
from parity.numerics.copies import equal
from parity.numerics.weight_axes import WeightTransform
from parity.transfer.mismatches import NEUTRAL, Conflict
from parity.transfer.model_layouts import Layouts

Array = np.ndarray
# A conversion that computes (multiplies by a factor and divides by it again) rounds twice, by 2^-24 at most each time.
TWO_ROUNDINGS = 2.0**-23


@dataclass(frozen=True)
class Parameter:
    """One parameter of a matched pair of layers.

    Attributes:
        value: the reference's, in its own layout and precision.
        held: the port's, in its own.
        transform: how the one becomes the other.
        shared_with: further layers whose parameter is the same variable in the reference and another in the port.
    """

    match: Match
    slot: str
    value: Array
    held: Array
    transform: WeightTransform
    shared_with: tuple[Match, ...] = ()

    @property
    def right(self) -> Array:
        """The reference's value as the port should hold it."""
        return self.transform.torch_view(self.slot, self.value)

    @property
    def attribute(self) -> str:
        """The name of the parameter within the port's layer, such as ``weight``."""
        return attribute_of(self.match, self.slot)


@dataclass(frozen=True)
class HeldWeights:
    """Every parameter that both sides have: all of them, the wrong ones, and the right ones that were rounded.

    ``unneutral`` are scales and offsets that a normalisation of the port alone has, and that change what it computes.
    """

    parameters: tuple[Parameter, ...] = ()
    wrong: tuple[Parameter, ...] = ()
    rounded: tuple[Parameter, ...] = ()
    unneutral: tuple[tuple[Match, str], ...] = ()

    @property
    def wrong_slots(self) -> set[tuple[str, str]]:
        """``(reference layer, parameter)`` of the wrong ones."""
        return {(parameter.match.key, parameter.slot) for parameter in self.wrong}


def held_weights(
    reference: ModelAdapter, port: ModelAdapter, matching: Matching, layouts: Layouts, conflicts: Sequence[Conflict]
) -> HeldWeights:
    """Compare what the port holds with the right copy, bit for bit in the port's own precision.

    Parameters without a counterpart of the right shape are left out, and those that only the port shares; those that
    only the reference shares are compared.
    """
    blocked = {key for conflict in conflicts if conflict.shared != "reference" for key in conflict.keys}
    pairs = [
        (match, slot)
        for match in matching.matches
        for slot in match.reference.shapes
        if slot in match.port.shapes and (match.key, slot) not in blocked
    ]
    holders: dict[int, dict[int, tuple[Match, str]]] = {}
    for match, slot in pairs:
        variables = reference.variable_id(match.reference, slot), port.variable_id(match.port, slot)
        holders.setdefault(variables[0], {}).setdefault(variables[1], (match, slot))
    found: list[Parameter] = []
    wrong: list[Parameter] = []
    rounded: list[Parameter] = []
    for match, slot in (pair for copies in holders.values() for pair in copies.values()):
        others = holders[reference.variable_id(match.reference, slot)].values()
        copies = tuple(one for one, _ in others if one is not match)
        values = reference.read(match.reference, slot), port.read(match.port, slot)
        parameter = Parameter(match, slot, *values, layouts.weight_transform(match), copies)
        found.append(parameter)
        if not equal(parameter.held, cast(parameter.right, parameter.held.dtype)):
            (rounded if same_but_for_rounding(parameter.held, parameter.right) else wrong).append(parameter)
    unneutral = [
        (match, slot)
        for match in matching.matches
        for slot in ("gamma", "beta")
        if slot in match.port.shapes and slot not in match.reference.shapes
        if not (port.read(match.port, slot) == NEUTRAL[slot]).all()
    ]
    return HeldWeights(tuple(found), tuple(wrong), tuple(rounded), tuple(unneutral))


def attribute_of(match: Match, slot: str) -> str:
    """The name of a parameter within the port's layer, such as ``weight``."""
    return str(match.port.handle[slot]).rpartition(".")[2]


def same_but_for_rounding(got: Array, expected: Array) -> bool:
    """Whether all values agree within two roundings in float32."""
    a, b = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    return a.shape == b.shape and bool((np.abs(a - b) <= TWO_ROUNDINGS * np.maximum(np.abs(a), np.abs(b))).all())


def cast(array: Array, dtype: np.dtype) -> Array:
    """The array in another precision; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return array.astype(dtype, copy=False)
