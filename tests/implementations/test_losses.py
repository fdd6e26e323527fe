"""Both implementations' losses against their formulas, written out in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import tf_impl.losses
import torch_impl.losses
from shared_impl.config.loss import LossConfig
from shared_impl.config.presets import load

REAL, FAKE = np.array([1.5, -0.25, 30.0]), np.array([-2.0, 0.5, -40.0])


def cross_entropy(logits, target):
    return np.mean(np.logaddexp(0, -logits) * target + np.logaddexp(0, logits) * (1 - target))


def squared(logits, target):
    return np.mean((logits - target) ** 2)


def probable(p, target):
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return -np.mean(target * np.log(p) + (1 - target) * np.log(1 - p))


def chances(scores):
    return 1 / (1 + np.exp(-scores))


EXPECTED = {
    "wgan-gp": (FAKE.mean() - REAL.mean(), -FAKE.mean()),
    "wgan": (FAKE.mean() - REAL.mean(), -FAKE.mean()),
    "lsgan": (0.5 * (squared(REAL, 1) + squared(FAKE, 0)), squared(FAKE, 1)),
    "dcgan": (0.5 * (cross_entropy(REAL, 1) + cross_entropy(FAKE, 0)), cross_entropy(FAKE, 1)),
    "hinge": (np.mean(np.maximum(0, 1 - REAL)) + np.mean(np.maximum(0, 1 + FAKE)), -FAKE.mean()),
}
IMPLEMENTATIONS = [
    pytest.param((tf_impl.losses, tf.constant), id="tensorflow"),
    pytest.param((torch_impl.losses, torch.tensor), id="torch"),
]


def number(scalar):
    return (scalar.detach() if isinstance(scalar, torch.Tensor) else scalar).numpy().item()


def config(*overrides):
    return load("specgan_tiny", overrides).loss


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("kind", EXPECTED)
def test_each_loss_is_its_formula(implementation, kind):
    losses, tensor = implementation
    cfg = config(f"loss.kind={kind}")
    d, g = losses.d_loss(cfg, tensor(REAL), tensor(FAKE)), losses.g_loss(cfg, tensor(FAKE))
    assert (float(d), float(g)) == pytest.approx(EXPECTED[kind], rel=1e-14)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("kind", "distance"), [("lsgan", squared), ("dcgan", cross_entropy)], ids=["lsgan", "dcgan"])
@pytest.mark.parametrize("smooth_fakes", [False, True])
def test_label_smoothing_moves_only_the_targets_of_d(implementation, kind, distance, smooth_fakes):
    losses, tensor = implementation
    cfg = config(f"loss.kind={kind}", "loss.label_smoothing=0.1", f"loss.smooth_fakes={smooth_fakes}", "loss.d_scale=2")
    expected = 2 * (distance(REAL, 0.9) + distance(FAKE, 0.1 if smooth_fakes else 0))
    assert float(losses.d_loss(cfg, tensor(REAL), tensor(FAKE))) == pytest.approx(expected, rel=1e-14)
    assert float(losses.g_loss(cfg, tensor(FAKE))) == pytest.approx(distance(FAKE, 1), rel=1e-14)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_penalty_of_a_linear_critic_is_known(implementation):
    """D(x) = 3 sum(x): its slope is 3 times the root of the number of pixels, everywhere."""
    losses, tensor = implementation
    real, fake, alpha = np.zeros((2, 4, 4, 1)), np.ones((2, 4, 4, 1)), np.array([0.25, 0.75])
    critic = (
        (lambda x: 3 * tf.reduce_sum(x, [1, 2, 3])) if losses is tf_impl.losses else lambda x: 3 * x.sum(dim=(1, 2, 3))
    )
    penalty = losses.gradient_penalty(config(), critic, tensor(real), tensor(fake), tensor(alpha))
    assert number(penalty) == pytest.approx(10 * (12 - 1) ** 2, rel=1e-14)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_penalty_is_taken_between_real_and_fake(implementation):
    """D(x) = sum(x^2) / 2 has the slope |x|: alpha = 0 is the real image, alpha = 1 the fake."""
    losses, tensor = implementation
    real, fake = np.full((1, 2, 2, 1), 1.0), np.full((1, 2, 2, 1), 3.0)
    critic = (
        (lambda x: tf.reduce_sum(x * x, [1, 2, 3]) / 2)
        if losses is tf_impl.losses
        else lambda x: (x * x).sum(dim=(1, 2, 3)) / 2
    )
    for alpha, slope in ((0.0, 2.0), (1.0, 6.0), (0.25, 3.0)):
        penalty = losses.gradient_penalty(config(), critic, tensor(real), tensor(fake), tensor(np.array([alpha])))
        assert number(penalty) == pytest.approx(10 * (slope - 1) ** 2, rel=1e-14)


def slope(implementation, loss, *inputs):
    """A scalar of arrays and its gradients by each of them, in float64."""
    _, tensor = implementation
    if tensor is tf.constant:
        variables = [tf.constant(x, tf.float64) for x in inputs]
        with tf.GradientTape() as tape:
            tape.watch(variables)
            value = loss(*variables)
        return number(value), [gradient.numpy() for gradient in tape.gradient(value, variables)]
    variables = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in inputs]
    value = loss(*variables)
    return number(value), [gradient.numpy() for gradient in torch.autograd.grad(value, variables)]


def differences(function, x, width=1e-5):
    """The gradient of a smooth scalar of an array by central differences."""
    steps = np.eye(x.size).reshape(x.size, *x.shape) * width
    return np.array([(function(x + step) - function(x - step)) / (2 * width) for step in steps]).reshape(x.shape)


SHAPES = [(6,), (2, 25), (4, 3)]  # one score, patches, scales


def scores(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape) * 2


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", [*EXPECTED, "bce"])
def test_gradients_of_scores_agree_between_frameworks_and_with_finite_differences(kind, shape):
    cfg = LossConfig(kind=kind, label_smoothing=0.1, smooth_fakes=True, d_scale=0.7)
    real, fake = scores(*shape), scores(*shape, seed=1)
    if kind == "bce":
        real, fake = chances(real / 3), chances(fake / 3)
    (d, by), (d_port, by_port) = (
        slope(
            implementation, lambda r, f, implementation=implementation: implementation[0].d_loss(cfg, r, f), real, fake
        )
        for implementation in ((tf_impl.losses, tf.constant), (torch_impl.losses, torch.tensor))
    )
    (g, of), (g_port, of_port) = (
        slope(implementation, lambda f, implementation=implementation: implementation[0].g_loss(cfg, f), fake)
        for implementation in ((tf_impl.losses, tf.constant), (torch_impl.losses, torch.tensor))
    )
    np.testing.assert_allclose([d, g], [d_port, g_port], rtol=1e-14)
    for expected, actual in zip([*by, *of], [*by_port, *of_port], strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-15)

    def d_value(r, f):
        return number(torch_impl.losses.d_loss(cfg, torch.tensor(r), torch.tensor(f)))

    np.testing.assert_allclose(by[0], differences(lambda r: d_value(r, fake), real), atol=1e-8)
    np.testing.assert_allclose(by[1], differences(lambda f: d_value(real, f), fake), atol=1e-8)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_hinge_gradients_are_zero_at_and_beyond_the_margin(implementation):
    cfg = LossConfig(kind="hinge", d_scale=7, label_smoothing=0.5)  # neither concerns it
    real, fake = np.array([0.5, 1.0, 1.5, -2.0]), np.array([-0.5, -1.0, -1.5, 2.0])
    value, (by_real, by_fake) = slope(implementation, lambda r, f: implementation[0].d_loss(cfg, r, f), real, fake)
    assert value == pytest.approx((0.5 + 3) / 4 + (0.5 + 3) / 4, rel=1e-15)
    assert by_real.tolist() == [-0.25, 0, 0, -0.25]
    assert by_fake.tolist() == [0.25, 0, 0, 0.25]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_cross_entropy_of_probabilities_equals_keras(implementation, dtype):
    losses, tensor = implementation
    cfg = LossConfig(kind="bce", label_smoothing=0.1, smooth_fakes=True, d_scale=2)
    real, fake = (np.array(p, dtype) for p in ([0, 1e-9, 1e-7, 0.3, 1], [1, 1 - 1e-6, 1 - 1e-7, 0.7, 1e-30]))

    def own(p, target):
        return keras.ops.mean(keras.ops.binary_crossentropy(np.full_like(p, target), p)).numpy().item()

    rounding = {"float64": 1e-14, "float32": 4e-7}[dtype]  # of sums of five
    found = number(losses.d_loss(cfg, tensor(real), tensor(fake)))
    assert found == pytest.approx(2 * (own(real, 0.9) + own(fake, 0.1)), rel=rounding)
    assert number(losses.g_loss(cfg, tensor(fake))) == pytest.approx(own(fake, 1), rel=rounding)
    if dtype == "float64":
        assert found == pytest.approx(2 * (probable(real, 0.9) + probable(fake, 0.1)), rel=1e-14)


def test_torch_bce_loss_differs_only_near_zero_and_one():
    """What the docstring of both implementations says."""
    cfg, bce = LossConfig(kind="bce"), torch.nn.functional.binary_cross_entropy
    between = chances(scores(50))
    own = bce(torch.tensor(between), torch.ones(50, dtype=torch.float64))
    assert number(torch_impl.losses.g_loss(cfg, torch.tensor(between))) == pytest.approx(number(own), rel=1e-14)
    for implementation in ((tf_impl.losses, tf.constant), (torch_impl.losses, torch.tensor)):
        value, (gradient,) = slope(
            implementation, lambda p, implementation=implementation: implementation[0].g_loss(cfg, p), np.zeros(1)
        )
        assert (value, gradient.item()) == (pytest.approx(-np.log(1e-7), rel=1e-14), 0)
    nothing = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    bce(nothing, torch.ones(1, dtype=torch.float64)).backward()
    assert bce(nothing, torch.ones(1, dtype=torch.float64)).item() == 100
    assert nothing.grad.item() == pytest.approx(-1e12, rel=1e-8)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("edge", [1e-7, 1 - 1e-7])
def test_probabilities_at_the_clipping_edge_have_the_same_gradient_in_both_frameworks(edge, dtype):
    """Just at the edge counts as within, in either framework, also where the edge is rounded to float32."""
    cfg, slopes = LossConfig(kind="bce", label_smoothing=0.5), []
    for implementation in ((tf_impl.losses, tf.constant), (torch_impl.losses, torch.tensor)):
        losses, tensor = implementation
        p = tensor(np.array([edge, np.nextafter(np.array(edge, dtype), 0.5), 0.0, 1.0], dtype))
        if tensor is tf.constant:
            with tf.GradientTape() as tape:
                tape.watch(p)
                loss = losses.d_loss(cfg, p, p)
            slopes.append(tape.gradient(loss, p).numpy())
        else:
            losses.d_loss(cfg, p.requires_grad_(), p).backward()
            slopes.append(p.grad.numpy())
    np.testing.assert_allclose(*slopes, rtol={"float64": 1e-12, "float32": 1e-6}[dtype])
    assert np.abs(slopes[0][:2]).min() > 1e5
    assert slopes[0][2:].tolist() == [0, 0]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("labels", [np.array([2, 0, 0, 1]), np.array([2, 0, 0, 1], np.int32)], ids=["int64", "int32"])
def test_the_auxiliary_loss_is_the_mean_cross_entropy_of_the_class(implementation, labels):
    losses, tensor = implementation
    cfg, classes = LossConfig(kind="dcgan", auxiliary_weight=0.3), scores(4, 3)
    named = tensor(labels)
    value, (gradient,) = slope(implementation, lambda c: losses.auxiliary_loss(cfg, c, named), classes)
    shares = np.exp(classes) / np.exp(classes).sum(axis=1, keepdims=True)
    assert value == pytest.approx(-0.3 * np.log(shares[np.arange(4), labels]).mean(), rel=1e-14)
    np.testing.assert_allclose(gradient, 0.3 * (shares - np.eye(3)[labels]) / 4, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_penalty_of_several_scores_is_that_of_their_sum(implementation):
    """D(x) = (x, 2x) of one pixel: the slope of both scores together is 3."""
    losses, tensor = implementation
    real, fake = np.zeros((2, 1, 1, 1)), np.ones((2, 1, 1, 1))
    pairs = (
        (lambda x: tf.concat([x[:, 0, 0], 2 * x[:, 0, 0]], 1))
        if losses is tf_impl.losses
        else lambda x: torch.cat([x[:, 0, 0], 2 * x[:, 0, 0]], 1)
    )
    penalty = losses.gradient_penalty(config(), pairs, tensor(real), tensor(fake), tensor(np.array([0.1, 0.9])))
    assert number(penalty) == pytest.approx(10 * (3 - 1) ** 2, rel=1e-14)
