"""SpecGAN in torch, NCHW; twin of tf_impl/specgan.py.

Lines are those of ``specgan.py`` in github.com/chrisdonahue/wavegan at 40e85e8 (Donahue et al. 2019, arXiv:1802.04208).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import BatchNorm2d, Flatten, LeakyReLU, Linear, Module, ReLU, Tanh, Unflatten

from shared_impl.config.presets import checked
from shared_impl.config.systems import SpecGANConfig
from torch_impl.framework_draws import FrameworkDraws
from torch_impl.initial_weights import initialise
from torch_impl.layers import Conv2d, ConvTranspose2d, LegacyUpsample


class SpecGANGenerator(nn.Sequential):
    """Latents ``[B, nz]`` or ``[B, nz, 1, 1]`` to log spectrograms ``[B, nc, 128, 128]`` in (-1, 1); lines 47-111.

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
        padding: str = "same",
    ) -> None:
        options = dict(nz=nz, kernel_len=kernel_len, dim=dim, nc=nc, use_batchnorm=use_batchnorm, padding=padding)
        cfg = checked(SpecGANConfig, dict(options, upsample=upsample, init=init), where="SpecGANGenerator")
        d = dim
        super().__init__(
            OrderedDict(
                z_project=Linear(nz, 16 * d * 4 * 4),  # [B, 256d], line 65
                z_project_reshape=Unflatten(1, (16 * d, 4, 4)),  # [B, 16d, 4, 4], line 66
                **_norm_relu(16 * d, cfg, "z_project"),
                **_up(16 * d, 8 * d, cfg, "upconv_0"),  # [B, 8d, 8, 8], line 73
                **_norm_relu(8 * d, cfg, "upconv_0"),
                **_up(8 * d, 4 * d, cfg, "upconv_1"),  # [B, 4d, 16, 16], line 80
                **_norm_relu(4 * d, cfg, "upconv_1"),
                **_up(4 * d, 2 * d, cfg, "upconv_2"),  # [B, 2d, 32, 32], line 87
                **_norm_relu(2 * d, cfg, "upconv_2"),
                **_up(2 * d, d, cfg, "upconv_3"),  # [B, d, 64, 64], line 94
                **_norm_relu(d, cfg, "upconv_3"),
                **_up(d, nc, cfg, "upconv_4"),  # [B, nc, 128, 128], line 101
                upconv_4_tanh=Tanh(),
            )
        )
        initialise(self, "", cfg.init, FrameworkDraws())

    def forward(self, input: Tensor) -> Tensor:
        """Generate; ``[B, nz, 1, 1]`` is taken as ``[B, nz]``."""
        return super().forward(input.flatten(1))


class SpecGANDiscriminator(nn.Sequential):
    """Log spectrograms ``[B, nc, 128, 128]`` to logits ``[B]``; lines 122-178.

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
        padding: str = "same",
    ) -> None:
        options = dict(kernel_len=kernel_len, dim=dim, nc=nc, use_batchnorm=use_batchnorm, padding=padding)
        cfg = checked(SpecGANConfig, dict(options, init=init), where="SpecGANDiscriminator")
        d = dim
        super().__init__(
            OrderedDict(
                **_down(nc, d, cfg, "downconv_0"),  # [B, d, 64, 64], line 138
                downconv_0_lrelu=LeakyReLU(0.2),
                **_down(d, 2 * d, cfg, "downconv_1"),  # [B, 2d, 32, 32], line 144
                **_norm_lrelu(2 * d, cfg, "downconv_1"),
                **_down(2 * d, 4 * d, cfg, "downconv_2"),  # [B, 4d, 16, 16], line 151
                **_norm_lrelu(4 * d, cfg, "downconv_2"),
                **_down(4 * d, 8 * d, cfg, "downconv_3"),  # [B, 8d, 8, 8], line 158
                **_norm_lrelu(8 * d, cfg, "downconv_3"),
                **_down(8 * d, 16 * d, cfg, "downconv_4"),  # [B, 16d, 4, 4], line 165
                **_norm_lrelu(16 * d, cfg, "downconv_4"),
                flatten=Flatten(),  # [B, 256d], line 170
                output=Linear(16 * d * 4 * 4, 1),  # [B, 1], line 174
                squeeze=Flatten(0),  # [B], line 174
            )
        )
        initialise(self, "", cfg.init, FrameworkDraws())


def _up(channels_in: int, channels: int, cfg: SpecGANConfig, name: str) -> dict[str, Module]:
    """Twice the size: a transposed convolution, or a resize and a convolution at stride 1 (lines 4-40)."""
    if cfg.upsample == "zeros":
        return {name: ConvTranspose2d(channels_in, channels, cfg.kernel_len, stride=2, padding=cfg.padding)}
    return {
        f"{name}_resize": LegacyUpsample(cfg.upsample),
        name: Conv2d(channels_in, channels, cfg.kernel_len, stride=1, padding=cfg.padding),
    }


def _down(channels_in: int, channels: int, cfg: SpecGANConfig, name: str) -> dict[str, Module]:
    """Half the size: a SAME convolution at stride 2."""
    return {name: Conv2d(channels_in, channels, cfg.kernel_len, stride=2, padding=cfg.padding)}


def _norm_relu(channels: int, cfg: SpecGANConfig, name: str) -> dict[str, Module]:
    """The generator's optional batch norm, and ReLU."""
    norm = BatchNorm2d(channels, momentum=1 - 0.99, eps=1e-3)
    return {**({f"{name}_bn": norm} if cfg.use_batchnorm else {}), f"{name}_relu": ReLU()}


def _norm_lrelu(channels: int, cfg: SpecGANConfig, name: str) -> dict[str, Module]:
    """The discriminator's optional batch norm without running statistics, and LeakyReLU 0.2 (lines 114-115)."""
    norm = BatchNorm2d(channels, momentum=1 - 0.99, eps=1e-3, track_running_stats=False)
    return {**({f"{name}_bn": norm} if cfg.use_batchnorm else {}), f"{name}_lrelu": LeakyReLU(0.2)}
