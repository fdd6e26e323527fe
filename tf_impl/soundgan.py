"""SoundGan at 64x64 to 512x512 in Keras, NHWC; twin of torch_impl/soundgan.py.

After the SoundGan tutorial's ``gan/sources/generator.py`` and ``discriminator.py``, written for 256x256: there six
convolutions score the features of seven, which leaves 5x5 scores. Here both depths follow the size S. At even sizes a
kernel of 4 at stride 2 makes SAME symmetric: it is torch's ``padding=1``.
"""

from __future__ import annotations

from keras import Input
from keras.layers import Activation, Conv2D, Conv2DTranspose, Reshape

from shared_impl.config.presets import checked
from shared_impl.config.systems import SoundGANConfig
from tf_impl.framework_draws import FrameworkDraws
from tf_impl.initial_weights import initialise
from tf_impl.layers import Chain, LeakyReLU

PATCH = 128  # pixels to a side that the original's six convolutions turn into one score


class SoundGANGenerator(Chain):
    """Latents ``[B, nz]`` to log spectrograms ``[B, S, S, nc]`` in (-1, 1).

    ``init="framework"`` is torch's own default, U(+-1/sqrt(fan_in)), as the original leaves it; ``"normal"`` is
    N(0, 0.02). Raises ConfigError (a ValueError) that names the valid options.
    """

    def __init__(
        self, nz: int = 100, ngf: int = 64, nc: int = 1, image_size: int = 256, init: str = "framework"
    ) -> None:
        options = {"nz": nz, "ngf": ngf, "nc": nc, "image_size": image_size, "init": init}
        cfg = checked(SoundGANConfig, options, where="SoundGANGenerator")
        widths = _widths(ngf, image_size)[::-1]  # g S/8, ..., 2g, g
        layers = [
            Input([nz], name="z"),  # [B, nz]
            Reshape([1, 1, nz], name="z_reshape"),  # [B, 1, 1, nz]
            Conv2DTranspose(widths[0], 4, 1, "valid", use_bias=False, name="upconv_0"),  # [B, 4, 4, g S/8]
            LeakyReLU(0.2, name="upconv_0_lrelu"),
        ]
        for i, width in enumerate(widths[1:], 1):
            layers += [
                Conv2DTranspose(
                    width, 4, 2, "same", use_bias=False, name=f"upconv_{i}"
                ),  # [B, 4 2^i, 4 2^i, g S/8/2^i]
                LeakyReLU(0.2, name=f"upconv_{i}_lrelu"),
            ]
        layers += [
            Conv2DTranspose(nc, 4, 2, "same", use_bias=False, name=f"upconv_{len(widths)}"),  # [B, S, S, nc]
            Activation("tanh", name=f"upconv_{len(widths)}_tanh"),
        ]
        super().__init__(layers)
        initialise(self, "", cfg.init, FrameworkDraws())


class SoundGANDiscriminator(Chain):
    """Log spectrograms ``[B, S, S, nc]`` to logits ``[B]``; raises ConfigError (a ValueError) naming the valid options.

    ``patch=True`` keeps the original's six convolutions: logits ``[B, (S/32 - 3)^2]``, 25 at 256x256, of overlapping
    patches, row by row.
    """

    def __init__(
        self, ndf: int = 64, nc: int = 1, image_size: int = 256, patch: bool = False, init: str = "framework"
    ) -> None:
        options = {"ndf": ndf, "nc": nc, "image_size": image_size, "patch": patch, "init": init}
        cfg = checked(SoundGANConfig, options, where="SoundGANDiscriminator")
        widths = _widths(ndf, PATCH if patch else image_size)  # d, 2d, ..., d S/8
        layers = [Input([image_size, image_size, nc], name="x")]  # [B, S, S, nc]
        for i, width in enumerate(widths):
            layers += [
                Conv2D(width, 4, 2, "same", use_bias=False, name=f"downconv_{i}"),  # [B, S/2 / 2^i, S/2 / 2^i, d 2^i]
                LeakyReLU(0.2, name=f"downconv_{i}_lrelu"),
            ]
        layers += [
            Conv2D(
                1, 4, 1, "valid", use_bias=False, name="output"
            ),  # [B, 1, 1, 1], of patches [B, S/32 - 3, S/32 - 3, 1]
            Reshape([-1] if patch else [], name="squeeze"),  # [B], of patches [B, (S/32 - 3)^2]
        ]
        super().__init__(layers)
        initialise(self, "", cfg.init, FrameworkDraws())


def _widths(base: int, size: int) -> list[int]:
    """Channels of a layer for each halving of ``size`` down to 4, doubling from ``base``."""
    return [base << i for i in range(size.bit_length() - 3)]
