"""Ports broken on purpose, one fault each: the ladder must catch them on the given rung, at the given layer.

``parity selftest`` runs them all; a harness that lets one pass proves nothing about the ports it calls faithful.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from torch_impl.attention import SelfAttention

GENERATOR, DISCRIMINATOR = "specgan_tiny.generator", "dcgan_tiny.discriminator"
SPECTRAL, ATTENDING = "conditional_dcgan_improved_tiny.discriminator", "conditional_dcgan_improved_tiny.generator"
LEARNING = frozenset({"gradients", "penalty"})
VALUES = frozenset({"forward", *LEARNING})


@dataclass(frozen=True)
class Mutant:
    """``pair`` with ``layer`` of its port exchanged for ``fault(layer)`` must fail ``rung`` there, named ``kind``.

    ``besides`` are the rungs that the fault may break too. A fault without weights of its own shows on the gradient
    rungs in the layer ``shows`` behind it.
    """

    name: str
    pair: str
    layer: str
    fault: Callable[[Any], nn.Module]
    rung: str
    kind: str
    besides: frozenset[str] = frozenset()
    shows: str = ""

    def put_into(self, port: nn.Module) -> None:
        """Exchange the layer, which may lie in another (``body.attention``)."""
        holder, _, name = self.layer.rpartition(".")
        inside = port.get_submodule(holder)
        setattr(inside, name, self.fault(getattr(inside, name)))


class Noisy(nn.Conv2d):
    """Off by one part in a million."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve with an error of 1e-6."""
        return super().forward(input) * (1 + 1e-6)


class Detached(nn.Conv2d):
    """Correct values, no gradient."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve and detach."""
        return super().forward(input).detach()


class FlippedKernel(nn.Conv2d):
    """A true convolution where the frameworks correlate."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve with the kernel turned by 180 degrees."""
        return F.conv2d(input, self.weight.flip(2, 3), self.bias, self.stride, self.padding)


class OnceDifferentiable(torch.autograd.Function):
    """LeakyReLU 0.2 whose backward is right and whose double backward is lost."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """LeakyReLU."""
        ctx.save_for_backward(x)
        return torch.where(x > 0, x, 0.2 * x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Its gradient, detached."""
        (x,) = ctx.saved_tensors
        return torch.where(x > 0, gradients[0], 0.2 * gradients[0]).detach()


class OnceLeaky(nn.LeakyReLU):
    """LeakyReLU for first derivatives only."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it."""
        return OnceDifferentiable.apply(input)


class TwiceUpdated(nn.BatchNorm2d):
    """Normalises correctly and updates its running statistics twice."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise, in training twice."""
        if self.training:
            super().forward(input)
        return super().forward(input)


class UnbiasedNorm(nn.BatchNorm2d):
    """Normalises by the unbiased batch variance."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise, in training by n - 1."""
        if not self.training:
            return super().forward(input)
        count = input.numel() / input.shape[1]
        normal = super().forward(input)
        offset = self.bias[:, None, None]
        variance = input.var((0, 2, 3), correction=0)[:, None, None]
        shrink = ((variance + self.eps) / (variance * count / (count - 1) + self.eps)).sqrt()
        return (normal - offset) * shrink + offset


def like(cls: type[nn.Module], **changes: Any) -> Callable[[Any], nn.Module]:
    """A function that copies a layer's settings to another class or with some changes."""

    def make(layer: Any) -> nn.Module:
        names = ["in_channels", "out_channels", "kernel_size", "stride", "padding"]
        names += ["output_padding"] if issubclass(cls, nn.ConvTranspose2d) else []
        settings = {name: getattr(layer, name) for name in names} | {"bias": layer.bias is not None}
        return cls(**{**settings, **changes})

    return make


def plain(layer: Any) -> nn.Module:
    """The convolution without its spectral normalisation."""
    return like(nn.Conv2d)(layer)


def iterated(times: int) -> Callable[[Any], nn.Module]:
    """A function that gives a convolution spectral normalisation with so many power iterations a pass."""
    return lambda layer: spectral_norm(plain(layer), n_power_iterations=times)


