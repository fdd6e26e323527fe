"""The section ``model``: the options of each system's networks, a class for each system."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from shared_impl.config.network import Framing, Medium, Network
from shared_impl.config.section import Count, Share, Sizes

KernelLength = Literal[3, 4, 5, 6, 7]
Upsampling = Literal["zeros", "nearest", "linear", "cubic"]
Padding = Literal["same", "symmetric"]


class SpecGANConfig(Network):
    """Options of SpecGAN; ``padding`` concerns torch only (Keras has SAME alone)."""

    medium: ClassVar[Medium] = "audio"
    system: Literal["specgan"] = "specgan"
    nz: Count = 100
    kernel_len: KernelLength = 5
    dim: Count = 64
    nc: Count = 1
    use_batchnorm: bool = False
    upsample: Upsampling = "zeros"
    init: Literal["glorot", "normal"] = "glorot"
    padding: Padding = "same"

    @model_validator(mode="after")
    def _padding_exists(self) -> Self:
        if self.padding == "symmetric" and self.upsample != "zeros" and self.kernel_len % 2 == 0:
            raise ValueError(
                f"no symmetric padding keeps the size under an even kernel at stride 1 (kernel_len={self.kernel_len}, "
                f"upsample={self.upsample}): use an odd kernel_len, upsample=zeros or padding=same"
            )
        return self

    @property
    def side(self) -> int:
        """128 frames of 128 bins."""
        return 128

    @property
    def framing(self) -> Framing:
        """The original's: frames overlap by half (train_specgan.py)."""
        return Framing(256, 128, 16384)

    @property
    def normalises_batches(self) -> bool:
        """``use_batchnorm``."""
        return self.use_batchnorm


class DCGANConfig(Network):
    """Options of DCGAN at 64x64."""

    system: Literal["dcgan"] = "dcgan"
    nz: Count = 100
    ngf: Count = 64
    ndf: Count = 64
    nc: Count = 1
    init: Literal["normal", "framework"] = "normal"


class UpsampleDCGANConfig(Network):
    """Options of the DCGAN at 64x64 that upsamples and convolves.

    ``momentum`` is the weight of the *new* running statistics, torch's convention; ``output`` what D ends in;
    ``growing`` the sides at which it is trained first (:mod:`shared_impl.training.growing`).
    """

    system: Literal["upsample_dcgan"] = "upsample_dcgan"
    nz: Count = 100
    ngf: Count = 64
    ndf: Count = 64
    nc: Count = 3
    upsample: Literal["nearest", "bilinear"] = "nearest"
    momentum: Share = 0.8
    dropout: Share = 0.25
    output: Literal["probability", "logit"] = "probability"
    init: Literal["framework", "normal"] = "framework"
    growing: Sizes = ()

    @model_validator(mode="after")
    def _can_grow(self) -> Self:
        _validate_growing(self.growing, self.side)
        return self

    @property
    def probabilities(self) -> bool:
        """Whether ``output`` asks for them."""
        return self.output == "probability"

    @property
    def dropped(self) -> tuple[int, ...]:
        """A layer behind each of four convolutions."""
        return tuple(self.ndf * factor for factor in (1, 2, 4, 8)) if self.dropout else ()


class SoundGANConfig(Network):
    """Options of SoundGan, whose depth follows ``image_size``.

    ``patch`` keeps the original's six convolutions, so that D scores overlapping patches of images beyond 128x128.
    """

    medium: ClassVar[Medium] = "audio"
    system: Literal["soundgan"] = "soundgan"
    nz: Count = 100
    image_size: Literal[64, 128, 256, 512] = 256
    ngf: Count = 64
    ndf: Count = 64
    nc: Count = 1
    patch: bool = False
    init: Literal["framework", "normal"] = "framework"

    @model_validator(mode="after")
    def _patches_exist(self) -> Self:
        if self.patch and self.image_size < 256:
            raise ValueError(
                f"patch=true and image_size={self.image_size}: six convolutions leave one score or none; "
                "use patch=false or an image_size of 256 or 512"
            )
        return self

    @property
    def side(self) -> int:
        """``image_size``."""
        return self.image_size

    @property
    def normalises_batches(self) -> bool:
        """Never."""
        return False


