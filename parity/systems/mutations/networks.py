"""Fresh pairs by name: the small library-like networks, and this project's own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch
from torch import nn

from parity.systems.mutations import keras_networks, torch_networks
from parity.systems.network_pair import NetworkPair
from parity.systems.selection import select

SMALL = ("ResNet", "MobileNet", "DenseNet", "UNet", "Inception", "ConvNeXt", "Spectrogram", "Embedding")


def build(network: str) -> tuple[Any, nn.Module]:
    """A reference and its faithful port; a small network's name, or command-line words that select a pair."""
    if network in SMALL:
        torch.manual_seed(0)
        reference = getattr(keras_networks, network)().build()
        spread(reference)
        return reference, getattr(torch_networks, network)()
    (pair,) = select(network.split())
    assert isinstance(pair, NetworkPair)
    return pair.build()


def spread(model: keras.Model) -> None:
    """Weights that hide nothing: no zero bias, no unit variance, means of both signs."""
    draw = np.random.default_rng(0)
    for variable in model.weights:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(draw.uniform(0.5, 1.8, variable.shape))
        elif "seed" not in variable.name:
            variable.assign(draw.standard_normal(variable.shape) * 0.4)
