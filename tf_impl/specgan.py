"""SpecGAN in Keras, NHWC; twin of torch_impl/specgan.py.

Lines are those of ``specgan.py`` in github.com/chrisdonahue/wavegan at 40e85e8 (Donahue et al. 2019, arXiv:1802.04208).
"""

from __future__ import annotations

from keras import Input, Layer
from keras.layers import Activation, Conv2D, Conv2DTranspose, Dense, Flatten, ReLU, Reshape

from shared_impl.config.presets import checked
from shared_impl.config.systems import SpecGANConfig
from tf_impl.framework_draws import FrameworkDraws
from tf_impl.initial_weights import initialise
from tf_impl.layers import BatchNorm, Chain, LeakyReLU, LegacyUpsample


class SpecGANGenerator(Chain):
    """Latents ``[B, nz]`` to log spectrograms ``[B, 128, 128, nc]`` in (-1, 1); lines 47-111.

    Batch norm keeps running statistics with the weight 0.99 of the old ones, eps 1e-3 (TF 1's defaults, line 57);
    they move at every training forward, as the original's update operations do (lines 104-109).
    Raises ConfigError (a ValueError) that names the valid options.
    """

    def __init__(
        self,
        nz: int = 100,
        kernel_len: int = 5,
        dim: int = 64,
        nc: int = 1,
        use_batchnorm: bool = False,
        upsample: str = "zeros",
        init: str = "glorot",
    ) -> None:
        options = dict(nz=nz, kernel_len=kernel_len, dim=dim, nc=nc, use_batchnorm=use_batchnorm)
        cfg = checked(SpecGANConfig, dict(options, upsample=upsample, init=init), where="SpecGANGenerator")
        d = dim
        super().__init__(
            [
                Input([nz], name="z"),  # [B, nz]
                Dense(16 * d * 4 * 4, name="z_project"),  # [B, 256d], line 65
                Reshape([4, 4, 16 * d], name="z_project_reshape"),  # [B, 4, 4, 16d], line 66
                *_norm_relu(cfg, "z_project"),
                *_up(8 * d, cfg, "upconv_0"),  # [B, 8, 8, 8d], line 73
                *_norm_relu(cfg, "upconv_0"),
                *_up(4 * d, cfg, "upconv_1"),  # [B, 16, 16, 4d], line 80
                *_norm_relu(cfg, "upconv_1"),
                *_up(2 * d, cfg, "upconv_2"),  # [B, 32, 32, 2d], line 87
                *_norm_relu(cfg, "upconv_2"),
                *_up(d, cfg, "upconv_3"),  # [B, 64, 64, d], line 94
                *_norm_relu(cfg, "upconv_3"),
                *_up(nc, cfg, "upconv_4"),  # [B, 128, 128, nc], line 101
                Activation("tanh", name="upconv_4_tanh"),
            ]
        )
        initialise(self, "", cfg.init, FrameworkDraws())


class SpecGANDiscriminator(Chain):
    """Log spectrograms ``[B, 128, 128, nc]`` to logits ``[B]``; lines 122-178.

    Batch norm always normalises with batch statistics and keeps no running ones: the original passes ``training=True``
    unconditionally (line 130) and never runs its update operations (line 176).
    Raises ConfigError (a ValueError) that names the valid options.
    """

    def __init__(
        self,
        kernel_len: int = 5,
        dim: int = 64,
        nc: int = 1,
        use_batchnorm: bool = False,
        init: str = "glorot",
    ) -> None:
        options = dict(kernel_len=kernel_len, dim=dim, nc=nc, use_batchnorm=use_batchnorm)
        cfg = checked(SpecGANConfig, dict(options, init=init), where="SpecGANDiscriminator")
        d = dim
        super().__init__(
            [
                Input([128, 128, nc], name="x"),  # [B, 128, 128, nc]
                *_down(d, cfg, "downconv_0"),  # [B, 64, 64, d], line 138
                LeakyReLU(0.2, name="downconv_0_lrelu"),
                *_down(2 * d, cfg, "downconv_1"),  # [B, 32, 32, 2d], line 144
                *_norm_lrelu(cfg, "downconv_1"),
                *_down(4 * d, cfg, "downconv_2"),  # [B, 16, 16, 4d], line 151
                *_norm_lrelu(cfg, "downconv_2"),
                *_down(8 * d, cfg, "downconv_3"),  # [B, 8, 8, 8d], line 158
                *_norm_lrelu(cfg, "downconv_3"),
                *_down(16 * d, cfg, "downconv_4"),  # [B, 4, 4, 16d], line 165
                *_norm_lrelu(cfg, "downconv_4"),
                Flatten(name="flatten"),  # [B, 256d], line 170
                Dense(1, name="output"),  # [B, 1], line 174
                Reshape([], name="squeeze"),  # [B], line 174
            ]
        )
        initialise(self, "", cfg.init, FrameworkDraws())


def _up(channels: int, cfg: SpecGANConfig, name: str) -> list[Layer]:
    """Twice the size: a transposed convolution, or a resize and a convolution at stride 1 (lines 4-40)."""
    if cfg.upsample == "zeros":
        return [Conv2DTranspose(channels, cfg.kernel_len, strides=2, padding="same", name=name)]
    return [
        LegacyUpsample(cfg.upsample, name=f"{name}_resize"),
        Conv2D(channels, cfg.kernel_len, strides=1, padding="same", name=name),
    ]


def _down(channels: int, cfg: SpecGANConfig, name: str) -> list[Layer]:
    """Half the size: a SAME convolution at stride 2."""
    return [Conv2D(channels, cfg.kernel_len, strides=2, padding="same", name=name)]


def _norm_relu(cfg: SpecGANConfig, name: str) -> list[Layer]:
    """The generator's optional batch norm, and ReLU."""
    norm = BatchNorm(momentum=0.99, epsilon=1e-3, name=f"{name}_bn")
    return [*([norm] if cfg.use_batchnorm else []), ReLU(name=f"{name}_relu")]


def _norm_lrelu(cfg: SpecGANConfig, name: str) -> list[Layer]:
    """The discriminator's optional batch norm without running statistics, and LeakyReLU 0.2 (lines 114-115)."""
    norm = BatchNorm(momentum=0.99, epsilon=1e-3, track=False, name=f"{name}_bn")
    return [*([norm] if cfg.use_batchnorm else []), LeakyReLU(0.2, name=f"{name}_lrelu")]
