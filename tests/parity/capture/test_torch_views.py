"""Recorded torch values keep their contents if they are overwritten later, and are copied only then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from parity.capture.torch_adapter import TorchAdapter

X = np.random.default_rng(0).standard_normal((3, 2))


class InPlace(nn.Module):
    """Writes into what the layer before it computed, in some modes."""

    def __init__(self, modes: tuple[bool, ...]) -> None:
        super().__init__()
        self.modes = modes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp_(min=0.0) if self.training in self.modes else x.clamp(min=0.0)


class Own(nn.Module):
    """Computes with its own weights as with what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.activation = nn.Linear(2, 2), nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + self.activation(self.linear.bias)


class Remembering(nn.Module):
    """Keeps what it computes, and writes into it the next time."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.kept = nn.Linear(2, 2), []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for earlier in self.kept:
            earlier.zero_()
        self.kept = [self.linear(x)]
        return torch.tanh(self.kept[0])


def chain(*after: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 5), *after)


def seen(port: nn.Module, **asked: Any) -> dict[str, np.ndarray]:
    side = TorchAdapter(port)
    with side.precision("float64"):
        return side.run([X], **asked).outputs


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("modes", [(), (False,), (True,), (False, True)])
def test_a_value_is_recorded_before_the_next_layer_overwrites_it(modes: tuple[bool, ...], training: bool) -> None:
    port = chain(InPlace(modes))
    expected = X @ port[0].weight.double().T.detach().numpy() + port[0].bias.detach().numpy()
    np.testing.assert_allclose(seen(port, training=training)["0"], expected, rtol=0, atol=1e-14)
    assert (expected < 0).any()


@pytest.mark.parametrize("layer", [nn.ReLU(inplace=True), nn.LeakyReLU(0.2, inplace=True), nn.Hardtanh(inplace=True)])
def test_values_before_stock_in_place_layers_are_recorded(layer: nn.Module) -> None:
    assert (seen(chain(layer))["0"] < 0).any()


def test_statistics_are_updated_once_if_a_run_is_repeated() -> None:
    moved = []
    for after in (InPlace(()), InPlace((True,))):
        side = TorchAdapter(chain(after, nn.BatchNorm1d(5)))
        with side.precision("float64"):
            for _ in range(2):
                side.run([X], training=True, keep_state=True)
            moved.append({name: value.clone() for name, value in side.model.named_buffers()})
    assert moved[0]["2.num_batches_tracked"] == 2
    for name, value in moved[0].items():
        assert torch.equal(value, moved[1][name]), name


def test_later_weight_updates_do_not_change_recorded_values() -> None:
    side = TorchAdapter(Own())
    with side.precision("float64"):
        trace = side.run([X])
        before = trace.inputs["activation"].copy()
        with torch.no_grad():
            side.model.linear.bias.zero_()
    np.testing.assert_array_equal(trace.inputs["activation"], before)


def test_a_tensor_that_the_module_keeps_is_recorded_as_it_was() -> None:
    side = TorchAdapter(Remembering())
    with side.precision("float64"):
        trace = side.run([X])
        before = trace.outputs["linear"].copy()
        side.run([X])
    assert before.any()
    np.testing.assert_array_equal(trace.outputs["linear"], before)


def test_a_tensor_that_is_never_overwritten_is_not_copied() -> None:
    trace = TorchAdapter(chain(nn.Flatten(), nn.Tanh())).run([X])
    assert np.shares_memory(trace.outputs["0"], trace.inputs["2"])
