"""What a place between layers may compute: forms, families of forms, and whether one reproduces given values.

Plain NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from parity.numerics.difference import TINY, scale
from parity.numerics.tolerance import SLACK

Array = np.ndarray
# Two float64 computations of one function agree to about 1e-14, those of different functions differ by 1e-6 and more
# on a good probe: the limit stands in the geometric middle.
FIT = 1e-10
# Values that an operation answers in float32 (tf.image.resize, a cast) are reproduced to float32's unit roundoff, with
# the slack that float64 limits have.
FIT_FLOAT32 = SLACK * 2.0**-24
CORNER = 4  # places along each axis that are compared first
AXIS_NAMES = {
    2: ("batch", "features"),
    3: ("batch", "steps", "channels"),
    4: ("batch", "height", "width", "channels"),
    5: ("batch", "depth", "height", "width", "channels"),
}


@dataclass(frozen=True)
class Form:
    """One thing that can be computed from sources.

    Attributes:
        does: what it does, said after "the port" or "the reference".
        torch: how to do it in torch, said after "fix:".
        values: its values, computed when asked for.
        traits: what tells it from the other forms of its family, by name; the first that differs names the kind.
        fit: the relative limit of its family, where the frameworks hold constants of it in float32.
    """

    does: str
    torch: str
    values: Callable[[], Array]
    traits: Mapping[str, Any] = field(default_factory=dict)
    fit: float | None = None

    def reproduces(self, target: Target) -> bool:
        """Whether its values are those of the target."""
        try:
            with np.errstate(all="ignore"):
                return target.equals(self.values(), self.fit)
        except (ValueError, IndexError, FloatingPointError):
            return False


class Target:
    """Values to be reproduced, with the distance up to which float64 (or float32) arithmetic may differ."""

    def __init__(self, values: Array, fit: float | None = None):
        self.values = np.asarray(values, np.float64)
        self.given_fit = fit

    @property
    def shape(self) -> tuple[int, ...]:
        """The values' shape."""
        return self.values.shape

    @cached_property
    def fit(self) -> float:
        """The relative limit: the one given; else float32's where every value is one of float32, else float64's."""
        if self.given_fit is not None:
            return self.given_fit
        return FIT_FLOAT32 if held_in(self.values, np.float32) else FIT

    @cached_property
    def scale(self) -> float:
        """The largest finite magnitude."""
        return max(scale(self.values), TINY)

    @cached_property
    def finite(self) -> bool:
        """Whether no value is NaN or infinite."""
        return bool(np.isfinite(self.values).all())

    def equals(self, values: Array, fit: float | None = None) -> bool:
        """Whether ``values`` are these, infinities in the same places; ``fit`` overrules the relative limit."""
        if values.shape != self.shape:
            return False
        limit = (self.fit if fit is None else fit) * self.scale
        if self.finite:
            corner = (slice(0, CORNER),) * self.values.ndim
            if np.abs(values[corner] - self.values[corner]).max(initial=0.0) > limit:
                return False
            return bool(np.abs(values - self.values).max(initial=0.0) <= limit)
        same = (values == self.values) | (np.isnan(values) & np.isnan(self.values))
        return bool((same | (np.abs(values - self.values) <= limit)).all())


Sources = Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Family:
    """Forms of one subject, and the kind of finding that each trait in which two of them differ amounts to.

    Attributes:
        name: of the family, for tests.
        forms: the forms that can have a target's shape, most usual ones first.
        kinds: kind of finding by trait that both forms have; ``""`` is the kind where none differs.
        channelwise: every channel is computed by itself, so that a few suffice.
    """

    name: str
    forms: Callable[[Sources, Target], Iterator[Form]]
    kinds: Mapping[str, str]
    channelwise: bool = False

    def find(self, sources: Sources, target: Target) -> Form | None:
        """The first form that reproduces the target."""
        with np.errstate(all="ignore"):
            return next((form for form in self.forms(sources, target) if form.reproduces(target)), None)

    def kind(self, expected: Form, got: Form) -> str:
        """The kind of finding for two different forms."""
        for trait, kind in self.kinds.items():
            if trait in expected.traits and trait in got.traits and expected.traits[trait] != got.traits[trait]:
                return kind
        return self.kinds[""]


def unary(forms: Callable[[str, Array, Target], Iterator[Form]]) -> Callable[[Sources, Target], Iterator[Form]]:
    """The forms of one source, for each of several."""

    def all_forms(sources: Sources, target: Target) -> Iterator[Form]:
        for name, x in sources.items():
            yield from forms(name, x, target)

    return all_forms


def held_in(values: Array, dtype: Any) -> bool:
    """Whether rounding to ``dtype`` and back changes nothing."""
    with np.errstate(over="ignore"):
        return bool((values.astype(dtype).astype(np.float64) == values).all())


def axis_name(rank: int, axis: int) -> str:
    """What an axis of an array in the reference's layout is called."""
    names = AXIS_NAMES.get(rank)
    return names[axis] if names else f"axis {axis}"


def axis_names(rank: int, axes: tuple[int, ...]) -> str:
    """Several axes in words."""
    return " and ".join(axis_name(rank, axis) for axis in axes)


def torch_axis(rank: int, axis: int) -> int:
    """Where an axis of the reference's layout stands in torch's: channels second from images on, last in sequences."""
    return axis if axis == 0 or rank < 4 else 1 if axis == rank - 1 else axis + 1
