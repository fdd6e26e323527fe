"""Offsets and scales beside a layer become the layer's own where they are applied along its channels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from parity.capture.steps import Step
from parity.capture.torch_adapter import TorchAdapter
from tests.cases.layers import Does

X = {"conv": (2, 3, 5, 4), "dense": (2, 5, 3)}


class Beside(nn.Module):
    """A layer, then an operation with parameters ``v`` (and ``w``) of its own."""

    def __init__(self, layer: nn.Module, call, size=4):
        super().__init__()
        self.layer, self.call = layer, call
        self.v, self.w = (nn.Parameter(torch.rand(size)) for _ in range(2))

    def forward(self, x):
        return self.call(self.layer(x), self.v, self.w)


def conv(bias=False):
    return nn.Conv2d(3, 4, 1, bias=bias)


def norm():
    return nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4, affine=False))


def first(module: nn.Module, shape=(2, 3, 5, 4)) -> Step:
    with (side := TorchAdapter(module.eval())).precision("float64"):
        steps = side.run([torch.rand(shape).double().numpy()], training=False).steps
    return next(step for step in reversed(steps) if step.kind in ("conv", "dense", "batchnorm"))


def along(v):
    return v[:, None, None]


@pytest.mark.parametrize(
    ("module", "slots"),
    [
        (lambda: Beside(conv(), lambda x, v, w: x + along(v)), {"kernel": "layer.weight", "bias": "v"}),
        (lambda: Beside(conv(), lambda x, v, w: along(v) + x), {"kernel": "layer.weight", "bias": "v"}),
        (lambda: Beside(conv(), lambda x, v, w: x.add_(v.view(1, -1, 1, 1))), {"kernel": "layer.weight", "bias": "v"}),
        (lambda: Beside(norm(), lambda x, v, w: x * along(v) + along(w)), {"gamma": "v", "beta": "w"}),
        (lambda: Beside(norm(), lambda x, v, w: x + along(w)), {"beta": "w"}),
    ],
)
def test_a_parameter_along_the_channels_belongs_to_the_layer(module, slots) -> None:
    step = first(module())
    assert {slot: step.handle.get(slot) for slot in slots} == slots
    assert all(step.shapes[slot] == (4,) for slot in slots if slot != "kernel")


@pytest.mark.parametrize(
    "module",
    [
        lambda: Beside(conv(), lambda x, v, w: x + v),  # along the last axis of an image
        lambda: Beside(conv(), lambda x, v, w: x - along(v)),
        lambda: Beside(conv(), lambda x, v, w: torch.relu(x) + along(v)),
        lambda: Beside(conv(bias=True), lambda x, v, w: x + along(v)),  # it has one
        lambda: Beside(norm(), lambda x, v, w: (x + along(w)) * along(v)),  # scaled behind its offset
        lambda: Beside(conv(), lambda x, v, w: x + along(v.detach().clone())),  # no parameter
        lambda: Beside(conv(), lambda x, v, w: x + v, size=1),
    ],
)
def test_any_other_operation_does_not(module) -> None:
    held = first(module()).handle.values()
    assert "v" not in held


def test_a_parameter_of_a_dense_layer_runs_along_the_last_axis() -> None:
    step = first(Beside(nn.Linear(3, 4, bias=False), lambda x, v, w: x + v), (2, 5, 3))
    assert step.handle["bias"] == "v"
    turned = Beside(nn.Linear(3, 4, bias=False), lambda x, v, w: x + v[:, None])
    assert "bias" not in first(turned, (2, 4, 3)).handle


def test_what_is_completed_is_compared_with_its_parameter() -> None:
    module = Beside(conv(), lambda x, v, w: x + along(v)).double()
    x = torch.rand(2, 3, 5, 4).double()
    with (side := TorchAdapter(module)).precision("float64"):
        trace = side.run([x.numpy()], training=False)
    assert abs(trace.outputs["layer"] - module(x).detach().numpy()).max() < 1e-12
    both = Does(lambda self, x: self.a(x), a=conv())
    assert first(both).handle.keys() == {"kernel"}
