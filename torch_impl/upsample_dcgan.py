"""DCGAN at 64x64 that upsamples and convolves, in torch, NCHW; twin of tf_impl/upsample_dcgan.py.

After the document "DCGAN Experiments Log". It pads a kernel of 3 at stride 2 by one on every side, TF's SAME at the
bottom right alone.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import BatchNorm2d, Conv2d, Flatten, LeakyReLU, Linear, Module, Sigmoid, Tanh, Unflatten, Upsample

from shared_impl.config.presets import checked
from shared_impl.config.systems import UpsampleDCGANConfig
from torch_impl.dropout import ChannelDropout
from torch_impl.framework_draws import FrameworkDraws
from torch_impl.initial_weights import initialise


class UpsampleDCGANGenerator(nn.Sequential):
    """Latents ``[B, nz]`` or ``[B, nz, 1, 1]`` to images ``[B, nc, 64, 64]`` in (-1, 1).

    ``momentum`` is the weight of the new running statistics, torch's convention, in which the original writes 0.8.
    Raises ConfigError (a ValueError) that names the valid options.
    """

    def __init__(
        self,
        nz: int = 100,
        ngf: int = 64,
        nc: int = 3,
        upsample: str = "nearest",
        momentum: float = 0.8,
        init: str = "framework",
    ) -> None:
        options = dict(nz=nz, ngf=ngf, nc=nc, upsample=upsample, momentum=momentum, init=init)
        cfg = checked(UpsampleDCGANConfig, options, where="UpsampleDCGANGenerator")
        g = ngf
        super().__init__(
            OrderedDict(
                z_project=Linear(nz, 8 * g * 4 * 4),  # [B, 128g]
                z_project_reshape=Unflatten(1, (8 * g, 4, 4)),  # [B, 8g, 4, 4]
                **_up(8 * g, 4 * g, cfg, "upconv_0"),  # [B, 4g, 8, 8]
                **_norm_lrelu(4 * g, cfg, "upconv_0"),
                **_up(4 * g, 2 * g, cfg, "upconv_1"),  # [B, 2g, 16, 16]
                **_norm_lrelu(2 * g, cfg, "upconv_1"),
                **_up(2 * g, g, cfg, "upconv_2"),  # [B, g, 32, 32]
                **_norm_lrelu(g, cfg, "upconv_2"),
                **_up(g, nc, cfg, "upconv_3"),  # [B, nc, 64, 64]
                upconv_3_tanh=Tanh(),
            )
        )
        initialise(self, "", cfg.init, FrameworkDraws())

    def forward(self, input: Tensor) -> Tensor:
        """Generate; ``[B, nz, 1, 1]`` is taken as ``[B, nz]``."""
        return super().forward(input.flatten(1))


class UpsampleDCGANDiscriminator(nn.Sequential):
    """Images ``[B, nc, 64, 64]`` to probabilities of being real ``[B]``, or with ``output="logit"`` to logits ``[B]``.

    In training every block drops channels at the rate ``dropout``. Raises ConfigError (a ValueError) that names the
    valid options.
    """

    def __init__(
        self,
        ndf: int = 64,
        nc: int = 3,
        momentum: float = 0.8,
        dropout: float = 0.25,
        output: str = "probability",
        init: str = "framework",
    ) -> None:
        options = dict(ndf=ndf, nc=nc, momentum=momentum, dropout=dropout, output=output, init=init)
        cfg = checked(UpsampleDCGANConfig, options, where="UpsampleDCGANDiscriminator")
        d = ndf
        super().__init__(
            OrderedDict(
                **_down(nc, d, "downconv_0"),  # [B, d, 32, 32]
                downconv_0_lrelu=LeakyReLU(0.2),
                downconv_0_dropout=ChannelDropout(cfg.dropout),
                **_down(d, 2 * d, "downconv_1"),  # [B, 2d, 16, 16]
                **_norm_lrelu(2 * d, cfg, "downconv_1"),
                downconv_1_dropout=ChannelDropout(cfg.dropout),
                **_down(2 * d, 4 * d, "downconv_2"),  # [B, 4d, 8, 8]
                **_norm_lrelu(4 * d, cfg, "downconv_2"),
                downconv_2_dropout=ChannelDropout(cfg.dropout),
                **_down(4 * d, 8 * d, "downconv_3"),  # [B, 8d, 4, 4]
                **_norm_lrelu(8 * d, cfg, "downconv_3"),
                downconv_3_dropout=ChannelDropout(cfg.dropout),
                flatten=Flatten(),  # [B, 128d]
                output=Linear(8 * d * 4 * 4, 1),  # [B, 1]
                squeeze=Flatten(0),  # [B]
                **({"output_sigmoid": Sigmoid()} if cfg.probabilities else {}),
            )
        )
        initialise(self, "", cfg.init, FrameworkDraws())


def _up(channels: int, features: int, cfg: UpsampleDCGANConfig, name: str) -> dict[str, Module]:
    """Twice the size: a resize and a convolution at stride 1."""
    corners = False if cfg.upsample == "bilinear" else None
    return {
        f"{name}_resize": Upsample(scale_factor=2, mode=cfg.upsample, align_corners=corners),
        name: Conv2d(channels, features, 3, 1, 1),
    }


def _down(channels: int, features: int, name: str) -> dict[str, Module]:
    """Half the size: a convolution at stride 2, padded by one on every side."""
    return {name: Conv2d(channels, features, 3, 2, 1)}


def _norm_lrelu(channels: int, cfg: UpsampleDCGANConfig, name: str) -> dict[str, Module]:
    """Batch norm, eps 1e-5, and LeakyReLU 0.2; torch's momentum is the weight of the new running value."""
    return {
        f"{name}_bn": BatchNorm2d(channels, momentum=cfg.momentum, eps=1e-5),
        f"{name}_lrelu": LeakyReLU(0.2),
    }
