"""Initial weights: the same in both implementations without any being copied, distributed as their names say."""

from __future__ import annotations

import math

import numpy as np
import pytest

import parity
import tf_impl
import tf_impl.initial_weights
import torch_impl
import torch_impl.initial_weights
from shared_impl.config.presets import load
from shared_impl.draws import Draws
from shared_impl.training.initial_weights import kernel, scale


@pytest.mark.parametrize("network", ["generator", "discriminator"])
@pytest.mark.parametrize(
    ("preset", "overrides"),
    [
        ("specgan_tiny", []),
        ("specgan_tiny", ["model.use_batchnorm=true", "model.init=normal", "model.upsample=linear"]),
        ("dcgan_tiny", ["model.ngf=3", "model.ndf=2"]),
        ("dcgan_tiny", ["model.init=framework"]),
    ],
    ids=" ".join,
)
def test_both_implementations_start_from_the_same_network(preset, overrides, network):
    """The bridge, which finds every layout by probing, would change nothing."""
    model = load(preset, overrides).model
    reference, port, carried = (
        tf_impl.build(model, network),
        torch_impl.build(model, network),
        torch_impl.build(model, network),
    )
    tf_impl.initial_weights.initialise(reference, network, model.init, Draws(3))
    torch_impl.initial_weights.initialise(port, network, model.init, Draws(3))
    parity.copy_to_torch(reference, carried)
    for (name, own), expected in zip(port.named_parameters(), carried.parameters(), strict=True):
        assert np.array_equal(own.detach().numpy(), expected.detach().numpy()), name


def test_each_network_and_layer_has_draws_of_its_own():
    model = load("dcgan_tiny", []).model
    first, second = torch_impl.build(model, "discriminator"), torch_impl.build(model, "discriminator")
    torch_impl.initial_weights.initialise(first, "discriminator", model.init, Draws(0))
    torch_impl.initial_weights.initialise(second, "other", model.init, Draws(0))
    assert not np.any(first.downconv_1.weight.detach().numpy() == second.downconv_1.weight.detach().numpy())


SHAPE = (5, 5, 40, 30)
FAN_IN, FAN_OUT = 25 * 40, 25 * 30


@pytest.mark.parametrize(
    ("distribution", "deviation", "largest"),
    [
        ("glorot", math.sqrt(2 / (FAN_IN + FAN_OUT)), math.sqrt(6 / (FAN_IN + FAN_OUT))),
        ("framework", 1 / math.sqrt(3 * FAN_IN), 1 / math.sqrt(FAN_IN)),
        ("normal", 0.02, math.inf),
    ],
)
def test_kernels_have_the_deviation_of_their_distribution(distribution, deviation, largest):
    drawn = kernel(Draws(0), distribution, "x", SHAPE)
    assert drawn.std() == pytest.approx(deviation, rel=5 / math.sqrt(2 * drawn.size))  # five standard errors
    assert abs(drawn.mean()) < 5 * deviation / math.sqrt(drawn.size)
    assert np.abs(drawn).max() <= largest


def test_scales_are_one_except_under_normal():
    assert scale(Draws(0), "glorot", "x", (4,)).tolist() == [1, 1, 1, 1]
    assert scale(Draws(0), "normal", "x", (4000,)).std() == pytest.approx(0.02, rel=0.1)
