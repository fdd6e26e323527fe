"""Each rung can fail: the port is broken on purpose, and that rung fails at that layer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import parity
import tf_impl
import torch_impl
from common.config import load
from parity.ladder import RUNGS
from parity.ladder_names import NAMES
from parity.verdict import UnusableInput, Verdict


def twins(system: str, network: str, *options: str) -> tuple:
    model = load(f"{system}_tiny", [f"model.{option}" for option in options]).model
    torch.manual_seed(0)
    return tf_impl.build(model, network), torch_impl.build(model, network)


class Noisy(nn.Conv2d):
    """A layer whose output is off by one part in a million."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * (1 + 1e-6)


class Detached(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).detach()


class OnceDifferentiable(torch.autograd.Function):
    """LeakyReLU 0.2 whose backward is right and whose double backward is lost."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x > 0, x, 0.2 * x)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return torch.where(x > 0, gradient, 0.2 * gradient).detach()


class OnceLeaky(nn.LeakyReLU):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return OnceDifferentiable.apply(x)


class TwiceUpdated(nn.BatchNorm2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            super().forward(x)
        return super().forward(x)


def like(layer: nn.Module, cls: type, **changes: object) -> nn.Module:
    """The layer as another class, or with other settings."""
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "output_padding")
    settings = {name: getattr(layer, name) for name in names if hasattr(layer, name)}
    settings["bias"] = layer.bias is not None
    if cls is nn.Conv2d or issubclass(cls, nn.Conv2d):
        settings.pop("output_padding")
    return cls(**{**settings, **changes})


def break_structure(port: nn.Module) -> None:
    port.downconv_2_bn.eps = 1e-3


def break_weights(port: nn.Module) -> None:
    port.downconv_2 = like(port.downconv_2, nn.Conv2d, kernel_size=6, padding=2)


def break_shapes(port: nn.Module) -> None:
    port.upconv_2 = like(port.upconv_2, nn.ConvTranspose2d, padding=2, output_padding=0)


def break_padding(port: nn.Module) -> None:
    port.upconv_2 = like(port.upconv_2, nn.ConvTranspose2d, padding=2, output_padding=1)


def break_forward(port: nn.Module) -> None:
    port.downconv_2 = like(port.downconv_2, Noisy)


def break_gradients(port: nn.Module) -> None:
    port.downconv_2 = like(port.downconv_2, Detached)


def break_penalty(port: nn.Module) -> None:
    port.downconv_2_lrelu = OnceLeaky(0.2)


def break_state(port: nn.Module) -> None:
    port.downconv_2_bn = TwiceUpdated(port.downconv_2_bn.num_features)


# rung -> (system, network, how to break it, the layer it fails at, rungs that may fail besides)
BREAKS: dict[str, tuple[str, str, Callable[[nn.Module], None], str, set[str]]] = {
    "structure": ("dcgan", "discriminator", break_structure, "downconv_2_bn", {"forward", "gradients", "penalty"}),
    "weights": ("dcgan", "discriminator", break_weights, "downconv_2", set(NAMES)),
    "shapes": ("specgan", "generator", break_shapes, "upconv_2", set(NAMES) - {"structure", "weights"}),
    "padding": ("specgan", "generator", break_padding, "upconv_2", {"forward", "gradients", "penalty"}),
    "forward": ("dcgan", "discriminator", break_forward, "downconv_2", {"padding", "gradients", "penalty"}),
    "gradients": ("dcgan", "discriminator", break_gradients, "downconv_2", {"penalty"}),
    "penalty": ("dcgan", "discriminator", break_penalty, "downconv_2_lrelu", set()),
    "state": ("dcgan", "discriminator", break_state, "downconv_2_bn", set()),
}


@pytest.mark.parametrize("rung", NAMES)
def test_a_broken_port_fails_that_rung_at_that_layer(rung: str) -> None:
    system, network, break_it, layer, besides = BREAKS[rung]
    reference, port = twins(system, network)
    assert parity.verify(reference, port, rungs=[rung]).passed
    break_it(port)
    verdict = parity.verify(reference, port)
    failed = [check.layer for check in verdict.rungs[rung].checks if check.judgement == "fail"]
    assert not verdict.passed
    behind = {"downconv_2_lrelu": "downconv_3"}  # has no weights: its lost double backward shows in the layer behind it
    assert behind.get(layer, layer) in failed, f"{rung}: fails at {failed or 'no layer'}: {verdict.to_text()}"
    others = {name for name, result in verdict.rungs.items() if result.judgement == "fail"} - {rung}
    assert others <= besides, verdict.to_text()
    assert any(layer in (finding.layer, finding.reference_layer) for finding in verdict.findings), verdict.to_text()
    assert verdict.first_divergence is not None
    with pytest.raises(parity.NotFaithful, match=layer):
        verdict.raise_if_failed()


def test_only_the_broken_layer_is_wrong_by_itself() -> None:
    reference, port = twins("specgan", "generator")
    break_padding(port)
    verdict = parity.verify(reference, port)
    wrong = [row.layer for row in verdict.layers if row.isolated is not None and row.isolated > 1e-9]
    chained = [row.layer for row in verdict.layers if row.float64 is not None and row.float64 > 1e-9]
    assert wrong == ["upconv_2"]
    assert chained[0] == "upconv_2" and chained[-1] == "upconv_4_tanh"
    assert verdict.first_divergence.layer == "upconv_2"
    victims = [row for row in verdict.layers if row.layer in chained[1:]]
    assert all("inherits" in row.note for row in victims)


def test_every_rung_has_a_test_that_breaks_it() -> None:
    assert set(BREAKS) == set(RUNGS) == set(NAMES)


def test_the_referee_says_which_side_is_wrong() -> None:
    reference, port = twins("specgan", "generator")
    break_padding(port)
    rows = {row.layer: row for row in parity.verify(reference, port, rungs=["forward"]).layers}
    assert rows["upconv_2"].referee == "reference"
    assert rows["upconv_1"].referee == rows["z_project"].referee == "both"


def test_nan_in_the_port_fails() -> None:
    class Broken(nn.Tanh):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) / (x * 0)

    reference, port = twins("dcgan", "generator")
    port.upconv_4_tanh = Broken()
    verdict = parity.verify(reference, port, rungs=["forward"])
    assert not verdict.passed
    assert "NaN or infinity" in verdict.to_text()


def test_a_half_precision_step_is_no_rounding() -> None:
    class Lossy(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = super().forward(x)
            return y if y.dtype == torch.float64 else y.half().float()

    reference, port = twins("dcgan", "discriminator")
    port.downconv_1 = like(port.downconv_1, Lossy)
    verdict = parity.verify(reference, port, rungs=["forward"])
    failed = [check for check in verdict.rungs["forward"].checks if check.judgement == "fail"]
    assert failed[0].layer == "downconv_1"
    assert all(check.what.startswith("float32") for check in failed)


def test_unknown_rung_lists_the_valid_ones() -> None:
    reference, port = twins("dcgan", "generator")
    with pytest.raises(UnusableInput, match="'forwards'.*structure, weights"):
        parity.verify(reference, port, rungs=["forwards"])


def test_a_verdict_is_the_same_twice() -> None:
    def numbers(verdict: Verdict) -> list[float | None]:
        return [check.measured for rung in verdict.rungs.values() for check in rung.checks]

    reference, port = twins("dcgan", "discriminator")
    assert numbers(parity.verify(reference, port, seed=3)) == numbers(parity.verify(reference, port, seed=3))
