"""Modules around a module: what they hold is compared, under the names that it has there.

Compiled modules and data parallel ones are taken off, exported programs give their module, and scripted or traced
modules run as :class:`parity.capture.torch_script.Scripted`, where hooks and functions can be observed.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from parity.capture.torch_script import Scripted

# class name -> where it holds the module: by name, so that neither the compiler nor distribution is imported
WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}


def is_module(model: Any) -> bool:
    """Whether this is something that :func:`plain_module` makes a module of."""
    return isinstance(model, (nn.Module, ExportedProgram))


def plain_module(model: Any) -> nn.Module:
    """The module without wrappers, itself or at any depth; parameters and buffers are shared with ``model``."""
    if isinstance(model, ExportedProgram):
        model = model.module()
    inner = WRAPPERS.get(type(model).__name__)
    if inner is not None and isinstance(getattr(model, inner, None), nn.Module):
        return plain_module(getattr(model, inner))
    if isinstance(model, torch.jit.ScriptModule):
        return Scripted(model)
    if not any(_wrapped(module) for module in model.modules()):
        return model
    twin = copy.copy(model)
    vars(twin)["_modules"] = {name: m if m is None else plain_module(m) for name, m in model._modules.items()}
    return twin


def run_anywhere(model: nn.Module) -> None:
    """Let a copy run eagerly on any batch: without ``module.compile()``, and without the guards of an export."""
    for module in model.modules():
        if getattr(module, "_compiled_call_impl", None) is not None:
            module._compiled_call_impl = None
        if type(module._modules.get("_guards_fn")).__name__ == "GuardsFn":
            module._modules["_guards_fn"] = _Unguarded()


class _Unguarded(nn.Module):
    def forward(self, *inputs: Any) -> None:
        """Check nothing."""


def _wrapped(module: nn.Module) -> bool:
    return type(module).__name__ in WRAPPERS or isinstance(module, torch.jit.ScriptModule)