class Scaled(SelfAttention):
    """Divides the logits by the root of the channels, as transformers do."""

    def forward(self, input: Tensor) -> Tensor:
        """Attend, with a scale."""
        q, k, v = (layer(input).flatten(2) for layer in (self.query, self.key, self.value))
        weights = (q.transpose(1, 2) @ k / self.channels**0.5).softmax(-1)
        return self.gamma * (v @ weights.transpose(1, 2)).view(input.shape) + input


def norm(cls: type[nn.BatchNorm2d] = nn.BatchNorm2d, **changes: Any) -> Callable[[Any], nn.Module]:
    """A function that copies a batch normalisation with some settings changed."""
    return lambda layer: cls(layer.num_features, **{"eps": layer.eps, "momentum": layer.momentum, **changes})


STATE = frozenset({"state"})
MOVED = VALUES | STATE
SHIFTED = like(nn.ConvTranspose2d, padding=2, output_padding=1)
SHORT = like(nn.ConvTranspose2d, padding=2, output_padding=0)
WIDE = like(nn.Conv2d, kernel_size=6, padding=2)
DILATED = like(nn.Conv2d, dilation=2, padding=3)
REST = frozenset({"weights", "shapes", "padding", "state"}) | VALUES
MUTANTS = [
    Mutant("epsilon", DISCRIMINATOR, "downconv_2_bn", norm(eps=1e-3), "structure", "batchnorm-epsilon", VALUES),
    Mutant("momentum", DISCRIMINATOR, "downconv_2_bn", norm(momentum=0.9), "structure", "batchnorm-momentum", STATE),
    Mutant(
        "slope",
        DISCRIMINATOR,
        "downconv_2_lrelu",
        lambda _: nn.LeakyReLU(0.01),
        "structure",
        "activation-slope",
        VALUES,
    ),
    Mutant("activation", GENERATOR, "upconv_2_relu", lambda _: nn.ELU(), "structure", "activation-kind", VALUES),
    Mutant("no norm", DISCRIMINATOR, "downconv_2_bn", lambda _: nn.Identity(), "structure", "missing-layer", REST),
    Mutant("dilation", DISCRIMINATOR, "downconv_2", DILATED, "structure", "dilation", REST),
    Mutant("kernel size", DISCRIMINATOR, "downconv_2", WIDE, "weights", "kernel-size", REST | {"structure"}),
    Mutant(
        "no bias",
        GENERATOR,
        "upconv_2",
        like(nn.ConvTranspose2d, bias=False),
        "weights",
        "missing-bias",
        REST | {"structure"},
    ),
    Mutant("short output", GENERATOR, "upconv_2", SHORT, "shapes", "output-padding", REST),
    Mutant("shifted by a pixel", GENERATOR, "upconv_2", SHIFTED, "padding", "padding-alignment", VALUES),
    Mutant("noise", DISCRIMINATOR, "downconv_2", like(Noisy), "forward", "scale-factor", REST),
    Mutant("flipped kernel", DISCRIMINATOR, "downconv_2", like(FlippedKernel), "forward", "kernel-layout", REST),
    Mutant(
        "unbiased norm", DISCRIMINATOR, "downconv_2_bn", norm(UnbiasedNorm), "forward", "batchnorm-variance", LEARNING
    ),
    Mutant("detached", DISCRIMINATOR, "downconv_2", like(Detached), "gradients", "numeric", LEARNING),
    Mutant(
        "no double backward",
        DISCRIMINATOR,
        "downconv_2_lrelu",
        lambda _: OnceLeaky(0.2),
        "penalty",
        "numeric",
        shows="downconv_3",
    ),  # fmt: skip
    Mutant("no spectral norm", SPECTRAL, "scale_0.body.downconv_1", plain, "structure", "spectral-norm", REST),
    Mutant(
        "two power iterations", SPECTRAL, "scale_0.body.downconv_1", iterated(2), "structure", "spectral-norm", MOVED
    ),
    Mutant(
        "scaled attention",
        ATTENDING,
        "body.attention_16",
        lambda layer: Scaled(layer.channels),
        "forward",
        "attention-scale",
        LEARNING,
    ),
    Mutant("statistics moved twice", DISCRIMINATOR, "downconv_2_bn", norm(TwiceUpdated), "state", "batchnorm-momentum"),
]
