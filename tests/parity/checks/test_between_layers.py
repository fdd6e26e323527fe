"""Where a difference begins: in a layer that is fed the right values, or in a step of either side before it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from keras import layers as L
from torch import nn

from parity.checks.arrangement import wrong_by_itself
from parity.checks.between_layers import Origin, find_origin
from parity.checks.measuring import measure
from tests.cases.layers import Does, chain
from tests.cases.wrong_copies import randomised
from tests.parity.checks.test_arrangement import aligned


def origin(layers: list, call, shape=(6, 5, 3)) -> tuple[str, Origin]:
    """The first layer that is wrong by itself, and where its difference begins."""
    model = randomised(chain(shape, L.Conv2D(4, 3, padding="same", name="c"), *layers, L.Conv2D(2, 1, name="d")))
    port = Does(lambda self, x: call(self, self.c(x)), c=nn.Conv2d(3, 4, 3, padding=1), d=nn.Conv2d(4, 2, 1))
    found = measure(aligned(model, port))
    first = next(one for one in found.layers if wrong_by_itself(one))
    condition = next(one for one in found.conditions if one.name == first.condition)
    return first.key, find_origin(first, condition)


@pytest.mark.parametrize(
    ("layers", "call", "key", "begins", "inside"),
    [
        ([L.ReLU(name="r")], lambda self, x: self.d(x), "d", ("r", ""), False),
        ([], lambda self, x: self.d(F.relu(x)), "d", ("", "relu"), False),
        ([], lambda self, x: self.d(x * 2), "d", ("d", "d"), False),
        ([], lambda self, x: self.d(x) * 2, "output", ("", ""), False),
        ([], lambda self, x: self.d(x.transpose(2, 3)).transpose(2, 3), "d", ("d", "d"), False),
        ([L.ELU(name="e")], lambda self, x: self.d(F.elu(x, 0.5)), "e", ("e", "elu"), True),
    ],
)
def test_where_a_difference_begins(layers, call, key, begins, inside) -> None:
    found, where = origin(layers, call)
    assert found == key
    assert (where.reference_layer, where.layer, where.inside) == (*begins, inside)


def test_what_is_known_around_the_difference() -> None:
    _, where = origin([L.ReLU(name="r")], lambda self, x: self.d(x))
    between = where.between
    assert [*between.sources] == ["c"] and "d" not in between.elsewhere
    assert np.array_equal(between.expected, np.maximum(between.sources["c"], 0))
    assert between.got is not None and np.allclose(between.got, between.sources["c"], atol=1e-12)


def test_a_step_whose_values_the_port_has_is_not_blamed() -> None:
    """Of two steps in between, the first is right in the port."""
    layers = [L.Activation("silu", name="r"), L.ELU(name="s")]
    _, where = origin(layers, lambda self, x: self.d(x * torch.sigmoid(x)))
    assert where.reference_layer == "s"


@pytest.mark.parametrize(("turned", "wrong"), [(True, False), (False, True)])
def test_a_square_sequence_is_read_in_the_layout_of_its_reader(turned: bool, wrong: bool) -> None:
    """What a dense layer is fed stands in (steps, channels), whatever shapes allow."""
    model = randomised(chain((5, 5), L.Conv1D(5, 1), L.Dense(2, name="d")))

    def call(self: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = self.c(x)
        return self.d(x.transpose(1, 2) if turned else x)

    found = measure(aligned(model, Does(call, c=nn.Conv1d(5, 5, 1), d=nn.Linear(5, 2))))
    first = next((one for one in found.layers if wrong_by_itself(one)), None)
    assert (first is not None) == wrong
    if first is not None:
        assert not find_origin(first, found.conditions[0]).inside
