"""Under which conditions both sides run: both modes, free sizes odd and even, weights drawn afresh where they must."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras import layers as L
from torch import nn

import parity
from parity.checks.conditions import run_conditions
from parity.checks.frugal_runs import run_frugally
from parity.checks.measuring import measure
from parity.transfer.aligned_models import AlignedModels
from tests.cases.layers import Does, chain
from tests.cases.wrong_copies import randomised
from tests.parity.checks.test_arrangement import aligned


def names(models: AlignedModels) -> list[str]:
    return [one.name for one in run_conditions(models, run_frugally)]


def dense(call=lambda self, x: self.a(x)) -> AlignedModels:
    return aligned(randomised(chain((4,), L.Dense(4, name="a"))), Does(call, a=nn.Linear(4, 4)))


@pytest.mark.parametrize(
    "call",
    [
        lambda self, x: self.a(x).softmax(1) if self.training else self.a(x),
        lambda self, x: self.a(x) * (1.01 if self.training else 1),
        lambda self, x: (self.a(x), self.a(x)) if self.training else self.a(x),
        lambda self, x: self.a(x).clamp(-1, 1) if self.training else self.a(x),
        lambda self, x: self.a(x).view(-1, 3) if self.training else self.a(x),  # stops
    ],
)
def test_training_mode_is_run_where_it_changes_the_port(call) -> None:
    reference = randomised(chain((4,), L.Dense(4, name="a")))
    verdict = parity.verify(reference, Does(call, a=nn.Linear(4, 4)), rungs=["structure", "forward"])
    assert verdict.faithful_for == "inference" and not verdict.passed
    assert "training, batch of 4" in names(dense(call))


class Doubled(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.a = L.Dense(4, name="a")

    def call(self, x, training=False):
        return self.a(x) * (2 if training else 1)


def test_training_mode_is_run_where_it_changes_the_reference() -> None:
    model = Doubled()
    model(np.zeros((2, 4), np.float32))
    x = np.random.default_rng(0).standard_normal((3, 4))
    verdict = parity.verify(model, nn.Linear(4, 4), x, rungs=["forward"])
    assert verdict.faithful_for == "inference"
    assert parity.verify(model, nn.Linear(4, 4), x, rungs=["forward"], scope="inference").passed


def test_training_mode_is_left_out_where_a_run_shows_that_it_changes_nothing() -> None:
    assert names(dense()) == ["evaluation, batch of 4", "evaluation, batch of 1"]


def test_free_sizes_are_odd_and_even_on_each_axis() -> None:
    model = randomised(chain((None, None, 3), L.Conv2D(2, 3, padding="same")))
    conditions = aligned(model, nn.Conv2d(3, 2, 3, padding=1))
    names(conditions)
    sizes = [one.inputs[0].shape[1:3] for one in run_conditions(conditions, run_frugally) if not one.training]
    for axis in (0, 1):
        assert {size[axis] % 2 for size in sizes} == {0, 1}
        for stride in (3, 4):
            assert {size[axis] % stride for size in sizes} == set(range(stride)), "every rest that a stride can leave"
    assert all(height != width for height, width in sizes)


def test_given_inputs_and_fixed_sizes_keep_their_sizes() -> None:
    fixed = aligned(randomised(chain((6, 5, 3), L.Conv2D(2, 3))), nn.Conv2d(3, 2, 3))
    assert not any("size" in name for name in names(fixed))


@pytest.mark.parametrize(
    ("layers", "call", "fresh"),
    [
        ([L.Activation("relu")], lambda x: torch.relu(x), False),
        ([L.Activation("silu")], lambda x: x * torch.sigmoid(x), True),  # parts of two arrangements
        ([L.Activation("relu")], lambda x: x, True),  # a layer on one side alone
        ([L.Activation("relu6")], lambda x: torch.relu(x), True),  # other settings
        ([L.Dropout(0.5)], lambda x: x, False),
    ],
)
def test_weights_are_drawn_afresh_where_the_arrangement_differs(layers, call, fresh) -> None:
    model = randomised(chain((4,), L.Dense(4, name="a"), *layers, L.Dense(2, name="b")))
    models = aligned(model, Does(lambda self, x: self.b(call(self.a(x))), a=nn.Linear(4, 4), b=nn.Linear(4, 2)))
    found = measure(models)
    assert any("fresh weights" in one.name for one in found.conditions) == fresh
    if fresh:
        drawn = found.conditions[-1].models
        assert drawn.redrawn_from is models
        assert not np.allclose(drawn.weights["a", "kernel"], models.weights["a", "kernel"])
        assert len(found.conditions[-1].inputs[0]) == 2 * len(models.inputs[0]), "and 8 times as large"


def test_a_relu_forgotten_behind_a_large_bias_is_seen() -> None:
    """Nothing but fresh weights shows it: with the reference's all values pass a ReLU as they are."""
    bias = keras.initializers.Constant(1e4)
    model = chain((8, 8, 3), L.Conv2D(4, 3, bias_initializer=bias, name="c"), L.ReLU(name="relu"))
    verdict = parity.verify(model, nn.Conv2d(3, 4, 3))
    assert not verdict.passed
    assert [(one.kind, one.reference_layer) for one in verdict.findings] == [("activation-kind", "relu")]
