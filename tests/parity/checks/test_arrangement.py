"""Two arrangements of one computation: pairs that are only parts of them are not held to each other's values."""

from __future__ import annotations

import keras
import pytest
import torch
import torch.nn.functional as F
from keras import layers as L
from torch import nn

import parity.checks.arrangement as arrangement
from parity.capture.dry_run import first_runs
from parity.capture.keras_adapter import KerasAdapter
from parity.capture.torch_adapter import TorchAdapter
from parity.checks.conditions import run_conditions
from parity.checks.frugal_runs import run_frugally
from parity.checks.measurements import compare_layers
from parity.checks.measuring import measure
from parity.match.alignment import match_steps
from parity.transfer.aligned_models import AlignedModels, align
from tests.cases.layers import Does, chain
from tests.cases.wrong_copies import randomised


def aligned(reference: keras.Model, port: nn.Module) -> AlignedModels:
    sides = KerasAdapter(reference), TorchAdapter(port)
    runs = first_runs(*sides, None, seed=0, mirrored=False, brief=False)
    return align(*sides, runs, match_steps(runs.reference, runs.port.trace, {}))


def between_convs(function: str, call) -> AlignedModels:
    model = randomised(chain((8, 7, 3), L.Conv2D(4, 3), L.Activation(function, name="act"), L.Conv2D(2, 3, name="d")))
    return aligned(model, Does(lambda self, x: self.d(call(self.c(x))), c=nn.Conv2d(3, 4, 3), d=nn.Conv2d(4, 2, 3)))


def wrong(models: AlignedModels) -> tuple[set[str], set[str]]:
    """What is wrong by itself, and which pairs were given up."""
    found = measure(models)
    return {one.key for one in found.layers if arrangement.wrong_by_itself(one)}, {one.key for one in models.rearranged}


@pytest.mark.parametrize(
    ("function", "call", "at", "given_up"),
    [
        ("silu", lambda x: x * torch.sigmoid(x), set(), {"act"}),
        ("silu", F.silu, set(), set()),
        ("gelu", lambda x: x * torch.sigmoid(1.702 * x), {"d"}, {"act"}),  # parts of more: judged as a whole
        ("silu", torch.sigmoid, {"act"}, set()),  # a fault of its own
    ],
)
def test_pairs_that_are_parts_of_two_arrangements(function, call, at, given_up) -> None:
    assert wrong(between_convs(function, call)) == (at, given_up)


def test_nothing_is_run_again_where_no_pair_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    again: list[str] = []
    stock = arrangement.isolate
    monkeypatch.setattr(arrangement, "isolate", lambda one: (again.append(one.name), stock(one)))
    for call, runs in ((F.silu, False), (lambda x: x * torch.sigmoid(x), True)):
        models = between_convs("silu", call)
        conditions = run_conditions(models, run_frugally)
        again.clear()
        assert arrangement.forget_rearranged(models, conditions, compare_layers(conditions)) == runs == bool(again)


def test_a_pair_with_weights_is_never_given_up() -> None:
    """Twice its input and half its output: all behind it agrees, but the layer itself is another."""
    model = randomised(chain((8, 7, 3), L.Conv2D(4, 3, use_bias=False, name="c"), L.Conv2D(2, 3, name="d")))
    call = lambda self, x: self.d(self.c(x * 2) / 2)  # noqa: E731
    port = Does(call, c=nn.Conv2d(3, 4, 3, bias=False), d=nn.Conv2d(4, 2, 3))
    at, given_up = wrong(aligned(model, port))
    assert "c" in at and not given_up
