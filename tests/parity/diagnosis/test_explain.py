"""Each hypothesis, on a port that has just that one fault: its finding names the fault at its layer."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

import parity
from parity.diagnosis.between import FAMILIES
from parity.diagnosis.explain import HYPOTHESES
from parity.verdict import Verdict
from tests.cases import faults

L = keras.layers


def reference() -> keras.Model:
    """Conv, BN, LeakyReLU, upsampling, conv, transposed conv, flatten, dense: a place for every fault."""
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            L.Conv2D(6, 5, strides=2, padding="same", name="conv"),
            L.BatchNormalization(epsilon=1e-3, momentum=0.9, name="bn"),
            L.LeakyReLU(0.2, name="act"),
            L.UpSampling2D(2, interpolation="nearest", name="up"),
            L.Conv2D(6, 3, padding="same", name="square"),
            L.ReLU(name="relu"),
            L.Conv2DTranspose(4, 5, strides=2, padding="same", name="deconv"),
            L.Activation("tanh", name="tanh"),
            L.Flatten(name="flatten"),
            L.Dense(5, name="dense"),
        ]
    )


class SameConv(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(F.pad(x, (1, 2, 1, 2)))


class SameDeconv(nn.ConvTranspose2d):
    def forward(self, x: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        return super().forward(x)[..., :-1, :-1]


class Port(nn.Module):
    """The faithful port; faults are put in from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = SameConv(3, 6, 5, stride=2)
        self.bn = nn.BatchNorm2d(6, eps=1e-3, momentum=0.1)
        self.act = nn.LeakyReLU(0.2)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.square = nn.Conv2d(6, 6, 3, padding=1)
        self.relu = nn.ReLU()
        self.deconv = SameDeconv(6, 4, 5, stride=2, padding=1)
        self.tanh = nn.Tanh()
        self.dense = nn.Linear(4 * 24 * 24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.bn(self.conv(x)))
        return self.tail(self.relu(self.square(self.up(x))))

    def tail(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.tanh(self.deconv(x)).flatten(1))


class Swapped(Port):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.bn(self.act(self.conv(x)))
        return self.tail(self.relu(self.square(self.up(x))))


def short_output(port: Port) -> None:
    port.deconv = nn.ConvTranspose2d(6, 4, 5, stride=2, padding=2, output_padding=0)
    port.dense = nn.Linear(4 * 23 * 23, 5)


class NoBias(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) - self.bias[:, None, None]


class TransposedKernel(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight.transpose(2, 3), self.bias, padding=1)


class FlippedKernel(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight.flip(2, 3), self.bias, padding=1)


class ReversedChannels(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).flip(1)


class TurnedResult(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).transpose(2, 3)


class MirroredInput(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flip(3))


class SwappedInput(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.cat([x[:, 2:], x[:, :2]], 1))


class ScaledInput(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x * 6**0.5)


class AlwaysRunning(nn.BatchNorm2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.1, self.eps)


class HiddenEpsilon(nn.BatchNorm2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training, 0.1, 1e-5)


class UnbiasedBatch(nn.BatchNorm2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        shape = (1, -1, 1, 1)
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=1)
        y = (x - mean.view(shape)) / (variance.view(shape) + self.eps).sqrt()
        return y * self.weight.view(shape) + self.bias.view(shape)


class AlwaysBatch(nn.BatchNorm2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.1, self.eps)


class HiddenSlope(nn.LeakyReLU):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, 0.01 * x)


class HiddenKind(nn.Tanh):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1 / (1 + torch.exp(-x))


class HiddenBilinear(nn.Upsample):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear")


def swapped(port: Port) -> None:
    port.__class__ = Swapped


def put(name: str, make: Callable[[], nn.Module]) -> Callable[[Port], None]:
    return lambda port: setattr(port, name, make())


def other_crop(port: Port) -> None:
    port.deconv = nn.ConvTranspose2d(6, 4, 5, stride=2, padding=2, output_padding=1)


def no_activation(port: Port) -> None:
    port.relu = nn.Identity()


