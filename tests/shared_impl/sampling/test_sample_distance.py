"""The distance that marks the best checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

from shared_impl.sampling.sample_distance import SampleDistance


@pytest.fixture
def real():
    return np.random.default_rng(0).uniform(-1, 1, (50, 32, 32, 1))


def test_real_images_are_at_no_distance_from_themselves(real):
    assert SampleDistance(real).distance(real) == 0


def test_a_shift_of_all_values_is_the_distance(real):
    assert SampleDistance(real).distance(real + 0.25) == pytest.approx(0.25, rel=1e-12)


def test_samples_all_alike_are_further_than_different_ones(real):
    other = np.random.default_rng(1).uniform(-1, 1, real.shape)
    alike = np.repeat(real.mean(0, keepdims=True), 50, axis=0)
    assert SampleDistance(real).distance(alike) > 2 * SampleDistance(real).distance(other)


def test_a_misplaced_pattern_has_a_distance(real):
    real[:, :16] += 1
    assert SampleDistance(real).distance(real[:, ::-1]) > 0.9
