"""NumPy's view of what a torch module computes: copied only where something writes into it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import numpy as np
import torch
from torch import nn


class Views:
    """Arrays that share the memory of tensors, for as long as no tensor is seen to be written into later in its run.

    A network at full size makes gigabytes of values, and few modules compute in place.
    """

    def __init__(self) -> None:
        self._copying = False
        self._seen: list[tuple[torch.Tensor, int]] = []

    def of(self, module: nn.Module) -> Callable[[torch.Tensor], np.ndarray]:
        """What turns the tensors of one run of the module into arrays; its own weights and statistics are copied."""
        self._seen.clear()
        own = {x.untyped_storage().data_ptr() for x in chain(module.parameters(), module.buffers())}

        def view(tensor: torch.Tensor) -> np.ndarray:
            x = tensor.detach().cpu()
            if self._copying or x.is_inference() or x.untyped_storage().data_ptr() in own:
                return x.numpy().copy()
            self._seen.append((x, x._version))
            return x.numpy()

        return view

    def spoiled(self) -> bool:
        """Whether the run has written into what it was seen to compute; from then on everything is copied."""
        spoiled = any(x._version != version for x, version in self._seen)
        self._seen.clear()
        self._copying |= spoiled
        return spoiled
