"""Offsets and scales that a module keeps beside a layer: ``norm(x) + self.offset`` is one layer in two lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from parity.capture.steps import NORMS, Step
from parity.capture.weight_views import WeightViews, spread

# An operation that changes a parameter's shape at most.
VIEWS = ("getitem", "view", "reshape", "unsqueeze", "expand", "view_as", "to", "float", "double", "contiguous")
KERNELS = ("conv", "conv-transpose", "dense")
SUMS, PRODUCTS = ("add", "radd", "iadd"), ("mul", "rmul", "imul", "multiply")
OWN: dict[str, str] = {**dict.fromkeys(SUMS, "offset"), **dict.fromkeys(PRODUCTS, "scale")}
"""Slots of a step that does nothing else."""
SLOTS: dict[str, dict[str, str]] = {
    **{word: {**dict.fromkeys(NORMS, "beta"), **dict.fromkeys(KERNELS, "bias"), "affine": "offset"} for word in SUMS},
    **{word: dict.fromkeys(NORMS, "gamma") for word in PRODUCTS},
}
SETTINGS = {"beta": "center", "gamma": "scale", "bias": "bias"}


@dataclass(frozen=True)
class Completion:
    """A parameter of ``size`` values that belongs to ``slot`` of a step."""

    step: Step
    slot: str
    name: str
    size: int


@dataclass
class SeparateAffine:
    """Follows the parameters in ``held`` (names by identity) through changes of shape, during one run."""

    held: dict[int, str]
    _views: WeightViews[str] = field(default_factory=WeightViews)

    def follow(self, word: str, given: list[torch.Tensor], got: Any) -> None:
        """Remember the result of an operation that only changes a parameter's shape."""
        name = self._name(given[0]) if word in VIEWS and given else ""
        if name and isinstance(got, torch.Tensor) and got.numel() == given[0].numel():
            self._views.add(got, name)

    def applied(self, word: str, given: list[torch.Tensor]) -> tuple[str, str, torch.Tensor] | None:
        """``(slot, parameter, x)`` of an operation that applies a parameter of its own to ``x``; None of any other."""
        if word not in OWN or len(given) != 2:
            return None
        names = [self._name(x) for x in given]
        if bool(names[0]) == bool(names[1]):
            return None
        weight, x = given if names[0] else given[::-1]
        if not spread(weight.shape, x.shape, (1, x.ndim - 1)):
            return None
        return OWN[word], names[0] or names[1], x

    def completes(self, step: Step | None, latest: Any, word: str, given: list[torch.Tensor]) -> Completion | None:
        """The parameter that an operation applies to ``latest``, the output of ``step``; None if it applies none.

        The layer must have no such parameter yet, and one value a feature must be applied along its channels.
        """
        slot = SLOTS.get(word, {}).get(step.kind, "") if step is not None else ""
        if step is None or not slot or len(given) != 2 or not any(x is latest for x in given):
            return None
        other = given[1] if given[0] is latest else given[0]
        name = self._name(other)
        later = slot == "gamma" and "beta" in step.shapes
        if not name or later or slot in step.shapes or not spread(other.shape, latest.shape, _channels(step, latest)):
            return None
        if other.numel() == 1 and step.kind != "affine":
            return None
        return Completion(step, slot, name, other.numel())

    def attach(self, completion: Completion) -> None:
        """Make the parameter one of the step's."""
        step, slot = completion.step, completion.slot
        step.shapes[slot] = (completion.size,)
        step.handle[slot] = completion.name
        if slot in SETTINGS:
            step.attributes[SETTINGS[slot]] = True

    def _name(self, tensor: torch.Tensor) -> str:
        return self._views.of(tensor) or self.held.get(id(tensor), "")


def _channels(step: Step, output: torch.Tensor) -> tuple[int, ...]:
    """The axes of a step's output that may be its channels."""
    if step.kind == "affine":
        return 1, output.ndim - 1
    return (output.ndim - 1 if step.kind in ("dense", "layernorm") or output.ndim < 3 else 1,)
