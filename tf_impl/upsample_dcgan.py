"""DCGAN at 64x64 that upsamples and convolves, in Keras, NHWC; twin of torch_impl/upsample_dcgan.py.

After the document "DCGAN Experiments Log". Its torch code pads a kernel of 3 at stride 2 by one on every side, SAME
at the bottom right alone: here it is padded explicitly.
"""

from __future__ import annotations

from keras import Input, Layer
from keras.layers import Activation, Conv2D, Dense, Flatten, Reshape, ZeroPadding2D

from shared_impl.config.presets import checked
from shared_impl.config.systems import UpsampleDCGANConfig
from tf_impl.dropout import ChannelDropout
from tf_impl.framework_draws import FrameworkDraws
from tf_impl.initial_weights import initialise
from tf_impl.layers import BatchNorm, Chain, LeakyReLU, Upsample


class UpsampleDCGANGenerator(Chain):
    """Latents ``[B, nz]`` to images ``[B, 64, 64, nc]`` in (-1, 1).

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
            [
                Input([nz], name="z"),  # [B, nz]
                Dense(4 * 4 * 8 * g, name="z_project"),  # [B, 128g]
                Reshape([4, 4, 8 * g], name="z_project_reshape"),  # [B, 4, 4, 8g]
                *_up(4 * g, cfg, "upconv_0"),  # [B, 8, 8, 4g]
                *_norm_lrelu(cfg, "upconv_0"),
                *_up(2 * g, cfg, "upconv_1"),  # [B, 16, 16, 2g]
                *_norm_lrelu(cfg, "upconv_1"),
                *_up(g, cfg, "upconv_2"),  # [B, 32, 32, g]
                *_norm_lrelu(cfg, "upconv_2"),
                *_up(nc, cfg, "upconv_3"),  # [B, 64, 64, nc]
                Activation("tanh", name="upconv_3_tanh"),
            ]
        )
        initialise(self, "", cfg.init, FrameworkDraws())


class UpsampleDCGANDiscriminator(Chain):
    """Images ``[B, 64, 64, nc]`` to probabilities of being real ``[B]``, or with ``output="logit"`` to logits ``[B]``.

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
            [
                Input([64, 64, nc], name="x"),  # [B, 64, 64, nc]
                *_down(d, cfg, "downconv_0"),  # [B, 32, 32, d]
                LeakyReLU(0.2, name="downconv_0_lrelu"),
                ChannelDropout(cfg.dropout, name="downconv_0_dropout"),
                *_down(2 * d, cfg, "downconv_1"),  # [B, 16, 16, 2d]
                *_norm_lrelu(cfg, "downconv_1"),
                ChannelDropout(cfg.dropout, name="downconv_1_dropout"),
                *_down(4 * d, cfg, "downconv_2"),  # [B, 8, 8, 4d]
                *_norm_lrelu(cfg, "downconv_2"),
                ChannelDropout(cfg.dropout, name="downconv_2_dropout"),
                *_down(8 * d, cfg, "downconv_3"),  # [B, 4, 4, 8d]
                *_norm_lrelu(cfg, "downconv_3"),
                ChannelDropout(cfg.dropout, name="downconv_3_dropout"),
                Flatten(name="flatten"),  # [B, 128d]
                Dense(1, name="output"),  # [B, 1]
                Reshape([], name="squeeze"),  # [B]
                *([Activation("sigmoid", name="output_sigmoid")] if cfg.probabilities else []),
            ]
        )
        initialise(self, "", cfg.init, FrameworkDraws())


def _up(channels: int, cfg: UpsampleDCGANConfig, name: str) -> list[Layer]:
    """Twice the size: a resize and a convolution at stride 1."""
    return [
        Upsample(cfg.upsample, name=f"{name}_resize"),
        Conv2D(channels, 3, 1, "same", name=name),
    ]


def _down(channels: int, cfg: UpsampleDCGANConfig, name: str) -> list[Layer]:
    """Half the size: a convolution at stride 2, padded by one on every side."""
    return [
        ZeroPadding2D(1, name=f"{name}_pad"),
        Conv2D(channels, 3, 2, "valid", name=name),
    ]


def _norm_lrelu(cfg: UpsampleDCGANConfig, name: str) -> list[Layer]:
    """Batch norm, eps 1e-5, and LeakyReLU 0.2; Keras's momentum is the weight of the old running value."""
    return [
        BatchNorm(momentum=1 - cfg.momentum, epsilon=1e-5, name=f"{name}_bn"),
        LeakyReLU(0.2, name=f"{name}_lrelu"),
    ]
