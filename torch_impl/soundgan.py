"""SoundGan at 64x64 to 512x512 in torch, NCHW; twin of tf_impl/soundgan.py.

After the SoundGan tutorial's ``gan/sources/generator.py`` and ``discriminator.py``, written for 256x256: there six
convolutions score the features of seven, which leaves 5x5 scores. Here both depths follow the size S. At even sizes a
kernel of 4 at stride 2 makes SAME symmetric: it is torch's ``padding=1``.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import Conv2d, ConvTranspose2d, Flatten, LeakyReLU, Tanh, Unflatten

from shared_impl.config.presets import checked
from shared_impl.config.systems import SoundGANConfig
from torch_impl.framework_draws import FrameworkDraws
from torch_impl.initial_weights import initialise

PATCH = 128  # pixels to a side that the original's six convolutions turn into one score


class SoundGANGenerator(nn.Sequential):
    """Latents ``[B, nz]`` or ``[B, nz, 1, 1]`` to log spectrograms ``[B, nc, S, S]`` in (-1, 1).

    ``init="framework"`` is torch's own default, U(+-1/sqrt(fan_in)), as the original leaves it; ``"normal"`` is
    N(0, 0.02). Raises ConfigError (a ValueError) that names the valid options.
    """

    def __init__(
        self, nz: int = 100, ngf: int = 64, nc: int = 1, image_size: int = 256, init: str = "framework"
    ) -> None:
        options = {"nz": nz, "ngf": ngf, "nc": nc, "image_size": image_size, "init": init}
        cfg = checked(SoundGANConfig, options, where="SoundGANGenerator")
        widths = _widths(ngf, image_size)[::-1]  # g S/8, ..., 2g, g
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            z_reshape=Unflatten(1, (nz, 1, 1)),  # [B, nz, 1, 1]
            upconv_0=ConvTranspose2d(nz, widths[0], 4, 1, 0, bias=False),  # [B, g S/8, 4, 4]
            upconv_0_lrelu=LeakyReLU(0.2),
        )
        for i, (above, width) in enumerate(pairwise(widths), 1):
            layers |= {
                f"upconv_{i}": ConvTranspose2d(above, width, 4, 2, 1, bias=False),  # [B, g S/8 / 2^i, 4 2^i, 4 2^i]
                f"upconv_{i}_lrelu": LeakyReLU(0.2),
            }
        layers |= {
            f"upconv_{len(widths)}": ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False),  # [B, nc, S, S]
            f"upconv_{len(widths)}_tanh": Tanh(),
        }
        super().__init__(layers)
        initialise(self, "", cfg.init, FrameworkDraws())

    def forward(self, input: Tensor) -> Tensor:
        """Generate; ``[B, nz, 1, 1]`` is taken as ``[B, nz]``."""
        return super().forward(input.flatten(1))


class SoundGANDiscriminator(nn.Sequential):
    """Log spectrograms ``[B, nc, S, S]`` to logits ``[B]``; raises ConfigError (a ValueError) naming the valid options.

    ``patch=True`` keeps the original's six convolutions: logits ``[B, (S/32 - 3)^2]``, 25 at 256x256, of overlapping
    patches, row by row.
    """

    def __init__(
        self, ndf: int = 64, nc: int = 1, image_size: int = 256, patch: bool = False, init: str = "framework"
    ) -> None:
        options = {"ndf": ndf, "nc": nc, "image_size": image_size, "patch": patch, "init": init}
        cfg = checked(SoundGANConfig, options, where="SoundGANDiscriminator")
        widths = _widths(ndf, PATCH if patch else image_size)  # d, 2d, ..., d S/8
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (above, width) in enumerate(pairwise([nc, *widths])):
            layers |= {
                f"downconv_{i}": Conv2d(above, width, 4, 2, 1, bias=False),  # [B, d 2^i, S/2 / 2^i, S/2 / 2^i]
                f"downconv_{i}_lrelu": LeakyReLU(0.2),
            }
        layers |= {
            "output": Conv2d(widths[-1], 1, 4, 1, 0, bias=False),  # [B, 1, 1, 1], of patches [B, 1, S/32 - 3, S/32 - 3]
            "squeeze": Flatten(1 if patch else 0),  # [B], of patches [B, (S/32 - 3)^2]
        }
        super().__init__(layers)
        initialise(self, "", cfg.init, FrameworkDraws())


def _widths(base: int, size: int) -> list[int]:
    """Channels of a layer for each halving of ``size`` down to 4, doubling from ``base``."""
    return [base << i for i in range(size.bit_length() - 3)]
