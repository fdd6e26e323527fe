"""Spectral normalisation: Keras layers with stock torch's values, vectors and derivatives, whatever runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from torch import nn

import tf_impl.initial_weights
import tf_impl.spectral_norm
import torch_impl.initial_weights
import torch_impl.layers
import torch_impl.spectral_norm
from shared_impl.draws import Draws
from shared_impl.training.initial_weights import FIRST_ITERATIONS, singular_vectors
from tf_impl.layers import precision
from torch_impl.framework_draws import FrameworkDraws

ROOT = Path(__file__).resolve().parents[2]
SAME = 1e-12  # relative; sums in another order round to 1e-15 here
PAIRS = {
    "conv": (
        lambda: tf_impl.spectral_norm.SpectralConv2D(6, 4, 2, "same", name="layer"),
        lambda: torch_impl.spectral_norm.SpectralConv2D(3, 6, 4, 2, 1),
        (2, 8, 6, 3),
    ),
    "conv without bias, two iterations": (
        lambda: tf_impl.spectral_norm.SpectralConv2D(6, 3, use_bias=False, power_iterations=2, name="layer"),
        lambda: torch_impl.spectral_norm.SpectralConv2D(3, 6, 3, bias=False, power_iterations=2),
        (2, 8, 6, 3),
    ),
    "transposed": (
        lambda: tf_impl.spectral_norm.SpectralConv2DTranspose(5, 4, 2, "same", name="layer"),
        lambda: torch_impl.spectral_norm.SpectralConv2DTranspose(3, 5, 4, 2, 1),
        (2, 4, 3, 3),
    ),
    "dense": (
        lambda: tf_impl.spectral_norm.SpectralDense(5, name="layer"),
        lambda: torch_impl.spectral_norm.SpectralDense(7, 5),
        (2, 7),
    ),
}


def pair(name, dtype="float64", distribution="framework"):
    """Both layers, each in a network of its own, with the same initial numbers; and an input."""
    make, twin, shape = PAIRS[name]
    with precision(dtype):
        reference = keras.Sequential([keras.Input(shape[1:]), make()])
    port = nn.Sequential()
    port.add_module("layer", twin())
    port.double()
    tf_impl.initial_weights.initialise(reference, "net", distribution, Draws(3))
    torch_impl.initial_weights.initialise(port, "net", distribution, Draws(3))
    return reference, port, np.random.default_rng(0).standard_normal(shape)


def first(x):
    return torch.from_numpy(np.moveaxis(x, -1, 1).copy())


def last(x):
    return np.moveaxis(x.detach().numpy(), 1, -1)


def apart(got, expected):
    return float(np.abs(np.asarray(got) - np.asarray(expected)).max() / np.abs(np.asarray(expected)).max())


def vectors(reference, port):
    """u and v of both sides, in torch's order."""
    layer, norm = reference.get_layer("layer"), port.layer.parametrizations.weight[0]
    keras_vectors = layer.u.numpy(), np.moveaxis(layer.v.numpy(), -1, 0).reshape(-1)
    return keras_vectors, (norm._u.numpy(), norm._v.numpy())


def assert_same_vectors(reference, port, most=SAME):
    for own, ported in zip(*vectors(reference, port), strict=True):
        assert apart(own, ported) <= most


@pytest.mark.parametrize("name", PAIRS)
def test_both_implementations_start_from_the_same_singular_vectors(name):
    reference, port, _ = pair(name)
    assert_same_vectors(reference, port, 0.0)
    norm, weight = port.layer.parametrizations.weight[0], port.layer.parametrizations.weight.original
    u, v = norm._u.clone(), norm._v.clone()
    sigma = torch.linalg.matrix_norm(norm._reshape_weight_to_matrix(weight.detach()), 2)
    assert u.norm().item() == pytest.approx(1) and v.norm().item() == pytest.approx(1)
    assert 0.9 * sigma < u @ norm._reshape_weight_to_matrix(weight) @ v <= sigma * (1 + SAME)


def test_singular_vectors_equal_those_of_torchs_constructor():
    """Fifteen iterations from the drawn u, in torch's own code."""
    kernel = np.random.default_rng(0).standard_normal((3, 3, 4, 5))
    u, v = singular_vectors(Draws(1), "x", kernel, -1)
    weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1).reshape(5, -1).copy())
    norm = torch.nn.utils.parametrizations._SpectralNorm(weight)
    start = torch.from_numpy(Draws(1).normal("x/u", (5,)))
    norm._u, norm._v = start, nn.functional.normalize(weight.T @ start, dim=0)
    norm._power_method(weight, FIRST_ITERATIONS)
    assert apart(u, norm._u) <= SAME
    assert apart(np.moveaxis(v, -1, 0).reshape(-1), norm._v) <= SAME


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_a_sequence_of_passes_equals_torch(name, graph):
    reference, port, x = pair(name)
    call = tf.function(reference) if graph else reference
    seen = []
    for training in (False, True, True, False, True, False):
        port.train(training)
        expected = last(port(first(x)))
        assert apart(call(tf.constant(x), training=training), expected) <= SAME
        assert_same_vectors(reference, port)
        seen.append(vectors(reference, port)[0][0].copy())
    assert not np.array_equal(seen[0], seen[1]) and np.array_equal(seen[2], seen[3])


