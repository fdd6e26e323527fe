"""Deep copies of a torch module in another precision, and which modules cannot be copied."""

from __future__ import annotations

import copy
import warnings
from types import CellType, FunctionType, MethodType
from typing import Any

import torch
from torch import nn

from parity.capture.torch_containers import run_anywhere
from parity.verdict import UnusableInput

DTYPES = {"float64": torch.float64, "float32": torch.float32}


def deep_copy(model: nn.Module, dtype: str, device: str = "cpu") -> nn.Module:
    """A deep copy on a device in float32 or float64, tensors that are plain attributes included.

    A ``forward`` replaced on an instance (``net.forward = lambda x: net.conv(x)``) calls the copy's layers, not the
    caller's.

    Raises:
        UnusableInput: the module cannot be copied.
    """
    memo: dict[int, Any] = {}
    for module in model.modules():  # deepcopy refuses what was computed, such as an older spectral norm's weight
        for value in vars(module).values():
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    parameters = list(model.parameters())  # held until all is copied, so that no other object takes their ids
    for parameter in parameters:
        if type(parameter) is nn.Parameter and parameter.is_leaf and parameter.is_floating_point():
            converted = parameter.detach().to(device=device, dtype=DTYPES[dtype], copy=True)
            memo[id(parameter)] = nn.Parameter(converted, parameter.requires_grad)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            twin = copy.deepcopy(model, memo).to(device=device, dtype=DTYPES[dtype])
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise UnusableInput(
            f"the torch module {type(model).__name__} cannot be deep-copied ({error}); "
            "verify measures on a copy so that yours stays untouched: make copy.deepcopy(module) work"
        ) from error
    run_anywhere(twin)
    for module in twin.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                vars(module)[name] = value.to(device=device, dtype=DTYPES[dtype])
            elif isinstance(value, FunctionType):
                vars(module)[name] = _with_copied_modules(value, memo)
    return twin


def validate_weights(model: nn.Module) -> None:
    """Reject modules whose weights have no values yet, or are held in half precision.

    Raises:
        UnusableInput: lazy layers, tensors on the meta device, or weights that are neither float32 nor float64.
    """
    held = [*model.named_parameters(), *model.named_buffers()]
    kind = type(model).__name__
    lazy = [name for name, x in held if nn.parameter.is_lazy(x)]
    if lazy:
        raise UnusableInput(
            f"the torch module {kind} has lazy layers without weights yet ({', '.join(lazy)}): "
            "run it once on a sample before verifying"
        )
    meta = [name for name, x in held if x.is_meta]
    if meta:
        raise UnusableInput(f"the torch module {kind} is on the meta device and holds no values ({', '.join(meta)})")
    quantised = [name for name, x in held if x.is_quantized]
    quantised += [name for name, module in model.named_modules() if ".quantized" in type(module).__module__]
    if quantised:
        raise UnusableInput(
            f"the torch module {kind} holds quantised weights ({', '.join(quantised)}), into which no weight can be "
            "copied: hand over the module before it was quantised"
        )
    half = [(name, x.dtype) for name, x in held if x.is_floating_point() and x.dtype not in DTYPES.values()]
    if half:
        raise UnusableInput(
            f"the torch module {kind} holds {half[0][1]} weights ({half[0][0]} and {len(half) - 1} more), in which "
            "no float32 weight survives: verify or copy before .half(), or hand over module.float()"
        )


def _with_copied_modules(function: FunctionType, memo: dict[int, Any]) -> FunctionType:
    """The function with every module that it refers to replaced by its copy."""
    used = {name: function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__}
    moved = {name: _with_copies(value, memo) for name, value in used.items()}
    cells = tuple(CellType(_with_copies(cell.cell_contents, memo)) for cell in function.__closure__ or ())
    twin = FunctionType(
        function.__code__,
        {**function.__globals__, **moved},
        function.__name__,
        function.__defaults__,
        cells or None,
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


def _with_copies(value: Any, memo: dict[int, Any]) -> Any:
    if isinstance(value, MethodType) and isinstance(value.__self__, nn.Module):
        return MethodType(value.__func__, _with_copies(value.__self__, memo))
    if isinstance(value, FunctionType) and value.__closure__:
        return _with_copied_modules(value, memo)
    return memo.get(id(value), value) if isinstance(value, nn.Module) else value
