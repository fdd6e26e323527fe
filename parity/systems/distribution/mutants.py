"""Trainers that are right on one device and broken on many: what the rung distribution must catch."""

from __future__ import annotations

from typing import Any

from torch_impl.trainer import Inputs, Trainer


class Unshared(Trainer):
    """Lets every device keep its own gradients."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.joined = {network: network for network in self.joined}


class AllTheFirst(Trainer):
    """Draws the first device's latents and mixing weights on every device."""

    def draw_inputs(self, step: int, update: int) -> Inputs:
        """The inputs of an update, the first device's on each."""
        process, self.replicas.process = self.replicas.process, 0
        inputs = super().draw_inputs(step, update)
        self.replicas.process = process
        return inputs
