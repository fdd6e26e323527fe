"""Keras models that work channels first: judged like any other, computed channels last where the CPU has no kernel."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras import layers as L
from torch import nn

import parity

FIRST = {"data_format": "channels_first"}


def reference():
    """Convolutions of every kind, pooling, normalisation, resizing and a Flatten; ``[N, C, H, W]`` throughout.

    No width equals the number of channels: Keras 3.15 then adds a bias along the width
    (``keras/src/backend/tensorflow/numpy.py``, ``add``).
    """
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((3, 9, 10)),
            L.Conv2D(4, 3, strides=2, padding="same", name="conv", **FIRST),
            L.BatchNormalization(axis=1, name="norm"),
            L.ReLU(),
            L.DepthwiseConv2D(3, padding="same", name="depthwise", **FIRST),
            L.MaxPooling2D(2, name="pool", **FIRST),
            L.Conv2DTranspose(2, 4, strides=2, padding="same", name="up", **FIRST),
            L.UpSampling2D(2, name="nearest", **FIRST),
            L.Flatten(**FIRST),
            L.Dense(5, name="head"),
        ]
    )


def port(mode: str = "nearest"):
    """Its twin; the sizes are 9 x 10, 5 x 5, 2 x 2, 4 x 4, 8 x 8."""
    return nn.Sequential(
        nn.ZeroPad2d((0, 1, 1, 1)),
        nn.Conv2d(3, 4, 3, stride=2),
        nn.BatchNorm2d(4, eps=1e-3, momentum=0.01),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.MaxPool2d(2),
        nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1),
        nn.Upsample(scale_factor=2, mode=mode),
        nn.Flatten(),
        nn.Linear(128, 5),
    )


def test_a_faithful_port_passes_on_every_rung():
    verdict = parity.verify(reference(), port())
    assert verdict.faithful_for == "training", verdict.to_text()
    assert verdict.coverage.judged == verdict.coverage.total


def test_a_fault_is_named_where_it_is():
    verdict = parity.verify(reference(), port("bilinear"))
    assert [(one.kind, one.reference_layer) for one in verdict.findings if "known" not in one.message] == [
        ("resize-mode", "nearest")
    ], verdict.to_text()


def test_inputs_stand_in_the_layout_of_the_reference():
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 10)).astype("float32")
    assert parity.verify(reference(), port(), x).passed
    with pytest.raises(parity.UnusableInput, match="does not accept inputs"):
        parity.verify(reference(), port(), x.transpose(0, 2, 3, 1))


def test_weights_are_copied():
    keras_model, torch_model = reference(), port().eval()
    parity.copy_to_torch(keras_model, torch_model)
    x = np.random.default_rng(1).standard_normal((2, 3, 9, 10)).astype("float32")
    with torch.no_grad():
        got = torch_model(torch.from_numpy(x)).numpy()
    expected = np.asarray(keras_model(x, training=False))
    rounding = np.abs(expected).max() * 2.0**-24 * 128  # of sums of 128 products
    assert np.abs(got - expected).max() <= rounding


def test_both_formats_in_one_model_are_refused():
    mixed = keras.Sequential(
        [keras.Input((4, 4, 4)), L.Conv2D(4, 1, name="last"), L.Conv2D(4, 1, name="first", **FIRST)]
    )
    with pytest.raises(parity.UnusableInput, match="mixes both data formats"):
        parity.verify(mixed, nn.Conv2d(4, 4, 1))
