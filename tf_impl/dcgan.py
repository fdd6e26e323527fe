"""DCGAN at 64x64 in Keras, NHWC; twin of torch_impl/dcgan.py.

Radford et al. 2015, arXiv:1511.06434, figure 1. At even sizes a kernel of 4 at stride 2 makes SAME symmetric:
it is torch's ``padding=1``.
"""

from __future__ import annotations

from keras import Input
from keras.layers import Activation, Conv2D, Conv2DTranspose, ReLU, Reshape

from shared_impl.config.presets import checked
from shared_impl.config.systems import DCGANConfig
from tf_impl.framework_draws import FrameworkDraws
from tf_impl.initial_weights import initialise
from tf_impl.layers import BatchNorm, Chain, LeakyReLU


class DCGANGenerator(Chain):
    """Latents ``[B, nz]`` to images ``[B, 64, 64, nc]`` in (-1, 1).

    ``init="normal"`` is the paper's N(0, 0.02); ``"framework"`` is torch's own default, U(+-1/sqrt(fan_in)).
    Raises ConfigError (a ValueError) that names the valid options.
    """

    def __init__(self, nz: int = 100, ngf: int = 64, nc: int = 1, init: str = "normal") -> None:
        cfg = checked(DCGANConfig, {"nz": nz, "ngf": ngf, "nc": nc, "init": init}, where="DCGANGenerator")
        g = ngf
        super().__init__(
            [
                Input([nz], name="z"),  # [B, nz]
                Reshape([1, 1, nz], name="z_reshape"),  # [B, 1, 1, nz]
                Conv2DTranspose(8 * g, 4, 1, "valid", use_bias=False, name="upconv_0"),  # [B, 4, 4, 8g]
                _norm("upconv_0_bn"),
                ReLU(name="upconv_0_relu"),
                Conv2DTranspose(4 * g, 4, 2, "same", use_bias=False, name="upconv_1"),  # [B, 8, 8, 4g]
                _norm("upconv_1_bn"),
                ReLU(name="upconv_1_relu"),
                Conv2DTranspose(2 * g, 4, 2, "same", use_bias=False, name="upconv_2"),  # [B, 16, 16, 2g]
                _norm("upconv_2_bn"),
                ReLU(name="upconv_2_relu"),
                Conv2DTranspose(g, 4, 2, "same", use_bias=False, name="upconv_3"),  # [B, 32, 32, g]
                _norm("upconv_3_bn"),
                ReLU(name="upconv_3_relu"),
                Conv2DTranspose(nc, 4, 2, "same", use_bias=False, name="upconv_4"),  # [B, 64, 64, nc]
                Activation("tanh", name="upconv_4_tanh"),
            ]
        )
        initialise(self, "", cfg.init, FrameworkDraws())


class DCGANDiscriminator(Chain):
    """Images ``[B, 64, 64, nc]`` to logits ``[B]``; raises ConfigError (a ValueError) naming the valid options."""

    def __init__(self, ndf: int = 64, nc: int = 1, init: str = "normal") -> None:
        cfg = checked(DCGANConfig, {"ndf": ndf, "nc": nc, "init": init}, where="DCGANDiscriminator")
        d = ndf
        super().__init__(
            [
                Input([64, 64, nc], name="x"),  # [B, 64, 64, nc]
                Conv2D(d, 4, 2, "same", use_bias=False, name="downconv_0"),  # [B, 32, 32, d]
                LeakyReLU(0.2, name="downconv_0_lrelu"),
                Conv2D(2 * d, 4, 2, "same", use_bias=False, name="downconv_1"),  # [B, 16, 16, 2d]
                _norm("downconv_1_bn"),
                LeakyReLU(0.2, name="downconv_1_lrelu"),
                Conv2D(4 * d, 4, 2, "same", use_bias=False, name="downconv_2"),  # [B, 8, 8, 4d]
                _norm("downconv_2_bn"),
                LeakyReLU(0.2, name="downconv_2_lrelu"),
                Conv2D(8 * d, 4, 2, "same", use_bias=False, name="downconv_3"),  # [B, 4, 4, 8d]
                _norm("downconv_3_bn"),
                LeakyReLU(0.2, name="downconv_3_lrelu"),
                Conv2D(1, 4, 1, "valid", use_bias=False, name="output"),  # [B, 1, 1, 1]
                Reshape([], name="squeeze"),  # [B]
            ]
        )
        initialise(self, "", cfg.init, FrameworkDraws())


def _norm(name: str) -> BatchNorm:
    """Batch norm with torch's defaults: eps 1e-5, the weight 0.9 of the old running value."""
    return BatchNorm(momentum=0.9, epsilon=1e-5, name=name)