class ConditionalDCGANConfig(Network):
    """Options of the conditional DCGAN, whose depth follows ``image_size``; the defaults are the original's.

    ``label`` is how D gets the class: an embedding as large as the image (``map``), an embedding projected to that size
    (``projected``) or repeated at every pixel (``replicated``), or not at all, D predicting it (``auxiliary``, AC-GAN).
    ``attention_at`` and ``attention_d`` are the sizes in pixels at which G and D have self-attention. ``scales``
    discriminators score the image, half of it, and a quarter. ``growing`` are the sides at which it is trained first
    (:mod:`shared_impl.training.growing`).
    """

    system: Literal["conditional_dcgan"] = "conditional_dcgan"
    nz: Count = 100
    image_size: Literal[32, 64, 128, 256] = 256
    classes: Count = 6
    embedding: Count = 128
    ngf: Count = 64
    ndf: Count = 64
    nc: Count = 3
    label: Literal["map", "projected", "replicated", "auxiliary"] = "map"
    attention_at: Sizes = ()
    attention_d: Sizes = ()
    batchnorm_d: bool = True
    spectral_norm_g: bool = False
    scales: Literal[1, 2, 3] = 1
    init: Literal["normal", "framework"] = "normal"
    growing: Sizes = ()

    @model_validator(mode="after")
    def _sizes_exist(self) -> Self:
        valid = [n for n in (4, 8, 16, 32, 64, 128) if n < self.image_size]
        for field in ("attention_at", "attention_d"):
            if unknown := [n for n in getattr(self, field) if n not in valid]:
                raise ValueError(
                    f"{field} has {unknown[0]}: at image_size={self.image_size} there are layers of "
                    f"{', '.join(map(str, valid))} pixels"
                )
        if self.scales > 1 and self.label == "auxiliary":
            raise ValueError(f"scales={self.scales} and label=auxiliary: the class is named at one scale; use scales=1")
        if self.image_size // 2 ** (self.scales - 1) < 32:
            raise ValueError(f"scales={self.scales} and image_size={self.image_size}: D judges 32x32 pixels or more")
        if self.scales > 1 and self.growing:
            raise ValueError(f"scales={self.scales} and growing={list(self.growing)}: what grows has scales=1")
        _validate_growing(self.growing, self.side)
        return self

    @property
    def side(self) -> int:
        """``image_size``."""
        return self.image_size

    @property
    def labels(self) -> int:
        """``classes``."""
        return self.classes

    @property
    def auxiliary(self) -> bool:
        """Whether ``label`` is ``auxiliary``."""
        return self.label == "auxiliary"

    @property
    def critic_normalises_batches(self) -> bool:
        """``batchnorm_d``."""
        return self.batchnorm_d


def _validate_growing(growing: tuple[int, ...], side: int) -> None:
    """ValueError unless ``growing`` are sizes below ``side`` that the networks pass by doubling, in ascending order."""
    valid = [n for n in (8, 16, 32, 64, 128) if n < side]
    if list(growing) != [n for n in valid if n in growing]:
        raise ValueError(
            f"growing={list(growing)}: expected some of {', '.join(map(str, valid))}, in that order, before "
            f"{side}x{side}"
        )


SYSTEMS: dict[str, type[Network]] = {
    "specgan": SpecGANConfig,
    "dcgan": DCGANConfig,
    "upsample_dcgan": UpsampleDCGANConfig,
    "soundgan": SoundGANConfig,
    "conditional_dcgan": ConditionalDCGANConfig,
}
ModelConfig = Annotated[
    SpecGANConfig | DCGANConfig | UpsampleDCGANConfig | SoundGANConfig | ConditionalDCGANConfig,
    Field(discriminator="system"),
]
