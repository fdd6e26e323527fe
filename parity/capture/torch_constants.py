"""Constants of a torch module: what enters its functions beside inputs, parameters and what was computed of them."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from parity.numerics.constants import KnownConstants

# Functions in which an integer is a number like any other, not a size or an axis.
ARITHMETIC = {"div", "true_divide", "truediv", "rtruediv", "mul", "rmul"}


class Constants:
    """Replaces the constants of one run by those that are known, where float32 lies between the two."""

    def __init__(self, known: KnownConstants, model: nn.Module, inputs: list[torch.Tensor]):
        self.known = known
        self._computed: dict[int, weakref.ref] = {}
        self._mark([*inputs, *model.parameters()])

    def exchanged(self, function: Any, tree: Any) -> Any:
        """The arguments of a function with known constants in place of its own."""
        integers = getattr(function, "__name__", "").strip("_") in ARITHMETIC
        return tree_map(lambda x: self._exchange(float(x) if integers and type(x) is int else x), tree)

    def mark(self, arguments: Any, results: Any) -> None:
        """Note a function's results as computed, unless it made a constant."""
        if any(isinstance(x, torch.Tensor) and self._is_computed(x) for x in tree_leaves(arguments)):
            self._mark(tree_leaves(results))

    def _exchange(self, x: Any) -> Any:
        if type(x) is float:
            return self.known.number(x)
        if not isinstance(x, torch.Tensor) or not x.is_floating_point() or self._is_computed(x) or not x.numel():
            return x
        with torch._C.DisableTorchFunction():
            own = x.detach().cpu().numpy()
            value = self.known.array(own)
            return x if (value == own).all() else torch.tensor(value, dtype=torch.float64).to(x.device)

    def _mark(self, computed: list[Any]) -> None:
        self._computed |= {id(x): weakref.ref(x) for x in computed if isinstance(x, torch.Tensor)}

    def _is_computed(self, x: torch.Tensor) -> bool:
        known = self._computed.get(id(x))
        return known is not None and known() is x
