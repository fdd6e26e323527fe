"""Inputs of both networks, outputs of D and the moving average, in TensorFlow; twin of torch_impl/networks.py."""

from __future__ import annotations

from typing import NamedTuple

import keras
from tensorflow import Tensor

from shared_impl.config.systems import ModelConfig


class DiscriminatorOutput(NamedTuple):
    """Scores ``[B]``, or several of each image ``[B, S]``, and the class logits ``[B, K]`` of an auxiliary head."""

    scores: Tensor
    class_logits: Tensor | None = None


def network_inputs(model: ModelConfig, x: Tensor, labels: Tensor | None, grown: Tensor) -> Tensor | list[Tensor]:
    """The inputs of a network: ``x``, of a conditional system also classes ``[B]``, None for an auxiliary D, and of
    a growing one the weights ``[B, stages]`` of its stages.
    """
    conditional = model.labels and labels is not None
    inputs = [x, *([labels] if conditional else []), *([grown] if model.stages else [])]
    return inputs if len(inputs) > 1 else x


def update_average(average: keras.Model, network: keras.Model, decay: float) -> None:
    """Move EMA parameters towards a network's by ``1 - decay`` of the difference; copy its running statistics."""
    for mean, parameter in zip(average.trainable_variables, network.trainable_variables, strict=True):
        mean.assign_add((1 - decay) * (parameter - mean))
    for copy, statistic in zip(average.non_trainable_variables, network.non_trainable_variables, strict=True):
        copy.assign(statistic)