FAULTS: list[tuple[str, str, Callable[[Port], None]]] = [
    ("padding-alignment", "conv", put("conv", lambda: nn.Conv2d(3, 6, 5, stride=2, padding=2))),
    ("padding-alignment", "deconv", other_crop),
    ("output-padding", "deconv", short_output),
    ("missing-bias", "square", put("square", lambda: NoBias(6, 6, 3, padding=1))),
    ("missing-bias", "square", put("square", lambda: nn.Conv2d(6, 6, 3, padding=1, bias=False))),
    ("kernel-layout", "square", put("square", lambda: TransposedKernel(6, 6, 3, padding=1))),
    ("kernel-layout", "square", put("square", lambda: FlippedKernel(6, 6, 3, padding=1))),
    ("channel-order", "square", put("square", lambda: ReversedChannels(6, 6, 3, padding=1))),
    ("batchnorm-epsilon", "bn", put("bn", lambda: nn.BatchNorm2d(6, eps=1e-5, momentum=0.1))),
    ("batchnorm-epsilon", "bn", put("bn", lambda: HiddenEpsilon(6, eps=1e-3, momentum=0.1))),
    ("batchnorm-momentum", "bn", put("bn", lambda: nn.BatchNorm2d(6, eps=1e-3, momentum=0.9))),
    ("batchnorm-variance", "bn", put("bn", lambda: UnbiasedBatch(6, eps=1e-3, momentum=0.1))),
    ("batchnorm-statistics", "bn", put("bn", lambda: AlwaysBatch(6, eps=1e-3, momentum=0.1))),
    ("activation-slope", "act", put("act", lambda: nn.LeakyReLU(0.01))),
    ("activation-slope", "act", put("act", lambda: HiddenSlope(0.2))),
    ("activation-kind", "relu", put("relu", lambda: nn.ELU())),
    ("activation-kind", "tanh", put("tanh", lambda: HiddenKind())),
    ("activation-kind", "relu", no_activation),
    ("resize-mode", "up", put("up", lambda: nn.Upsample(scale_factor=2, mode="bilinear"))),
    ("resize-mode", "up", put("up", lambda: HiddenBilinear(scale_factor=2, mode="nearest"))),
    ("padding-mode", "square", put("square", lambda: nn.Conv2d(6, 6, 3, padding=1, padding_mode="reflect"))),
    ("padding-mode", "square", put("square", lambda: nn.Conv2d(6, 6, 3, padding=1, padding_mode="circular"))),
    ("axes-exchanged", "square", put("square", lambda: TurnedResult(6, 6, 3, padding=1))),
    ("axis-reversed", "square", put("square", lambda: MirroredInput(6, 6, 3, padding=1))),
    ("channel-order", "square", put("square", lambda: SwappedInput(6, 6, 3, padding=1))),
    ("scale-factor", "square", put("square", lambda: ScaledInput(6, 6, 3, padding=1))),
    ("batchnorm-statistics", "bn", put("bn", lambda: AlwaysRunning(6, eps=1e-3, momentum=0.1))),
    ("layer-order", "bn", swapped),
    ("spectral-norm", "square", put("square", lambda: spectral_norm(nn.Conv2d(6, 6, 3, padding=1)))),
    ("kernel-size", "square", put("square", lambda: nn.Conv2d(6, 6, 5, padding=2))),
    ("dilation", "square", put("square", lambda: nn.Conv2d(6, 6, 3, padding=2, dilation=2))),
    ("groups", "square", put("square", lambda: nn.Conv2d(6, 6, 3, padding=1, groups=2))),
    ("stride", "conv", put("conv", lambda: nn.Conv2d(3, 6, 5, stride=3))),
    ("missing-layer", "bn", put("bn", lambda: nn.Identity())),
    ("extra-layer", "tanh", put("tanh", lambda: nn.Sequential(nn.Tanh(), nn.BatchNorm2d(4)))),
]


@cache
def verdict(fault: Callable[[Port], None] | None) -> Verdict:
    keras.utils.set_random_seed(1)
    port = Port()
    if fault is not None:
        fault(port)
    return parity.verify(reference(), port)


def test_the_port_without_a_fault_passes() -> None:
    found = verdict(None)
    assert found.passed, found.to_text()
    assert {name for name, rung in found.rungs.items() if rung.judgement != "pass"} == {"penalty", "state"}
    assert found.rungs["penalty"].judgement == found.rungs["state"].judgement == "known-difference"
    assert [finding.kind for finding in found.findings] == ["batchnorm-statistics", "batchnorm-variance"]
    assert "tf.nn.moments stops the gradient" in found.findings[0].message
    assert "n/(n-1)" in found.findings[1].message


