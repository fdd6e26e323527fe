"""The training monitor: each sign is reported once, and only when it is there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.datasets import load_digits

from shared_impl.config.loss import LossConfig
from shared_impl.config.presets import load
from shared_impl.training.training_monitor import (
    ALIKE,
    NEAR_ZERO,
    PATIENCE,
    Diverged,
    TrainingMonitor,
    difference,
    near_zero,
)


def config(*overrides):
    return load("dcgan_tiny", overrides)


def loss(*overrides):
    return config(*overrides).loss


def warned(monitor, values, every=100):
    """The steps at which a D loss of each of these values, ``every`` steps apart, is warned of."""
    return [i * every for i, value in enumerate(values) if monitor.losses(i * every, {"d_loss": value})]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
@pytest.mark.parametrize("name", ["g_loss", "d_loss", "penalty"])
@pytest.mark.parametrize("kind", ["dcgan", "wgan-gp"])
def test_a_nonfinite_metric_stops_the_run_and_is_named(kind, name, value):
    monitor = TrainingMonitor(config(f"loss.kind={kind}"))
    assert monitor.losses(6, {"g_loss": 1.0, "d_loss": 1.0, "penalty": 0.0}) == []
    with pytest.raises(
        Diverged, match=rf"{name} is -?(nan|inf) at step 7: the training has diverged. Lower optimizer.lr"
    ):
        monitor.losses(7, {"g_loss": 1.0, "d_loss": 1.0, "penalty": 0.0, name: value})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_nonfinite_weight_stops_the_run_before_a_checkpoint(value):
    state = {"a/updates": np.array(3), "empty": np.zeros((0, 2)), "generator/kernel": np.zeros((2, 3), np.float32)}
    TrainingMonitor(config()).weights(7, state)
    state["generator/kernel"][1, 2] = value
    with pytest.raises(
        Diverged, match=r"generator/kernel holds 1 of 6 values that are NaN or infinite at step 7: the tr"
    ):
        TrainingMonitor(config()).weights(7, state)


@pytest.mark.parametrize("kind", ["dcgan", "lsgan", "hinge"])
def test_a_discriminator_that_has_won_is_reported_once_an_episode(kind):
    patience = PATIENCE // 100
    low, high = [NEAR_ZERO / 2] * (patience + 3), [0.5]
    values = [*high, *low, *high, *low]
    first = (1 + patience) * 100
    assert warned(TrainingMonitor(config(f"loss.kind={kind}")), values) == [first, first + (len(low) + 1) * 100]


def test_the_warning_says_what_and_what_to_do():
    monitor = TrainingMonitor(config("loss.d_scale=0.5"))
    monitor.losses(100, {"d_loss": 0.001})
    (sentence,) = monitor.losses(100 + PATIENCE, {"d_loss": 0.002})
    assert sentence.startswith(
        f"step {100 + PATIENCE}: the discriminator has won: for {PATIENCE} steps d_loss stays below 0.01 (now 0.002)"
    )
    assert "optimizer.lr_d" in sentence


def test_the_warning_under_the_hinge_loss_says_that_the_discriminator_stopped_learning():
    monitor = TrainingMonitor(config("loss.kind=hinge", "loss.d_scale=7"))
    monitor.losses(0, {"d_loss": 0.019})
    (sentence,) = monitor.losses(PATIENCE, {"d_loss": 0.019})
    assert "below 0.02 (now 0.019), so it learns nothing any more. Try a lower optimizer.lr_d" in sentence
    assert "label_smoothing" not in sentence  # the hinge has none


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("fakes", [True, False])
def test_the_limit_is_the_same_for_probabilities_and_logits(smoothing, fakes):
    dcgan, bce = (LossConfig(kind=k, label_smoothing=smoothing, smooth_fakes=fakes) for k in ("dcgan", "bce"))
    assert near_zero(bce) == near_zero(dcgan)


@pytest.mark.parametrize("kind", ["wgan", "wgan-gp"])
def test_a_wasserstein_loss_may_be_zero_or_negative(kind):
    assert warned(TrainingMonitor(config(f"loss.kind={kind}")), [0.0, -5.0] * 20) == []


@pytest.mark.parametrize("pattern", [[0.001] * (PATIENCE // 100), [0.001, 0.001, 0.5] * 10, [0.03] * 20])
def test_short_or_interrupted_spells_and_small_losses_are_nothing(pattern):
    assert warned(TrainingMonitor(config()), pattern) == []


def bce(logit, target):
    probability = 1 / (1 + math.exp(-logit))
    return -target * math.log(probability) - (1 - target) * math.log(1 - probability)


@pytest.mark.parametrize("scale", [0.5, 1.0])
@pytest.mark.parametrize("fakes", ["true", "false"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_the_limit_lies_just_above_the_least_that_smoothed_targets_leave(smoothing, fakes, scale):
    limit = near_zero(loss(f"loss.label_smoothing={smoothing}", f"loss.smooth_fakes={fakes}", f"loss.d_scale={scale}"))
    logits = np.linspace(-12, 12, 4001)
    real = min(bce(x, 1 - smoothing) for x in logits)
    fake = min(bce(x, smoothing if fakes == "true" else 0.0) for x in logits)
    least, chance = scale * (real + fake), scale * 2 * math.log(2)
    assert least < limit < least + scale * 2 * NEAR_ZERO + 1e-4
    assert limit < chance
    assert near_zero(loss("loss.kind=lsgan", f"loss.d_scale={scale}")) == pytest.approx(scale * 0.02)


def test_ninety_nine_percent_certainty_is_the_limit():
    logit = math.log(99)
    assert 0.5 * (bce(logit, 1) + bce(-logit, 0)) == pytest.approx(near_zero(loss("loss.d_scale=0.5")), rel=0.006)


def digits():
    return load_digits().images[:64].repeat(8, 1).repeat(8, 2)[..., None] / 8 - 1


def test_samples_all_alike_are_reported_once_an_episode():
    noise = np.random.default_rng(0).normal(size=(64, 64, 64, 1)) * 0.01
    alike, varied = np.clip(digits()[:1] + noise, -1, 1).astype(np.float32), digits()
    monitor = TrainingMonitor(config())
    shown = [alike, alike, alike, alike, varied, alike, alike, alike, alike]
    steps = [i * 300 for i, images in enumerate(shown) if monitor.samples(i * 300, images)]
    assert steps == [600, 2100]
    (sentence,) = TrainingMonitor(config()).samples(0, alike) or [*_after(alike)]
    assert "the generator has collapsed: for 500 steps 64 samples of different latents are nearly the same" in sentence


def _after(images):
    monitor = TrainingMonitor(config())
    monitor.samples(0, images)
    yield from monitor.samples(PATIENCE, images)


def test_real_data_are_far_from_alike_even_within_a_class():
    data = load_digits()
    within = [difference(data.images[data.target == k][..., None] / 8 - 1) for k in range(10)]
    assert min(within) > 5 * ALIKE
    assert [*_after(digits())] == []
    assert [*_after(digits()[:1])] == []  # one sample has nothing to be compared with


def test_the_difference_is_that_of_all_pairs():
    images = np.random.default_rng(0).uniform(-1, 1, (5, 3, 4, 2)).astype(np.float32)
    pairs = [(images[i] - images[j]) ** 2 for i in range(5) for j in range(i)]
    assert difference(images) == pytest.approx(float(np.sqrt(np.mean(pairs))), rel=1e-6)


def test_samples_that_differ_by_their_classes_alone_are_a_collapse():
    kinds = np.linspace(-1, 1, 3)
    labels = np.repeat(np.arange(3), 4)
    alike = np.broadcast_to(kinds[labels, None, None, None], (12, 4, 4, 1))
    varied = np.where(np.arange(12)[:, None, None, None] % 2, alike, -alike)
    monitor, other = TrainingMonitor(config()), TrainingMonitor(config())
    for step in (0, PATIENCE):
        warnings = monitor.samples(step, alike, labels), other.samples(step, varied, labels)
    assert len(warnings[0]) == 1 and "the generator has collapsed" in warnings[0][0] and warnings[1] == []
    assert (
        TrainingMonitor(config()).samples(0, alike[::4], labels[::4]) == []
    )  # one of a kind cannot be compared with another
