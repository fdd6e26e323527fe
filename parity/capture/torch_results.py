"""What every torch function gives while a module runs, also those that are no step: to find where values part."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves


class FunctionResults(TorchFunctionMode):
    """Within this context the floating results of torch functions are kept: those with one of ``sizes`` elements."""

    def __init__(self, sizes: Container[int]):
        super().__init__()
        self.sizes = sizes
        self.found: list[tuple[str, np.ndarray]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function and keep what it gives."""
        got = func(*args, **(kwargs or {}))
        for x in tree_leaves(got):
            if isinstance(x, torch.Tensor) and x.is_floating_point() and x.numel() in self.sizes:
                with torch._C.DisableTorchFunction():
                    self.found.append((_name(func), x.detach().double().cpu().numpy().copy()))
        return got


def _name(func: Any) -> str:
    name = getattr(func, "__name__", "") or str(resolve_name(func) or "")
    return name.strip("_") if name != "__get__" else "view"
