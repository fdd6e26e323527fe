"""Scores of samples, against their definitions and SciPy's matrix root."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from shared_impl.sampling.scores import frechet_distance, inception_score

RANDOM = np.random.RandomState(0)


def test_sure_of_every_class_is_their_number():
    assert inception_score(np.eye(7)) == pytest.approx(7, rel=1e-12)


@pytest.mark.parametrize("chances", [np.full((5, 4), 0.25), np.eye(4)[[2, 2, 2]], RANDOM.dirichlet(np.ones(4), 1)])
def test_samples_that_are_all_one_to_the_classifier_score_one(chances):
    assert inception_score(chances) == pytest.approx(1, rel=1e-12)


def test_the_score_is_its_definition():
    chances = RANDOM.dirichlet(np.ones(5), 40)
    average = chances.mean(0)
    expected = np.exp(np.mean([sum(p * np.log(p / q) for p, q in zip(row, average, strict=True)) for row in chances]))
    assert inception_score(chances) == pytest.approx(expected, rel=1e-12)
    assert 1 < expected < 5


def features(count=50, size=6):
    return RANDOM.standard_normal((count, size)) @ RANDOM.standard_normal((size, size))


def test_the_distance_is_scipys():
    a, b = features(), features(30) + 1
    left, right = np.cov(a.T, bias=True), np.cov(b.T, bias=True)
    root = linalg.sqrtm(left @ right).real
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(left + right - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_the_same_features_are_at_no_distance_and_a_shift_is_squared():
    a = features()
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 2) == pytest.approx(6 * 4, rel=1e-9)


def test_fewer_samples_than_features_are_no_problem():
    few = features(3, 20)
    assert np.isfinite(frechet_distance(few, features(50, 20)))
    assert frechet_distance(few[:1], few[:1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(few[:, :1], few[:, :1] + 3) == pytest.approx(9, rel=1e-9)
