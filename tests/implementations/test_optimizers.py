"""Both implementations' optimisers against their formulas, written out in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
import torch

import tf_impl.optimizers
import torch_impl.optimizers
from shared_impl.config.presets import load

IMPLEMENTATIONS = ("tensorflow", "torch")
UPDATES = 20
EXACT = 1e-14  # a few roundings of float64 per update


def adam(cfg, weight, gradients, lr):
    m, v = np.zeros_like(weight), np.zeros_like(weight)
    for t, gradient in enumerate(gradients, 1):
        m = cfg.beta1 * m + (1 - cfg.beta1) * gradient
        v = cfg.beta2 * v + (1 - cfg.beta2) * gradient**2
        corrected_m, corrected_v = m / (1 - cfg.beta1**t), v / (1 - cfg.beta2**t)
        if cfg.epsilon_place == "torch":
            weight = weight - lr * corrected_m / (np.sqrt(corrected_v) + cfg.epsilon)
        else:
            weight = weight - lr * math.sqrt(1 - cfg.beta2**t) / (1 - cfg.beta1**t) * m / (np.sqrt(v) + cfg.epsilon)
    return weight, {"m": m, "v": v}


def rmsprop(cfg, weight, gradients, lr):
    s = np.full_like(weight, cfg.initial_accumulator)
    for gradient in gradients:
        s = cfg.decay * s + (1 - cfg.decay) * gradient**2
        weight = weight - lr * gradient / np.sqrt(s + cfg.epsilon)
    return weight, {"s": s}


FORMULAS = {"adam": adam, "rmsprop": rmsprop}
CASES = [
    ["optimizer.kind=adam", "optimizer.epsilon_place=tensorflow"],
    ["optimizer.kind=adam", "optimizer.epsilon_place=torch"],
    ["optimizer.kind=rmsprop"],
    ["optimizer.kind=rmsprop", "optimizer.initial_accumulator=0", "optimizer.decay=0.5"],
]


def config(overrides):
    return load("specgan_tiny", overrides).optimizer


def built(implementation, cfg, weights):
    if implementation == "torch":
        return torch_impl.optimizers.OPTIMIZERS[cfg.kind](cfg, {n: torch.tensor(w) for n, w in weights.items()})
    return tf_impl.optimizers.OPTIMIZERS[cfg.kind](cfg, {n: tf.Variable(w) for n, w in weights.items()})


def tensor(implementation, values):
    return torch.tensor(values) if implementation == "torch" else tf.constant(values)


def problem(seed=0, shape=(3, 4)):
    """A weight and gradients of very different sizes, some of them far below epsilon."""
    rs = np.random.RandomState(seed)
    return rs.standard_normal(shape), rs.standard_normal((UPDATES, *shape)) * 10.0 ** rs.randint(-11, 2, shape)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("overrides", CASES, ids=" ".join)
def test_updates_follow_the_formula(implementation, overrides):
    cfg = config(overrides)
    weight, gradients = problem()
    optimizer = built(implementation, cfg, {"w": weight})
    for gradient in gradients:
        optimizer.apply([tensor(implementation, gradient)], 1e-2)
    expected, slots = FORMULAS[cfg.kind](cfg, weight, gradients, 1e-2)
    assert np.abs(optimizer.parameters["w"].numpy() - expected).max() < EXACT * UPDATES
    for kind in optimizer.slots:
        np.testing.assert_allclose(optimizer.slot(kind, "w").numpy(), slots[kind], rtol=EXACT * UPDATES)


@pytest.mark.parametrize("pair", [(CASES[0], CASES[1]), (CASES[2], CASES[3])])
def test_the_test_distinguishes_the_formulas(pair):
    """What would be missed if both places of epsilon, or both accumulators, came to the same."""
    weight, gradients = problem()
    first, second = (FORMULAS[config(o).kind](config(o), weight, gradients, 1e-2)[0] for o in pair)
    assert np.abs(first - second).max() > 1e-4


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("overrides", CASES[:3], ids=" ".join)
def test_an_optimiser_resumes_from_its_slots_and_count(implementation, overrides):
    cfg = config(overrides)
    weight, gradients = problem()
    whole = built(implementation, cfg, {"w": weight})
    for gradient in gradients:
        whole.apply([tensor(implementation, gradient)], 1e-2)
    first = built(implementation, cfg, {"w": weight})
    for gradient in gradients[:7]:
        first.apply([tensor(implementation, gradient)], 1e-2)
    second = built(implementation, cfg, {"w": first.parameters["w"].numpy().copy()})
    for kind in first.slots:
        kept = first.slot(kind, "w").numpy().copy()
        second.slot(kind, "w").copy_(torch.tensor(kept)) if implementation == "torch" else second.slot(
            kind, "w"
        ).assign(kept)
    second.resume(7)
    for gradient in gradients[7:]:
        second.apply([tensor(implementation, gradient)], 1e-2)
    assert np.array_equal(second.parameters["w"].numpy(), whole.parameters["w"].numpy())


def test_gradients_in_another_memory_layout_update_the_right_values():
    """torch's fused Adam goes through memory; channels-last weights with plain gradients were mixed up."""
    weight, gradients = problem(shape=(4, 3, 5, 5))
    cfg = config(CASES[0])
    optimizer = torch_impl.optimizers.Adam(
        cfg, {"w": torch.tensor(weight).contiguous(memory_format=torch.channels_last)}
    )
    for gradient in gradients:
        optimizer.apply([torch.tensor(gradient)], 1e-2)
    expected, _ = adam(cfg, weight, gradients, 1e-2)
    assert np.abs(optimizer.parameters["w"].numpy() - expected).max() < EXACT * UPDATES


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_clipping_scales_all_gradients_together_and_only_above_the_norm(implementation):
    parts = [np.array([3.0, 0.0]), np.array([[4.0]])]
    clip = (torch_impl if implementation == "torch" else tf_impl).optimizers.clip
    for most, factor in ((1.0, 0.2), (5.0, 1.0), (50.0, 1.0)):
        found = clip([tensor(implementation, part) for part in parts], most)
        for part, scaled in zip(parts, found, strict=True):
            np.testing.assert_allclose(scaled.numpy(), factor * part, rtol=EXACT)
