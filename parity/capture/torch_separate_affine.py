"""Offsets and scales that a module keeps beside a layer: ``norm(x) + self.offset`` is one layer in two lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from parity.capture.steps import Step

# An operation that changes a parameter's shape at most.
VIEWS = ("getitem", "view", "reshape", "unsqueeze", "expand", "view_as", "to", "float", "double", "contiguous")
NORMS = ("batchnorm", "layernorm", "groupnorm")
KERNELS = ("conv", "conv-transpose", "dense")
SLOTS: dict[str, dict[str, str]] = {
    **{word: {**dict.fromkeys(NORMS, "beta"), **dict.fromkeys(KERNELS, "bias")} for word in ("add", "radd", "iadd")},
    **{word: dict.fromkeys(NORMS, "gamma") for word in ("mul", "rmul", "imul", "multiply")},
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
    _views: dict[int, tuple[torch.Tensor, str]] = field(default_factory=dict)

    def follow(self, word: str, given: list[torch.Tensor], got: Any) -> None:
        """Remember the result of an operation that only changes a parameter's shape."""
        name = self._name(given[0]) if word in VIEWS and given else ""
        if name and isinstance(got, torch.Tensor) and got.numel() == given[0].numel():
            self._views[id(got)] = got, name

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
        if not name or later or slot in step.shapes or not _along_channels(step, latest, other):
            return None
        return Completion(step, slot, name, other.numel())

    def attach(self, completion: Completion) -> None:
        """Make the parameter one of the step's."""
        step, slot = completion.step, completion.slot
        step.shapes[slot] = (completion.size,)
        step.handle[slot] = completion.name
        step.attributes[SETTINGS[slot]] = True

    def _name(self, tensor: torch.Tensor) -> str:
        known = self._views.get(id(tensor))
        return known[1] if known is not None else self.held.get(id(tensor), "")


def _along_channels(step: Step, output: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether a parameter holds one value for each channel of an output, and is broadcast along that axis."""
    last = step.kind in ("dense", "layernorm") or output.ndim < 3
    axis = output.ndim - 1 if last else 1
    place = axis - (output.ndim - other.ndim)
    return output.ndim > 1 and place >= 0 and other.numel() == other.shape[place] == output.shape[axis]
