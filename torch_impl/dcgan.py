"""DCGAN at 64x64 in torch, NCHW; twin of tf_impl/dcgan.py.

Radford et al. 2015, arXiv:1511.06434, figure 1. At even sizes a kernel of 4 at stride 2 makes SAME symmetric:
it is torch's ``padding=1``.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import BatchNorm2d, Conv2d, ConvTranspose2d, Flatten, LeakyReLU, ReLU, Tanh, Unflatten

from shared_impl.config.presets import checked
from shared_impl.config.systems import DCGANConfig
from torch_impl.framework_draws import FrameworkDraws
from torch_impl.initial_weights import initialise


class DCGANGenerator(nn.Sequential):
    """Latents ``[B, nz]`` or ``[B, nz, 1, 1]`` to images ``[B, nc, 64, 64]`` in (-1, 1).

    ``init="normal"`` is the paper's N(0, 0.02); ``"framework"`` is torch's own default, U(+-1/sqrt(fan_in)).
    Raises ConfigError (a ValueError) that names the valid options.
    """

    def __init__(self, nz: int = 100, ngf: int = 64, nc: int = 1, init: str = "normal") -> None:
        cfg = checked(DCGANConfig, {"nz": nz, "ngf": ngf, "nc": nc, "init": init}, where="DCGANGenerator")
        g = ngf
        super().__init__(
            OrderedDict(
                z_reshape=Unflatten(1, (nz, 1, 1)),  # [B, nz, 1, 1]
                upconv_0=ConvTranspose2d(nz, 8 * g, 4, 1, 0, bias=False),  # [B, 8g, 4, 4]
                upconv_0_bn=_norm(8 * g),
                upconv_0_relu=ReLU(),
                upconv_1=ConvTranspose2d(8 * g, 4 * g, 4, 2, 1, bias=False),  # [B, 4g, 8, 8]
                upconv_1_bn=_norm(4 * g),
                upconv_1_relu=ReLU(),
                upconv_2=ConvTranspose2d(4 * g, 2 * g, 4, 2, 1, bias=False),  # [B, 2g, 16, 16]
                upconv_2_bn=_norm(2 * g),
                upconv_2_relu=ReLU(),
                upconv_3=ConvTranspose2d(2 * g, g, 4, 2, 1, bias=False),  # [B, g, 32, 32]
                upconv_3_bn=_norm(g),
                upconv_3_relu=ReLU(),
                upconv_4=ConvTranspose2d(g, nc, 4, 2, 1, bias=False),  # [B, nc, 64, 64]
                upconv_4_tanh=Tanh(),
            )
        )
        initialise(self, "", cfg.init, FrameworkDraws())

    def forward(self, input: Tensor) -> Tensor:
        """Generate; ``[B, nz, 1, 1]`` is taken as ``[B, nz]``."""
        return super().forward(input.flatten(1))


class DCGANDiscriminator(nn.Sequential):
    """Images ``[B, nc, 64, 64]`` to logits ``[B]``; raises ConfigError (a ValueError) naming the valid options."""

    def __init__(self, ndf: int = 64, nc: int = 1, init: str = "normal") -> None:
        cfg = checked(DCGANConfig, {"ndf": ndf, "nc": nc, "init": init}, where="DCGANDiscriminator")
        d = ndf
        super().__init__(
            OrderedDict(
                downconv_0=Conv2d(nc, d, 4, 2, 1, bias=False),  # [B, d, 32, 32]
                downconv_0_lrelu=LeakyReLU(0.2),
                downconv_1=Conv2d(d, 2 * d, 4, 2, 1, bias=False),  # [B, 2d, 16, 16]
                downconv_1_bn=_norm(2 * d),
                downconv_1_lrelu=LeakyReLU(0.2),
                downconv_2=Conv2d(2 * d, 4 * d, 4, 2, 1, bias=False),  # [B, 4d, 8, 8]
                downconv_2_bn=_norm(4 * d),
                downconv_2_lrelu=LeakyReLU(0.2),
                downconv_3=Conv2d(4 * d, 8 * d, 4, 2, 1, bias=False),  # [B, 8d, 4, 4]
                downconv_3_bn=_norm(8 * d),
                downconv_3_lrelu=LeakyReLU(0.2),
                output=Conv2d(8 * d, 1, 4, 1, 0, bias=False),  # [B, 1, 1, 1]
                squeeze=Flatten(0),  # [B]
            )
        )
        initialise(self, "", cfg.init, FrameworkDraws())


def _norm(channels: int) -> BatchNorm2d:
    """Batch norm with torch's defaults: eps 1e-5, the weight 0.1 of the new running value."""
    return BatchNorm2d(channels, momentum=0.1, eps=1e-5)
