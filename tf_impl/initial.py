"""Weights that a run starts from, in Keras; twin of torch_impl/initial.py."""

from __future__ import annotations

import keras

from common.draws import Draws
from common.initial import kernel, scale


def initialise(network: keras.Model, scope: str, distribution: str, draws: Draws) -> None:
    """Draw every kernel and batch-norm scale of a chain by the name ``scope/layer``; biases stay zero."""
    for layer in network.layers:
        name = f"{scope}/{layer.name}"
        if hasattr(layer, "kernel"):
            layer.kernel.assign(kernel(draws, distribution, name, tuple(layer.kernel.shape)))
        elif hasattr(layer, "gamma"):
            layer.gamma.assign(scale(draws, distribution, name, tuple(layer.gamma.shape)))
