"""NumPy views of a torch module's outputs, copied only if the module overwrites them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from parity.capture.torch_recording import tensors

BOOKKEEPING = frozenset(vars(nn.Module())) - {"_parameters", "_buffers"}


class Views:
    """Converts the tensors of one run to arrays that share their memory, unless the module writes into them later.

    A network at full size makes gigabytes of values, and few modules compute in place.
    """

    def __init__(self) -> None:
        self._copying = False
        self._viewed: list[tuple[torch.Tensor, int]] = []

    def begin(self) -> None:
        """Start a new run; views of one that failed are forgotten."""
        self._viewed.clear()

    def __call__(self, tensor: torch.Tensor) -> np.ndarray:
        """The tensor's current values."""
        x = tensor.detach().cpu()
        if self._copying or x.is_inference():
            return x.numpy().copy()
        self._viewed.append((x, x._version))
        return x.numpy()

    def overwritten(self, module: nn.Module) -> bool:
        """Whether the run has written into a viewed tensor, or the module keeps one: the run must be repeated.

        From then on every tensor is copied.
        """
        kept = _kept_storages(module)
        overwritten = any(x._version != version or _storage(x) in kept for x, version in self._viewed)
        self._viewed.clear()
        self._copying |= overwritten
        return overwritten


def _kept_storages(module: nn.Module) -> set[int]:
    """Storages of tensors that outlive a run: weights, statistics, and whatever else modules keep as attributes."""
    kept = [value for part in module.modules() for name, value in vars(part).items() if name not in BOOKKEEPING]
    return {_storage(x) for x in tensors(kept)}


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
