"""Normalisation and pooling layers of Keras beside torch's and the implementations' own."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.systems.chains import Twins, relative_error, to_numpy
from parity.systems.claims.measures.registry import Figures, measure

CHANNELS = 8


@measure("own_variance <= AGREE")
def stock_batch_norm(twins: Twins, chain: str) -> Figures:
    """Keras's stock batch norm and our own after one batch, against torch's: relative errors of values and variance."""
    import keras
    from torch import nn

    from tf_impl.layers import precision

    x, norm = 2 + 0.05 * twins.batch(4, 8, 3, 3), nn.BatchNorm2d(8).double()
    expected, own = to_numpy(norm(x)), twins[chain].layers("BatchNorm")[0]
    found: Figures = {"epsilon": float(own.epsilon), "momentum": float(own.momentum)}
    with precision("float64"):
        layers = keras.layers.BatchNormalization(), type(own)(momentum=own.momentum, epsilon=own.epsilon)
        for name, layer in zip(("stock", "own"), layers, strict=True):
            found[name] = relative_error(layer(to_numpy(x), training=True), expected)
            found[f"{name}_variance"] = relative_error(np.asarray(layer.moving_variance), norm.running_var)
    return found


@measure("own <= AGREE")
def halved_images(twins: Twins) -> Figures:
    """``AvgPool2d(3, 2, 1)``, Keras's SAME pooling and our Keras network's: corners of a constant, relative errors."""
    import keras
    from torch import nn

    from tf_impl import conditional_dcgan
    from tf_impl.layers import precision

    ones, noise, pool = twins.batch(1, 1, 8, 8) * 0 + 1, to_numpy(twins.batch(2, 3, 8, 8)), nn.AvgPool2d(3, 2, 1)
    expected = to_numpy(pool(twins.batch(2, 3, 8, 8)))
    with precision("float64"):
        same = keras.layers.AveragePooling2D(3, 2, "same")
        corners = [float(np.asarray(side)[0, 0, 0, 0]) for side in (to_numpy(pool(ones)), same(to_numpy(ones)))]
        own = relative_error(conditional_dcgan._half(1, keras.ops.convert_to_tensor(noise)), expected)
        return {"corners": corners, "same": relative_error(same(noise), expected), "own": own}


@measure("own <= 1e-6")
def stock_spectral_norm(twins: Twins) -> Figures:
    """Keras's stock wrapper and our layer: errors of the kernel's gradient by torch's, and how far a call moves it."""
    import tensorflow as tf
    from keras.layers import Dense, SpectralNormalization

    from tf_impl.layers import precision
    from tf_impl.spectral_norm import SpectralDense

    x, kernel = twins.batch(5, 6).numpy(), twins.batch(6, CHANNELS, place=1).numpy()
    expected, found = _torch_gradient(x, kernel), Figures()
    for name in ("stock", "own"):
        with precision("float64"):
            layer: Any = SpectralNormalization(Dense(CHANNELS)) if name == "stock" else SpectralDense(CHANNELS)
            layer.build((None, 6))
            inner = layer.layer if name == "stock" else layer
            for _ in range(50):  # both have found the largest singular value
                inner.kernel.assign(kernel)
                layer(x, training=True)
            inner.kernel.assign(kernel)
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(layer(x, training=True)))
            gradient = tape.gradient(loss, inner.kernel.value)
        found |= {name: relative_error(gradient, expected), f"{name}_moves": relative_error(inner.kernel, kernel)}
    return found


def _torch_gradient(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    import torch

    from torch_impl.spectral_norm import SpectralDense

    layer: Any = SpectralDense(6, CHANNELS).double()
    original = layer.parametrizations.weight.original
    original.data = torch.from_numpy(kernel.T.copy())
    layer.bias.data.zero_()
    for _ in range(50):
        layer.train()(torch.from_numpy(x))
    layer(torch.from_numpy(x)).square().sum().backward()
    return original.grad.numpy().T
