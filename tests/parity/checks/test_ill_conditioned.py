"""Batch norms of few values, one behind the other, amplify rounding beyond what float32 holds: no fault of the port."""

from __future__ import annotations

import json

import keras
import pytest
from keras import layers as L
from torch import nn

import parity
from tests.cases.layers import Case, chain

DEPTH = 80
CHAOTIC = "training, batch of 1"


def pair(last_epsilon: float = 1e-3) -> Case:
    """Convolutions and batch norms on an image of two pixels: of one sample, training sees two values a channel."""
    layers, port = [], []
    for number in range(DEPTH):
        layers += [L.Conv2D(32, 1, use_bias=False), L.BatchNormalization(), L.Activation("silu")]
        epsilon = last_epsilon if number == DEPTH - 1 else 1e-3
        port += [nn.Conv2d(32, 32, 1, bias=False), nn.BatchNorm2d(32, eps=epsilon, momentum=0.01), nn.SiLU()]
    return Case(chain((2, 1, 32), *layers), nn.Sequential(*port))


def test_a_faithful_pair_passes_and_is_judged_to_its_output() -> None:
    keras.utils.set_random_seed(0)
    case = pair()
    verdict = parity.verify(case.reference, case.port, rungs=["forward"])
    assert verdict.passed and verdict.output_judged, verdict.to_text()
    beyond = [check for check in verdict.rungs["forward"].checks if check.limit == float("inf")]
    assert beyond and all(check.chained and CHAOTIC in check.what for check in beyond)
    json.loads(verdict.to_json(), parse_constant=pytest.fail)


def test_a_fault_that_only_training_shows_is_found_where_rounding_is_amplified() -> None:
    keras.utils.set_random_seed(0)
    case = pair(last_epsilon=1.01e-3)
    verdict = parity.verify(case.reference, case.port, rungs=["forward"])
    assert not verdict.passed
    assert [finding.kind for finding in verdict.findings] == ["batchnorm-epsilon"]
