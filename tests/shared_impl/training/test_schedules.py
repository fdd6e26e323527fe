"""Learning-rate schedules."""

from __future__ import annotations

import math

import pytest

from shared_impl.config.presets import load
from shared_impl.training.schedules import learning_rates


def rates(step, *overrides):
    return learning_rates(load("dcgan", ["optimizer.lr=0.2", *overrides]).optimizer, step, 100)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("fixed", [0.2, 0.2, 0.2, 0.2]),
        ("linear", [0.2, 0.15, 0.1, 0.1]),
        ("cosine", [0.2, 0.15, 0.1, 0.1]),
    ],
)
def test_a_schedule_goes_from_the_first_rate_to_the_final_one_and_stays(schedule, expected):
    found = [rates(step, f"optimizer.schedule={schedule}", "optimizer.final_lr=0.1")[0] for step in (0, 50, 100, 150)]
    assert found == pytest.approx(expected, rel=1e-15)


def test_cosine_is_not_linear():
    assert rates(25, "optimizer.schedule=cosine")[0] == pytest.approx(0.1 * (1 + math.cos(math.pi / 4)), rel=1e-15)


def test_each_network_may_have_its_own_rate():
    assert rates(0, "optimizer.lr_d=0.4") == (0.4, 0.2)
    assert rates(0, "optimizer.lr_g=0.4") == (0.2, 0.4)
    assert rates(50, "optimizer.lr_g=0.4", "optimizer.schedule=linear") == (0.1, 0.2)
