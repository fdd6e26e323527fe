"""NumPy's view of what a torch module computes: copied only where something writes into it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from parity.capture.torch_recording import tensors

BOOKKEEPING = frozenset(vars(nn.Module())) - {"_parameters", "_buffers"}


class Views:
    """Arrays that share the memory of the tensors of a module's run, as long as nothing can write into them later.

    A network at full size makes gigabytes of values, and few modules compute in place.
    """

    def __init__(self) -> None:
        self._copying = False
        self._seen: list[tuple[torch.Tensor, int]] = []

    def begin(self) -> None:
        """Another run: what was seen of one that came to no end does not count."""
        self._seen.clear()

    def __call__(self, tensor: torch.Tensor) -> np.ndarray:
        """What a tensor holds now."""
        x = tensor.detach().cpu()
        if self._copying or x.is_inference():
            return x.numpy().copy()
        self._seen.append((x, x._version))
        return x.numpy()

    def spoiled(self, module: nn.Module) -> bool:
        """Whether the module's run has written into what was seen of it, or has kept that: it is to be taken again.

        From then on everything is copied.
        """
        kept = _held(module)
        spoiled = any(x._version != version or _place(x) in kept for x, version in self._seen)
        self._seen.clear()
        self._copying |= spoiled
        return spoiled


def _held(module: nn.Module) -> set[int]:
    """Where the tensors are that outlive a run: weights, statistics, and whatever else modules keep."""
    kept = [value for part in module.modules() for name, value in vars(part).items() if name not in BOOKKEEPING]
    return {_place(x) for x in tensors(kept)}


def _place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
