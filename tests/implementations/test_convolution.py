"""Convolution by matrix products: the stock values, and derivatives of every order, in both implementations."""

from __future__ import annotations

import math

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
from torch_impl.layers import Conv2d, ConvTranspose2d
from torch_impl.trainer import Trainer

EXACT = 1e-13  # sums of 75 products of numbers about 1, in float64
LOCKSTEP = 1e-10  # relative, of losses after two steps; sums in another order round to 1e-13 or less
SIZES = [(5, 8, 6), (4, 8, 8), (3, 6, 4), (5, 7, 9), (2, 4, 4)]


def drawn(*shape):
    return Draws(1).normal("values", shape)


@pytest.mark.parametrize(("side", "height", "width"), SIZES)
def test_torchs_is_the_stock_convolution_and_its_transpose(side, height, width):
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
def test_torchs_derivatives_of_derivatives_are_right(side, height, width):
    features = (2, 2, -(-height // 2), -(-width // 2))
    x, k, y = (
        torch.from_numpy(drawn(*s)).requires_grad_() for s in ((2, 2, height, width), (2, 2, side, side), features)
    )
    convolution = torch_impl.convolution
    assert gradgradcheck(convolution.convolve, (x, k))
    assert gradgradcheck(lambda y, k: convolution.spread(y, k, (height, width)), (y, k))
    assert gradgradcheck(lambda x, y: convolution.correlate(x, y, side), (x, y))


@pytest.mark.parametrize(("side", "height", "width"), SIZES)
def test_both_houses_agree_in_all_three_and_in_what_a_penalty_needs(side, height, width):
    x, k = drawn(2, height, width, 3), drawn(side, side, 3, 4)
    y = drawn(2, -(-height // 2), -(-width // 2), 4)
    ours, other = tf_impl.convolution, torch_impl.convolution
    as_torch = {"x": x.transpose(0, 3, 1, 2), "k": k.transpose(3, 2, 0, 1), "y": y.transpose(0, 3, 1, 2)}
    tx, tk, ty = (torch.from_numpy(np.ascontiguousarray(a)).requires_grad_() for a in as_torch.values())
    kx, kk, ky = (tf.constant(a) for a in (x, k, y))
    pairs = [
        (ours.convolve(kx, kk), other.convolve(tx, tk)),
        (ours.spread(ky, kk, (height, width)), other.spread(ty, tk, (height, width))),
        (tf.transpose(ours.correlate(kx, ky, side), [3, 0, 1, 2]), other.correlate(tx, ty, side)),
    ]
    with tf.GradientTape() as outer:
        outer.watch(kk)
        with tf.GradientTape() as inner:
            inner.watch(kx)
            value = tf.reduce_sum(ours.convolve(kx, kk) ** 3)
        penalty = tf.reduce_sum(inner.gradient(value, kx) ** 2)
    (slope,) = torch.autograd.grad((other.convolve(tx, tk) ** 3).sum(), tx, create_graph=True)
    (expected,) = torch.autograd.grad((slope**2).sum(), tk)
    pairs.append((tf.transpose(outer.gradient(penalty, kk), [3, 0, 1, 2]), expected))
    for got, port in pairs:
        found = port.detach().movedim(1, -1).numpy()
        np.testing.assert_allclose(got.numpy(), found, rtol=0, atol=EXACT * max(1, np.abs(found).max()))


@pytest.mark.parametrize("trainer", [KerasTrainer, Trainer])
@pytest.mark.parametrize("upsample", ["zeros", "nearest"])
def test_a_step_is_the_same_whichever_way_it_is_taken(trainer, upsample, monkeypatch):
    """Every kernel counts as large; only those of stride 2 go that way."""
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

    (none, stock), (some, ours) = metrics(2**60), metrics(1)
    assert none == 0 and some == (10 if upsample == "zeros" else 5)
    assert ours == pytest.approx(stock, rel=LOCKSTEP)


def _layers(network):
    return network.layers if hasattr(network, "layers") else network.children()


def test_specgans_innermost_layers_alone_are_large():
    config = load("specgan")
    for implementation, name in ((tf_impl, "kernel"), (torch_impl, "weight")):
        for network in ("generator", "discriminator"):
            layers = list(
                _layers(implementation.convolution.use_fast_path(implementation.build(config.model, network)))
            )
            large = [layer for layer in layers if implementation.convolution.on_fast_path(layer)]
            assert [math.prod(getattr(layer, name).shape) for layer in large] == [5 * 5 * 512 * 1024]
