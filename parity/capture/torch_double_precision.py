"""Torch functions in a float64 run: none rounds to float32 because a constant or a cast says float32."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils._pytree import tree_any, tree_map

FLOAT32_ROUNDING = 2.0**-24
FAR = 40.0  # log(1 + exp(-x)) / x is below float64's rounding from here on


def _softplus(input: torch.Tensor, beta: float = 1.0, threshold: float = 20.0) -> torch.Tensor:
    """Softplus without the straight line beyond ``threshold``, where it is exact in float32 alone."""
    exact = threshold > 0 and math.exp(-threshold) / threshold <= FLOAT32_ROUNDING
    return F.softplus(input, beta, max(threshold, FAR) if exact else threshold)


# Kernels that are exact in float32 alone: a backward pass that holds a float32 constant even in float64
# (ATen/native/cpu/Activation.cpp: 1.0f / 6.0f); a function cut off where float32 does not show it.
EXACT_SUBSTITUTES: dict[str, Callable[..., torch.Tensor]] = {
    "hardsigmoid": lambda input, inplace=False: F.relu6(input + 3) / 6,
    "hardswish": lambda input, inplace=False: input * F.relu6(input + 3) / 6,
    "softplus": _softplus,
}
WIDER: dict[Any, Any] = {
    torch.float32: torch.float64,
    torch.complex64: torch.complex128,
    "torch.FloatTensor": "torch.DoubleTensor",
    torch.FloatTensor: torch.DoubleTensor,
}
WIDE = (torch.float64, torch.complex128)
METHODS: dict[Any, Any] = {torch.Tensor.float: torch.Tensor.double}
# Functions that hand a constant of float32 to the network as it is.
CONSTANTS = {torch.tensor, torch.as_tensor, torch.from_numpy, torch.asarray}


def double_precision(func: Any, args: Any, kwargs: Any) -> tuple[Any, Any, Any]:
    """A call that asks for float32 by name, or hands float32 constants to a float64 network, made in float64.

    Tensors of integers and of half precision are left as they are.
    """
    moved = tuple(_renamed(x) for x in args)
    named = {key: _renamed(x) for key, x in kwargs.items()}
    if func in CONSTANTS:
        return (lambda *given, **settings: _widened(func(*given, **settings))), moved, named
    if tree_any(_narrow, (moved, named)) and tree_any(_wide, (moved, named)) and not _in_place(func):
        moved, named = tree_map(_widened, (moved, named))
    return METHODS.get(func, func), moved, named


def _renamed(x: Any) -> Any:
    return WIDER.get(x, x) if isinstance(x, (torch.dtype, str, type(torch.FloatTensor))) else x


def _narrow(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.dtype in WIDER


def _wide(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.dtype in WIDE


def _widened(x: Any) -> Any:
    return x.to(WIDER[x.dtype]) if _narrow(x) else x


def _in_place(func: Any) -> bool:
    """Whether a function writes into its first argument, which must stay the tensor that it is."""
    name = getattr(func, "__name__", "")
    return name.endswith("_") and not name.endswith("__") or name in ("__setitem__", "__iadd__", "__imul__", "__isub__")
