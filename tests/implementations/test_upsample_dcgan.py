"""The DCGAN that upsamples, in each implementation: layers, statistics, dropout by numbers, bilinear doubling."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F

import tf_impl
import torch_impl
from tf_impl import layers as ours

ROUNDING = 1e-14  # relative; sums of a few terms in float64 round to 1e-16


@pytest.fixture
def float64():
    with ours.precision("float64"):
        yield


@pytest.mark.parametrize("options", [{}, {"upsample": "bilinear"}, {"nc": 1, "init": "normal"}])
def test_the_generators_have_the_same_layers_and_shapes(options):
    reference, twin = (
        implementation.UpsampleDCGANGenerator(nz=6, ngf=2, **options) for implementation in (tf_impl, torch_impl)
    )
    assert [layer.name for layer in reference.layers] == [name for name, _ in twin.named_children()]
    assert reference.output_shape == (None, 64, 64, options.get("nc", 3))
    assert twin(torch.zeros(2, 6)).shape == twin(torch.zeros(2, 6, 1, 1)).shape == (2, options.get("nc", 3), 64, 64)


@pytest.mark.parametrize("options", [{}, {"output": "logit"}, {"nc": 1, "dropout": 0.0}])
def test_the_discriminators_differ_only_in_explicit_padding_layers(options):
    reference, twin = (
        implementation.UpsampleDCGANDiscriminator(ndf=2, **options) for implementation in (tf_impl, torch_impl)
    )
    names = [layer.name for layer in reference.layers]
    assert [name for name in names if not name.endswith("_pad")] == [name for name, _ in twin.named_children()]
    assert reference.count_params() == sum(tensor.numel() for tensor in twin.state_dict().values()) - 3  # of batches
    assert reference.output_shape == (None,)
    assert twin(torch.zeros(5, options.get("nc", 3), 64, 64)).shape == (5,)


def test_the_score_is_the_probability_of_its_logit():
    images = torch.randn(5, 3, 64, 64)
    probable, logical = (torch_impl.UpsampleDCGANDiscriminator(ndf=2, **o).eval() for o in ({}, {"output": "logit"}))
    logical.load_state_dict(probable.state_dict())
    torch.testing.assert_close(probable(images), torch.sigmoid(logical(images)))


@pytest.mark.parametrize("momentum", [0.8, 0.1])
def test_momentum_is_the_weight_of_the_new_statistics(momentum, float64):
    x = np.random.RandomState(0).standard_normal((4, 64, 64, 3))
    twin = torch_impl.UpsampleDCGANDiscriminator(ndf=2, momentum=momentum, dropout=0.0).double()
    seen = torch.nn.Sequential(*list(twin)[:4])(
        torch.from_numpy(x).movedim(-1, 1)
    )  # what goes into the first batch norm
    twin(torch.from_numpy(x).movedim(-1, 1))
    mean = seen.mean((0, 2, 3)).detach().numpy()
    np.testing.assert_allclose(twin.downconv_1_bn.running_mean.numpy(), momentum * mean, rtol=ROUNDING)
    reference = tf_impl.UpsampleDCGANDiscriminator(ndf=2, momentum=momentum, dropout=0.0)
    inner = keras.Model(reference.inputs, reference.get_layer("downconv_1").output)
    mean = inner(x).numpy().mean((0, 1, 2))
    reference(x, training=True)
    moved = np.asarray(reference.get_layer("downconv_1_bn").moving_mean)
    np.testing.assert_allclose(moved, momentum * mean, rtol=1e-12)


def test_dropout_numbers_decide_channels_layer_after_layer(float64):
    numbers = np.random.RandomState(1).uniform(size=(3, 7))
    kept = (numbers >= 0.25) / 0.75
    first, second = np.ones((3, 5, 4, 3)), np.ones((3, 2, 2, 4))
    layers = [tf_impl.dropout.ChannelDropout(0.25, name=name) for name in "ab"]
    with tf_impl.dropout.dropout_decided_by(tf.constant(numbers)):
        got = [layer(x, training=True).numpy() for layer, x in zip(layers, (first, second), strict=True)]
    np.testing.assert_array_equal(got[0], first * kept[:, None, None, :3])
    np.testing.assert_array_equal(got[1], second * kept[:, None, None, 3:])
    modules = [torch_impl.dropout.ChannelDropout(0.25) for _ in "ab"]
    with torch_impl.dropout.dropout_decided_by(torch.from_numpy(numbers)):
        twins = [m(torch.from_numpy(x).movedim(-1, 1)) for m, x in zip(modules, (first, second), strict=True)]
    for a, b in zip(got, twins, strict=True):
        np.testing.assert_array_equal(b.movedim(1, -1).numpy(), a)


def test_a_rate_of_zero_needs_no_numbers_and_drops_nothing():
    nothing = np.empty((3, 0))  # what a trainer draws for a network that drops no channels
    x = np.random.RandomState(3).standard_normal((3, 5, 4, 3))
    with tf_impl.dropout.dropout_decided_by(tf.constant(nothing)):
        np.testing.assert_array_equal(tf_impl.dropout.ChannelDropout(0.0, dtype="float64")(x, training=True), x)
    with torch_impl.dropout.dropout_decided_by(torch.from_numpy(nothing)):
        assert torch.equal(torch_impl.dropout.ChannelDropout(0.0)(torch.from_numpy(x)), torch.from_numpy(x))


def test_without_numbers_frameworks_draw_their_own_and_evaluation_drops_nothing():
    x = np.ones((50, 2, 2, 40), np.float32)
    layer, module = tf_impl.dropout.ChannelDropout(0.25), torch_impl.dropout.ChannelDropout(0.25)
    for dropped in (layer(x, training=True).numpy(), module(torch.from_numpy(x).movedim(-1, 1)).movedim(1, -1).numpy()):
        share = (dropped[:, 0, 0] == 0).mean()
        assert abs(share - 0.25) < 0.05 and (dropped == dropped[:, :1, :1]).all()  # five deviations of 2,000 draws
    np.testing.assert_array_equal(layer(x, training=False), x)
    assert torch.equal(module.eval()(torch.ones(2, 3, 1, 1)), torch.ones(2, 3, 1, 1))


def test_bilinear_upsampling_equals_torch_in_float64_to_the_second_derivative(float64):
    x = np.random.RandomState(2).standard_normal((2, 5, 3, 4))
    expected = F.interpolate(torch.from_numpy(x).movedim(-1, 1), scale_factor=2, mode="bilinear").movedim(1, -1)
    layer = ours.Upsample("bilinear")
    np.testing.assert_allclose(layer(x).numpy(), expected.numpy(), rtol=ROUNDING, atol=ROUNDING)
    given = tf.constant(x)
    with tf.GradientTape() as outer:
        outer.watch(given)
        with tf.GradientTape() as inner:
            inner.watch(given)
            cubes = tf.reduce_sum(layer(given) ** 3)
        slope = tf.reduce_sum(inner.gradient(cubes, given) ** 2)
    assert np.abs(outer.gradient(slope, given).numpy()).max() > 1
