"""Inputs of both networks, outputs of D and the moving average, in torch; twin of tf_impl/networks.py."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from shared_impl.config.systems import ModelConfig


class DiscriminatorOutput(NamedTuple):
    """Scores ``[B]``, or several of each image ``[B, S]``, and the class logits ``[B, K]`` of an auxiliary head."""

    scores: Tensor
    class_logits: Tensor | None = None


def network_inputs(model: ModelConfig, x: Tensor, labels: Tensor | None, grown: Tensor) -> tuple[Tensor | None, ...]:
    """The arguments of a network: ``x``, of a conditional system also classes ``[B]``, None for an auxiliary D, and of
    a growing one the weights ``[B, stages]`` of its stages.
    """
    return (x, *([labels] if model.labels else []), *([grown] if model.stages else []))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move EMA parameters towards a network's by ``1 - decay`` of the difference; copy its running statistics."""
    for mean, parameter in zip(average.parameters(), network.parameters(), strict=True):
        mean.add_(parameter - mean, alpha=1 - decay)
    for copy, statistic in zip(average.buffers(), network.buffers(), strict=True):
        copy.copy_(statistic)
