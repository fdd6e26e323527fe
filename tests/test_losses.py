"""Both houses' losses against their formulas, written out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import torch

import tf_impl.losses
import torch_impl.losses
from common.config import load

REAL, FAKE = np.array([1.5, -0.25, 30.0]), np.array([-2.0, 0.5, -40.0])


def cross_entropy(logits, target):
    return np.mean(np.logaddexp(0, -logits) * target + np.logaddexp(0, logits) * (1 - target))


def squared(logits, target):
    return np.mean((logits - target) ** 2)


EXPECTED = {
    "wgan-gp": (FAKE.mean() - REAL.mean(), -FAKE.mean()),
    "wgan": (FAKE.mean() - REAL.mean(), -FAKE.mean()),
    "lsgan": (0.5 * (squared(REAL, 1) + squared(FAKE, 0)), squared(FAKE, 1)),
    "dcgan": (0.5 * (cross_entropy(REAL, 1) + cross_entropy(FAKE, 0)), cross_entropy(FAKE, 1)),
}
HOUSES = [
    pytest.param((tf_impl.losses, tf.constant), id="tensorflow"),
    pytest.param((torch_impl.losses, torch.tensor), id="torch"),
]


def number(scalar):
    return (scalar.detach() if isinstance(scalar, torch.Tensor) else scalar).numpy().item()


def config(*overrides):
    return load("specgan_tiny", overrides).loss


@pytest.mark.parametrize("house", HOUSES)
@pytest.mark.parametrize("kind", EXPECTED)
def test_each_loss_is_its_formula(house, kind):
    losses, tensor = house
    cfg = config(f"loss.kind={kind}")
    d, g = losses.d_loss(cfg, tensor(REAL), tensor(FAKE)), losses.g_loss(cfg, tensor(FAKE))
    assert (float(d), float(g)) == pytest.approx(EXPECTED[kind], rel=1e-14)


@pytest.mark.parametrize("house", HOUSES)
@pytest.mark.parametrize(("kind", "distance"), [("lsgan", squared), ("dcgan", cross_entropy)], ids=["lsgan", "dcgan"])
@pytest.mark.parametrize("smooth_fakes", [False, True])
def test_label_smoothing_moves_the_targets_of_d_alone(house, kind, distance, smooth_fakes):
    losses, tensor = house
    cfg = config(f"loss.kind={kind}", "loss.label_smoothing=0.1", f"loss.smooth_fakes={smooth_fakes}", "loss.d_scale=2")
    expected = 2 * (distance(REAL, 0.9) + distance(FAKE, 0.1 if smooth_fakes else 0))
    assert float(losses.d_loss(cfg, tensor(REAL), tensor(FAKE))) == pytest.approx(expected, rel=1e-14)
    assert float(losses.g_loss(cfg, tensor(FAKE))) == pytest.approx(distance(FAKE, 1), rel=1e-14)


@pytest.mark.parametrize("house", HOUSES)
def test_the_penalty_of_a_linear_critic_is_known(house):
    """D(x) = 3 sum(x): its slope is 3 times the root of the number of pixels, everywhere."""
    losses, tensor = house
    real, fake, alpha = np.zeros((2, 4, 4, 1)), np.ones((2, 4, 4, 1)), np.array([0.25, 0.75])
    critic = (
        (lambda x: 3 * tf.reduce_sum(x, [1, 2, 3])) if losses is tf_impl.losses else lambda x: 3 * x.sum(dim=(1, 2, 3))
    )
    penalty = losses.gradient_penalty(config(), critic, tensor(real), tensor(fake), tensor(alpha))
    assert number(penalty) == pytest.approx(10 * (12 - 1) ** 2, rel=1e-14)


@pytest.mark.parametrize("house", HOUSES)
def test_the_penalty_is_taken_between_real_and_fake(house):
    """D(x) = sum(x^2) / 2 has the slope |x|: alpha = 0 is the real image, alpha = 1 the fake."""
    losses, tensor = house
    real, fake = np.full((1, 2, 2, 1), 1.0), np.full((1, 2, 2, 1), 3.0)
    critic = (
        (lambda x: tf.reduce_sum(x * x, [1, 2, 3]) / 2)
        if losses is tf_impl.losses
        else lambda x: (x * x).sum(dim=(1, 2, 3)) / 2
    )
    for alpha, slope in ((0.0, 2.0), (1.0, 6.0), (0.25, 3.0)):
        penalty = losses.gradient_penalty(config(), critic, tensor(real), tensor(fake), tensor(np.array([alpha])))
        assert number(penalty) == pytest.approx(10 * (slope - 1) ** 2, rel=1e-14)
