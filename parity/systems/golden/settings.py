"""The settings of golden records as the ``.json`` files hold them: a class for each kind of record. Plain Python."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from shared_impl.config.section import Count, Section
from shared_impl.config.systems import KernelLength

Variable = Annotated[tuple[str, Annotated[tuple[Count, ...], Strict(False)]], Strict(False)]  # JSON has no tuples
Variables = list[Variable]
Upsampling = Literal["zeros", "nn", "linear", "cubic"]
Loss = Literal["dcgan", "lsgan", "wgan", "wgan-gp"]  # those of train_specgan.py
Seed = Annotated[int, Field(ge=0, le=2**32 - 3)]  # RandomState takes at most 2**32 - 1, and seed + 2 is used
# Bounds on what a file may ask of memory and time, well beyond the original's 64 channels, 64 examples and 16 rounds.
Width = Annotated[int, Field(ge=1, le=256)]
Batch = Annotated[int, Field(ge=1, le=1024)]
Latent = Annotated[int, Field(ge=1, le=10_000)]
Rounds = Annotated[int, Field(ge=0, le=1000)]


class SpecGANSetting(Section):
    """One setting of ``specgan_forward.json``; variables are ``[name, shape]`` in creation order."""

    dim: Width
    kernel_len: KernelLength
    use_bn: bool
    upsample: Upsampling
    latent: Latent
    seed: Seed
    batch: Batch
    train: bool
    generator_variables: Variables
    discriminator_variables: Variables


class SpecGANTrainingSetting(Section):
    """One setting of ``specgan_training.json``: ``loops`` times ``disc_nupdates`` updates of D and one of G."""

    loss: Loss
    dim: Width
    kernel_len: KernelLength = 5
    use_bn: bool = False
    upsample: Upsampling = "zeros"
    batch: Batch
    latent: Latent
    seed: Annotated[int, Field(ge=0, le=2**32 - 101)]  # seed + 100 is used too
    loops: Count
    disc_nupdates: Count
    generator_variables: Variables
    discriminator_variables: Variables


class SpectrogramSetting(Section):
    """One set of ``specgan_spectrogram.json``, the unnamed one being ``""``."""

    griffin_lim_rounds: Rounds = 16


class DCGANSetting(Section):
    """``dcgan_training.json``; parameters are ``[name, shape]`` in ``named_parameters()`` order."""

    latent: Latent
    gf: Width
    df: Width
    ch: Width
    batch: Batch
    seed: Seed
    steps: Count
    generator_parameters: Variables
    discriminator_parameters: Variables
