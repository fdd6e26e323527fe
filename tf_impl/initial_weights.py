"""Initial values given to a network's parameters, in Keras; twin of torch_impl/initial_weights.py."""

from __future__ import annotations

import keras
from keras.layers import BatchNormalization, Embedding

from shared_impl.draws import Draws
from shared_impl.training.initial_weights import (
    attention_gain,
    bias,
    embedding,
    kernel,
    scale,
    singular_vectors,
)
from tf_impl.layers import layers_in


def initialise(network: keras.Model, scope: str, distribution: str, draws: Draws) -> None:
    """Draw every kernel, embedding and batch-norm scale by its path ``scope/layer``; biases become zero.

    Layers in layers have longer paths (``scope/attention_0/query``), and start with their ``gamma`` at zero.
    """
    for name, layer in layers_in(network, f"{scope}/"):
        if hasattr(layer, "kernel"):
            drawn = kernel(draws, distribution, name, tuple(layer.kernel.shape))
            layer.kernel.assign(drawn)
            if hasattr(layer, "u"):
                u, v = singular_vectors(draws, name, drawn, layer.outputs)
                layer.u.assign(u)
                layer.v.assign(v)
        elif isinstance(layer, Embedding):
            layer.embeddings.assign(embedding(draws, distribution, name, tuple(layer.embeddings.shape)))
        elif isinstance(layer, BatchNormalization):
            layer.gamma.assign(scale(draws, distribution, name, tuple(layer.gamma.shape)))
        elif hasattr(layer, "gamma"):
            layer.gamma.assign(attention_gain(tuple(layer.gamma.shape)))
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(bias(tuple(layer.bias.shape)))