@pytest.mark.parametrize(("kind", "layer", "fault"), FAULTS, ids=lambda value: getattr(value, "__name__", value))
def test_a_fault_is_explained_at_its_layer(kind: str, layer: str, fault: Callable[[Port], None]) -> None:
    found = verdict(fault)
    assert not found.passed
    named = [finding for finding in found.findings if finding.kind == kind]
    where = {part for finding in named for part in (finding.layer, finding.reference_layer)}
    assert any(layer == part.split(".")[0] for part in where), found.to_text()
    assert all(finding.message and finding.fix for finding in named)


def test_every_hypothesis_has_a_fault() -> None:
    unproven = {kind for kind, _ in HYPOTHESES} - {kind for kind, _, _ in FAULTS} - {"flatten-order"}
    unproven -= {fault.kind for fault in faults.FAULTS.values()}  # of layers that this port lacks
    unproven -= {"activation-form", "groupnorm-epsilon"}  # of the port further below
    assert not unproven


def test_an_output_flattened_in_another_order_is_explained() -> None:
    model = keras.Sequential([keras.Input((6, 5, 3)), L.Conv2D(4, 3, padding="same"), L.Flatten()])
    port = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten())
    found = parity.verify(model, port)
    assert [finding.kind for finding in found.findings] == ["flatten-order"], found.to_text()
    assert "permute" in found.findings[0].fix


def test_a_shifted_transposed_convolution_is_explained_with_its_amounts() -> None:
    found = verdict(other_crop)
    finding = next(finding for finding in found.findings if finding.kind == "padding-alignment")
    assert "cropping (2, 1) where the reference has (1, 2)" in finding.message
    assert "padding=1, then drop the last row and column" in finding.fix
    assert np.isfinite(found.first_divergence.isolated)


class Normed(nn.Module):
    """Layer norm, group norm and gelu, whose settings do not tell what they compute."""

    def __init__(self, epsilon: float = 1e-3, group_epsilon: float = 1e-3, form: str = "none", groups: int = 2) -> None:
        super().__init__()
        self.dense, self.act = nn.Linear(8, 6), nn.GELU()
        self.ln, self.gn = nn.LayerNorm(6, eps=1e-3), nn.GroupNorm(2, 6, eps=1e-3)
        self.ln.forward = lambda x: F.layer_norm(x, (6,), self.ln.weight, self.ln.bias, epsilon)
        self.gn.forward = lambda x: F.group_norm(x, groups, self.gn.weight, self.gn.bias, group_epsilon)
        self.act.forward = lambda x: x * torch.sigmoid(1.702 * x) if form == "quick" else F.gelu(x, approximate=form)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gn(self.ln(self.act(self.dense(x))).mT).mT


@pytest.mark.parametrize(
    ("kind", "words", "fault"),
    [
        ("layernorm-epsilon", "epsilon is 1e-05, the reference's 0.001", {"epsilon": 1e-5}),
        ("groupnorm-epsilon", "epsilon is 0.01, the reference's 0.001", {"group_epsilon": 1e-2}),
        ("groups", "3 groups of channels, the reference 2", {"groups": 3}),
        ("activation-form", "tanh approximation, the reference gelu in its exact form", {"form": "tanh"}),
        ("activation-form", "quick gelu", {"form": "quick"}),
    ],
)
def test_hidden_settings_of_normalisations_and_gelu_are_solved_for(kind: str, words: str, fault: dict) -> None:
    keras.utils.set_random_seed(1)
    layers = [L.Dense(6), L.Activation("gelu"), L.LayerNormalization(), L.GroupNormalization(2)]
    found = parity.verify(keras.Sequential([keras.Input((5, 8)), *layers]), Normed(**fault), rungs=["forward"])
    assert [finding.kind for finding in found.findings] == [kind], found.to_text()
    assert words in found.findings[0].message, found.to_text()


def test_a_frozen_batchnorm_is_told_from_one_that_trains() -> None:
    reference = keras.Sequential([keras.Input((6, 6, 3)), L.Conv2D(4, 3), L.BatchNormalization(name="bn")])
    reference.get_layer("bn").trainable = False
    port = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=1e-3, momentum=0.01))
    found = parity.verify(reference, port, rungs=["forward"])
    assert [finding.kind for finding in found.findings] == ["batchnorm-statistics"], found.to_text()
    assert "frozen" in found.findings[0].message and ".eval()" in found.findings[0].fix


def test_every_kind_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "verifying.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([a-z0-9-]+)`", text[text.index("## Kinds of finding") :]))
    kinds = {kind for kind, _ in HYPOTHESES} | {kind for family in FAMILIES for kind in family.kinds.values()}
    assert kinds <= documented, kinds - documented
