"""Weights are loaded by a call, once in each precision, and what was not loaded is not computed on."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from torch import nn

from parity.capture import dry_run
from parity.capture.dry_run import first_runs
from parity.capture.keras_adapter import KerasAdapter
from parity.capture.torch_adapter import TorchAdapter
from parity.match.alignment import match_steps
from parity.transfer.aligned_models import AlignedModels, align


@pytest.fixture
def models() -> AlignedModels:
    reference = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    sides = KerasAdapter(reference), TorchAdapter(nn.Sequential(nn.Linear(5, 3)))
    runs = first_runs(*sides, None, seed=0, mirrored=False, brief=True)
    return align(*sides, runs, match_steps(runs.reference, runs.port.trace))


def kernels(models: AlignedModels) -> tuple[np.ndarray, np.ndarray]:
    """Both sides' kernels, in the reference's layout."""
    (match,) = models.matching.matches
    return models.reference.read(match.reference, "kernel"), models.port.read(match.port, "kernel").T


@pytest.mark.parametrize("dtypes", [("float64", "float32"), ("float32", "float64")])
def test_both_sides_hold_the_loaded_weights_in_either_precision(models, dtypes):
    for dtype in dtypes:
        with models.precision(dtype):
            expected, got = kernels(models)
        assert expected.dtype == got.dtype == dtype
        assert np.array_equal(expected, got)


def test_entering_again_keeps_what_was_written_since(models):
    (match,) = models.matching.matches
    with models.precision("float64"):
        models.port.write(match.port, "kernel", np.zeros((3, 5)))
    with models.precision("float64"):
        assert not kernels(models)[1].any()


def test_many_weights_are_freed_and_loaded_again_in_full_precision(models, monkeypatch):
    (match,) = models.matching.matches
    with models.precision("float64"):
        models.port.write(match.port, "kernel", np.zeros((3, 5)))
    models.release("port", "float64")
    with models.precision("float64"):
        assert not kernels(models)[1].any(), "few weights stay"
    monkeypatch.setattr(dry_run, "HEAVY_WEIGHTS", 0)
    del models.heavy
    with models.precision("float32"):
        pass
    models.release("port", "float64")
    with models.precision("float64"):
        expected, got = kernels(models)
        bias = models.port.read(match.port, "bias")
    assert np.array_equal(expected, got)
    assert np.array_equal(bias, models.weights[match.key, "bias"]), "spread in float64, not taken from float32"
    assert not np.array_equal(bias, bias.astype(np.float32))
