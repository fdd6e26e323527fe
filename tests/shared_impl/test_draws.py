"""Randomness that is a function of seed, purpose and counters, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from shared_impl.draws import Draws

UNIFORM = [0.4409095267251548, 0.9690714603731942]
NORMAL = [-0.18935322412553923, -2.099044010292246]


def test_a_draw_can_be_made_again_alone_and_in_any_order():
    forwards = [Draws(3).uniform("alpha", (4,), step) for step in range(5)]
    backwards = [Draws(3).uniform("alpha", (4,), step) for step in reversed(range(5))][::-1]
    assert np.array_equal(forwards, backwards)


@pytest.mark.parametrize("other", [(4, "alpha", 0, 0), (3, "latents", 0, 0), (3, "alpha", 1, 0), (3, "alpha", 0, 1)])
def test_seed_purpose_and_every_counter_make_another_draw(other):
    seed, purpose, step, update = other
    assert not np.any(Draws(3).uniform("alpha", (8,), 0, 0) == Draws(seed).uniform(purpose, (8,), step, update))


def test_the_first_draws_never_change():
    """What a run of an earlier version drew; a change here makes every old run irreproducible."""
    assert Draws(0).uniform("alpha", (2,), 5).tolist() == UNIFORM
    assert Draws(0).normal("latents", (2,), 5).tolist() == pytest.approx(NORMAL, rel=1e-15)  # log and cos: last digit


def test_uniforms_and_normals_are_what_they_are_called():
    uniform, normal = Draws(1).uniform("u", (20000,)), Draws(1).normal("n", (20000,))
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert stats.kstest(normal, "norm").pvalue > 1e-3
    assert uniform.min() >= 0 and uniform.max() < 1


def test_latents_of_either_kind():
    uniform = Draws(1).latents("uniform", "z", (5000, 2))
    assert -1 <= uniform.min() < -0.99 and 0.99 < uniform.max() < 1
    assert np.array_equal(Draws(1).latents("normal", "z", (5, 2), 7), Draws(1).normal("z", (5, 2), 7))
