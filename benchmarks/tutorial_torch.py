"""A plain training loop in torch, as good tutorials write it: what torch_impl's trainer is measured against.

DCGAN follows pytorch.org's DCGAN tutorial, SpecGAN the usual WGAN-GP loop. Stock layers, NCHW in memory, real and fake
in separate passes, ``loss.backward()`` for everything that has a gradient, and SAME by padding and cropping.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared_impl.config.schema import Config

Metrics = dict[str, Tensor]


class SameConv2d(nn.Conv2d):
    """Stride 2, kernel 5: SAME at even sizes."""

    def forward(self, input: Tensor) -> Tensor:
        """Pad and convolve."""
        return super().forward(F.pad(input, (1, 2, 1, 2)))


class SameConvTranspose2d(nn.ConvTranspose2d):
    """Stride 2, kernel 5: SAME."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve and crop."""
        return super().forward(input, output_size)[..., :-1, :-1]


def specgan(model: Any) -> tuple[nn.Module, nn.Module]:
    """SpecGAN's generator and discriminator, without batch norm and with a kernel of 5."""
    d, widths = model.dim, [16, 8, 4, 2, 1]
    up: list[nn.Module] = [nn.Linear(model.nz, 256 * d), nn.Unflatten(1, (16 * d, 4, 4)), nn.ReLU()]
    down: list[nn.Module] = []
    for i, width in enumerate(widths):
        out = widths[i + 1] * d if i < 4 else model.nc
        up += [SameConvTranspose2d(width * d, out, 5, 2, 1), nn.ReLU() if i < 4 else nn.Tanh()]
        given = model.nc if i == 0 else widths[5 - i] * d
        down += [SameConv2d(given, widths[4 - i] * d, 5, 2), nn.LeakyReLU(0.2)]
    return nn.Sequential(*up), nn.Sequential(*down, nn.Flatten(), nn.Linear(256 * d, 1), nn.Flatten(0))


def dcgan(model: Any) -> tuple[nn.Module, nn.Module]:
    """DCGAN's generator and discriminator at 64x64."""
    g, d, widths = model.ngf, model.ndf, [8, 4, 2, 1]
    up: list[nn.Module] = [nn.Unflatten(1, (model.nz, 1, 1)), nn.ConvTranspose2d(model.nz, 8 * g, 4, 1, 0, bias=False)]
    down: list[nn.Module] = [nn.Conv2d(model.nc, d, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for i, width in enumerate(widths):
        out = widths[i + 1] * g if i < 3 else model.nc
        up += [nn.BatchNorm2d(width * g), nn.ReLU(), nn.ConvTranspose2d(width * g, out, 4, 2, 1, bias=False)]
        if i < 3:
            channels = 2 ** (i + 1) * d
            down += [nn.Conv2d(channels // 2, channels, 4, 2, 1, bias=False), nn.BatchNorm2d(channels)]
            down += [nn.LeakyReLU(0.2)]
    return nn.Sequential(*up, nn.Tanh()), nn.Sequential(*down, nn.Conv2d(8 * d, 1, 4, 1, 0, bias=False), nn.Flatten(0))


class Tutorial:
    """Both networks, two stock Adams and the two losses of a configuration."""

    def __init__(self, config: Config, weights: tuple[list[Tensor], list[Tensor]], device: torch.device) -> None:
        self.penalised = config.loss.kind == "wgan-gp"
        self.penalty_weight, self.nz = config.loss.penalty_weight, config.model.nz
        networks = (specgan if config.model.system == "specgan" else dcgan)(config.model)
        self.generator, self.discriminator = (network.to(device) for network in networks)
        with torch.no_grad():
            for network, values in zip((self.generator, self.discriminator), weights, strict=True):
                for parameter, value in zip(network.parameters(), values, strict=True):
                    parameter.copy_(value)
        adam = config.optimizer
        self.d_optimizer, self.g_optimizer = (
            torch.optim.Adam(network.parameters(), lr=adam.lr, betas=(adam.beta1, adam.beta2))
            for network in (self.discriminator, self.generator)
        )
        self.device = device

    def step(self, real: Tensor) -> Metrics:
        """One update of each network on images ``[B, C, H, W]``."""
        if self.penalised:
            return self.wasserstein(real, self.noise(real), torch.rand(len(real), device=self.device), self.noise(real))
        return self.non_saturating(real, self.noise(real))

    def noise(self, real: Tensor) -> Tensor:
        """Latents ``[B, nz]``."""
        return torch.randn(len(real), self.nz, device=self.device)

    def non_saturating(self, real: Tensor, z: Tensor) -> Metrics:
        """DCGAN's step: G learns from the fakes that D has seen."""
        criterion = nn.BCEWithLogitsLoss()
        ones, zeros = torch.ones(len(real), device=self.device), torch.zeros(len(real), device=self.device)
        self.discriminator.zero_grad()
        loss_real = criterion(self.discriminator(real), ones)
        loss_real.backward()
        fake = self.generator(z)
        loss_fake = criterion(self.discriminator(fake.detach()), zeros)
        loss_fake.backward()
        self.d_optimizer.step()
        self.generator.zero_grad()
        g_loss = criterion(self.discriminator(fake), ones)
        g_loss.backward()
        self.g_optimizer.step()
        return {"d_loss": (loss_real + loss_fake).detach(), "g_loss": g_loss.detach()}

    def wasserstein(self, real: Tensor, z: Tensor, alpha: Tensor, z_again: Tensor) -> Metrics:
        """WGAN-GP's step with a single update of D."""
        self.d_optimizer.zero_grad()
        fake = self.generator(z).detach()
        d_loss = self.discriminator(fake).mean() - self.discriminator(real).mean()
        d_loss = d_loss + self.penalty_weight * self.penalty(real, fake, alpha)
        d_loss.backward()
        self.d_optimizer.step()
        self.g_optimizer.zero_grad()
        g_loss = -self.discriminator(self.generator(z_again)).mean()
        g_loss.backward()
        self.g_optimizer.step()
        return {"d_loss": d_loss.detach(), "g_loss": g_loss.detach()}

    def penalty(self, real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
        """Mean of (|gradient of D| - 1) squared between real and fake."""
        alpha = alpha.view(-1, 1, 1, 1)
        between = ((1 - alpha) * real + alpha * fake).requires_grad_(True)
        logits = self.discriminator(between)
        (gradient,) = torch.autograd.grad(
            outputs=logits, inputs=between, grad_outputs=torch.ones_like(logits), create_graph=True, retain_graph=True
        )
        return ((gradient.view(len(real), -1).norm(2, dim=1) - 1) ** 2).mean()

    def gradients(self) -> Iterator[Tensor]:
        """What Adam has seen in its first step, parameter by parameter, D's first."""
        for optimizer in (self.d_optimizer, self.g_optimizer):
            (group,) = optimizer.param_groups
            for parameter in group["params"]:
                yield optimizer.state[parameter]["exp_avg"] / (1 - group["betas"][0])
