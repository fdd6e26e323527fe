"""Convolution by matrix products: the stock values, and derivatives of every order, in both implementations."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch.autograd import gradgradcheck

import tf_impl.convolution
import torch_impl.convolution
from shared_impl.config.presets import load
from shared_impl.draws import Draws
from tf_impl.trainer import Trainer as KerasTrainer
from torch_impl.layers import Conv2d, ConvTranspose2d, SyncBatchNorm2d, batch_norm_like
from torch_impl.trainer import Trainer

EXACT = 1e-13  # sums of 75 products of numbers about 1, in float64
LOCKSTEP = 1e-10  # relative, of losses after two steps; sums in another order round to 1e-13 or less
SIZES = [(5, 8, 6), (4, 8, 8), (3, 6, 4), (5, 7, 9), (2, 4, 4)]


def drawn(*shape):
    return Draws(1).normal("values", shape)


@pytest.mark.parametrize(("side", "height", "width"), SIZES)
def test_torch_products_equal_the_stock_convolution_and_its_transpose(side, height, width):
    images, kernel = torch.from_numpy(drawn(2, 3, height, width)), torch.from_numpy(drawn(4, 3, side, side))
    stock = Conv2d(3, 4, side, 2).double()
    stock.weight.data, stock.bias.data = kernel, torch.zeros(4).double()
    torch.testing.assert_close(torch_impl.convolution.convolve(images, kernel), stock(images), rtol=0, atol=EXACT)
    if height % 2 == width % 2 == 0:
        transposed = ConvTranspose2d(4, 3, side, 2).double()
        transposed.weight.data, transposed.bias.data = kernel, torch.zeros(3).double()
        features = torch.from_numpy(drawn(2, 4, height // 2, width // 2))
        spread = torch_impl.convolution.spread(features, kernel, (height, width))
        torch.testing.assert_close(spread, transposed(features), rtol=0, atol=EXACT)


@pytest.mark.parametrize(("side", "height", "width"), SIZES[:4])
def test_torch_second_derivatives_are_right(side, height, width):
    features = (2, 2, -(-height // 2), -(-width // 2))
    x, k, y = (
        torch.from_numpy(drawn(*s)).requires_grad_() for s in ((2, 2, height, width), (2, 2, side, side), features)
    )
    convolution = torch_impl.convolution
    check = partial(gradgradcheck, fast_mode=True)  # along random directions, not every entry of the Jacobians
    assert check(convolution.convolve, (x, k))
    assert check(lambda y, k: convolution.spread(y, k, (height, width)), (y, k))
    assert check(lambda x, y: convolution.correlate(x, y, side), (x, y))


@pytest.mark.parametrize(("side", "height", "width"), SIZES)
def test_both_implementations_agree_in_all_three_products_and_in_a_penalty(side, height, width):
    x, k = drawn(2, height, width, 3), drawn(side, side, 3, 4)
    y = drawn(2, -(-height // 2), -(-width // 2), 4)
    reference, port = tf_impl.convolution, torch_impl.convolution
    as_torch = {"x": x.transpose(0, 3, 1, 2), "k": k.transpose(3, 2, 0, 1), "y": y.transpose(0, 3, 1, 2)}
    tx, tk, ty = (torch.from_numpy(np.ascontiguousarray(a)).requires_grad_() for a in as_torch.values())
    kx, kk, ky = (tf.constant(a) for a in (x, k, y))
    pairs = [
        (reference.convolve(kx, kk), port.convolve(tx, tk)),
        (reference.spread(ky, kk, (height, width)), port.spread(ty, tk, (height, width))),
        (tf.transpose(reference.correlate(kx, ky, side), [3, 0, 1, 2]), port.correlate(tx, ty, side)),
    ]
    with tf.GradientTape() as outer:
        outer.watch(kk)
        with tf.GradientTape() as inner:
            inner.watch(kx)
            value = tf.reduce_sum(reference.convolve(kx, kk) ** 3)
        penalty = tf.reduce_sum(inner.gradient(value, kx) ** 2)
    (gradient,) = torch.autograd.grad((port.convolve(tx, tk) ** 3).sum(), tx, create_graph=True)
    (expected,) = torch.autograd.grad((gradient**2).sum(), tk)
    pairs.append((tf.transpose(outer.gradient(penalty, kk), [3, 0, 1, 2]), expected))
    for keras_value, torch_value in pairs:
        expected = torch_value.detach().movedim(1, -1).numpy()
        np.testing.assert_allclose(keras_value.numpy(), expected, rtol=0, atol=EXACT * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("trainer", [KerasTrainer, Trainer])
@pytest.mark.parametrize("upsample", ["zeros", "nearest"])
def test_a_step_on_the_fast_path_is_the_step_on_the_stock_path(trainer, upsample, monkeypatch):
    """Every kernel counts as large; only those of stride 2 take the fast path."""
    words = ["training.precision=float64", "training.batch_size=4", "training.d_updates=1", "model.dim=2", "model.nz=8"]
    config = load("specgan_tiny", [*words, f"model.upsample={upsample}", "model.kernel_len=5"])
    module = tf_impl.convolution if trainer is KerasTrainer else torch_impl.convolution

    def metrics(large):
        monkeypatch.setattr(module, "LARGE", large)
        fresh = trainer(config, 10)
        layers = [*_layers(fresh.generator), *_layers(fresh.discriminator)]
        fast = sum(map(module.on_fast_path, layers))
        steps = [
            fresh.step(step, iter([{"x": drawn(4, 128, 128, 1) * 20 + 128, "label": np.zeros(4, np.int64)}]))
            for step in range(2)
        ]
        return fast, {name: float(value) for name, value in steps[-1].items()}

    (none, stock), (some, by_products) = metrics(2**60), metrics(1)
    assert none == 0 and some == (10 if upsample == "zeros" else 5)
    assert by_products == pytest.approx(stock, rel=LOCKSTEP)


def _layers(network):
    return network.layers if hasattr(network, "layers") else network.children()


def test_only_the_innermost_layers_of_specgan_take_the_fast_path():
    config = load("specgan")
    for implementation, name in ((tf_impl, "kernel"), (torch_impl, "weight")):
        for network in ("generator", "discriminator"):
            layers = list(
                _layers(implementation.convolution.use_fast_path(implementation.build(config.model, network)))
            )
            large = [layer for layer in layers if implementation.convolution.on_fast_path(layer)]
            assert [math.prod(getattr(layer, name).shape) for layer in large] == [5 * 5 * 512 * 1024]


def test_layers_on_the_fast_path_keep_names_order_and_parameters(monkeypatch):
    monkeypatch.setattr(torch_impl.convolution, "LARGE", 1)
    network = torch_impl.build(load("specgan_tiny").model, "discriminator").eval()
    names, parameters = list(dict(network.named_modules())), dict(network.named_parameters())
    state = list(network.state_dict())
    assert torch_impl.convolution.use_fast_path(network) is network
    assert list(dict(network.named_modules())) == names and list(network.state_dict()) == state
    assert all(parameter is parameters[name] for name, parameter in network.named_parameters())
    assert torch_impl.convolution.on_fast_path(network.downconv_1) and not network.downconv_1.training


@pytest.mark.parametrize("tracks", [True, False])
def test_a_batch_norm_of_another_class_shares_parameters_and_statistics(tracks):
    norm = torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.2, track_running_stats=tracks).double()
    port = batch_norm_like(norm, SyncBatchNorm2d)
    assert type(port) is SyncBatchNorm2d and (port.eps, port.momentum) == (1e-3, 0.2)
    assert list(port.state_dict()) == list(norm.state_dict())
    tensors = dict([*norm.named_parameters(), *norm.named_buffers()])
    assert all(tensor is tensors[name] for name, tensor in [*port.named_parameters(), *port.named_buffers()])
