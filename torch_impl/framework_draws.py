"""torch's own generator in place of a run's draws; twin of tf_impl/framework_draws.py."""

from __future__ import annotations

import numpy as np
import torch

from shared_impl.draws import Draws

Array = np.ndarray


class FrameworkDraws(Draws):
    """What a network starts from that is built outside a run, as ``torch.manual_seed`` has it.

    Purposes and counters mean nothing: every draw is a new one. Values are of torch's default type.
    """

    def __init__(self) -> None:
        super().__init__(0)

    def uniform(self, purpose: str, shape: tuple[int, ...], *counters: int) -> Array:
        """U[0, 1) of that shape."""
        return torch.rand(shape, device="cpu").numpy()

    def normal(self, purpose: str, shape: tuple[int, ...], *counters: int) -> Array:
        """N(0, 1) of that shape."""
        return torch.randn(shape, device="cpu").numpy()