def gradients_of(reference, x, penalty, training=True):
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(x)
            scalar = tf.reduce_sum(tf.sin(reference(x, training=training)))
        if penalty:
            scalar = tf.reduce_sum(tf.square(inner.gradient(scalar, x)))
    return outer.gradient(scalar, reference.get_layer("layer").kernel.value)


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("penalty", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_gradients_go_through_sigma_once_and_twice(name, penalty, graph):
    reference, port, x = pair(name)
    given, port = first(x).requires_grad_(), port.train()
    scalar = port(given).sin().sum()
    if penalty:
        (slope,) = torch.autograd.grad(scalar, given, create_graph=True)
        scalar = slope.square().sum()
    expected = torch.autograd.grad(scalar, port.layer.parametrizations.weight.original)[0].numpy()
    expected = expected.transpose(2, 3, 1, 0) if expected.ndim == 4 else expected.T
    function = tf.function(gradients_of) if graph else gradients_of
    assert apart(function(reference, tf.constant(x), penalty), expected) <= SAME


def test_the_kernel_is_kept_where_stock_keras_overwrites_it():
    reference, _, x = pair("conv")
    kernel = reference.get_layer("layer").kernel.numpy()
    reference(x, training=True)
    assert np.array_equal(reference.get_layer("layer").kernel.numpy(), kernel)
    stock = keras.layers.SpectralNormalization(keras.layers.Conv2D(6, 4))
    stock.build((None, 8, 6, 3))
    before = stock.layer.kernel.numpy()
    stock(x, training=True)
    assert not np.array_equal(stock.layer.kernel.numpy(), before)


def test_half_precision_finds_sigma_in_float32():
    exact, _, x = pair("conv", "float32")
    half, _, _ = pair("conv", "bfloat16")
    expected, got = exact(x, training=True), half(x, training=True)
    assert got.dtype == "bfloat16" and half.get_layer("layer").u.dtype == "float32"
    assert np.array_equal(half.get_layer("layer").u.numpy(), exact.get_layer("layer").u.numpy())
    assert apart(tf.cast(got, tf.float32), expected) <= 2**-7  # kernel, input and output are rounded to 2^-9


@pytest.mark.parametrize("name", PAIRS)
def test_a_saved_network_keeps_its_vectors(name, tmp_path):
    reference, _, x = pair(name)
    reference(x, training=True)
    reference.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert np.array_equal(loaded(x), reference(x))
    assert loaded.get_layer("layer").power_iterations == reference.get_layer("layer").power_iterations
    assert np.array_equal(loaded.get_layer("layer").v.numpy(), reference.get_layer("layer").v.numpy())


def test_zero_power_iterations_are_rejected():
    with pytest.raises(ValueError, match="power_iterations is 0, expected at least 1"):
        tf_impl.spectral_norm.SpectralConv2D(6, 4, power_iterations=0)


def test_reinitialised_kernels_get_fitting_vectors():
    """The torch implementation draws its kernels anew after construction."""
    port = nn.Sequential(torch_impl.spectral_norm.SpectralConv2D(3, 6, 4))
    before = port[0].parametrizations.weight.original.clone()
    torch_impl.initial_weights.initialise(port, "", "normal", FrameworkDraws())
    weight, norm = port[0].parametrizations.weight.original, port[0].parametrizations.weight[0]
    assert not torch.equal(weight, before) and weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert (norm._u @ weight.flatten(1) @ norm._v).item() > 0.9 * torch.linalg.matrix_norm(weight.flatten(1), 2).item()
    assert not port[0].bias.any()


MIRRORED = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tests.implementations.test_spectral_norm import apart, gradients_of, pair

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
alone, _, _ = pair("conv")
with strategy.scope():
    shared, _, _ = pair("conv")
x = np.random.default_rng(1).standard_normal((4, 8, 6, 3))
parts = tf.split(tf.constant(x), 2)
split = strategy.experimental_distribute_values_from_function(lambda c: parts[c.replica_id_in_sync_group])


@tf.function(autograph=False)
def step(x):
    def own(x):
        return tf.distribute.get_replica_context().all_reduce("SUM", gradients_of(shared, x, True))
    return strategy.run(own, (x,))


for _ in range(2):
    expected = gradients_of(alone, tf.constant(x), True)
    assert apart(strategy.experimental_local_results(step(split))[0], expected) <= 1e-12
    copies = strategy.experimental_local_results(shared.get_layer("layer").u.value)
    assert len(copies) == 2
    assert all(np.array_equal(copy, alone.get_layer("layer").u.numpy()) for copy in copies)
"""


def test_replicas_keep_equal_singular_vectors():
    done = subprocess.run([sys.executable, "-c", MIRRORED], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
