"""Conditional DCGAN of any size from 32x32 to 256x256 in torch, NCHW; twin of tf_impl/conditional_dcgan.py.

After the document "Architecture Review & Improvements": its baseline, with the recommended improvements as options. Its
comments place G's attention at 32x32 and 128x128, its code places it at 16x16 and 64x64.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Embedding,
    Flatten,
    LeakyReLU,
    Linear,
    Module,
    ReLU,
    Sequential,
    Tanh,
    Unflatten,
    Upsample,
)

from shared_impl.config.presets import checked
from shared_impl.config.systems import ConditionalDCGANConfig
from torch_impl.attention import SelfAttention
from torch_impl.framework_draws import FrameworkDraws
from torch_impl.growing import GrowingDiscriminator, GrowingGenerator
from torch_impl.initial_weights import initialise
from torch_impl.spectral_norm import SpectralConv2D, SpectralConv2DTranspose


class ConditionalDCGANGenerator(Module):
    """Latents ``[B, nz]`` or ``[B, nz, 1, 1]`` and classes ``[B]`` to images ``[B, nc, S, S]`` in (-1, 1), S =
    ``image_size``.

    ``attention_at`` are the sizes in pixels behind which it attends to itself; with ``growing``, sizes too, it is given
    the weights of its stages as well (:mod:`torch_impl.growing`). Raises ConfigError (a ValueError) that names the
    valid options.
    """

    def __init__(
        self,
        nz: int = 100,
        image_size: int = 256,
        classes: int = 6,
        embedding: int = 128,
        ngf: int = 64,
        nc: int = 3,
        attention_at: Sequence[int] = (),
        spectral_norm_g: bool = False,
        init: str = "normal",
        growing: Sequence[int] = (),
    ) -> None:
        options = dict(nz=nz, image_size=image_size, classes=classes, embedding=embedding, ngf=ngf, nc=nc, init=init)
        more = dict(attention_at=attention_at, spectral_norm_g=spectral_norm_g, growing=growing)
        cfg = checked(ConditionalDCGANConfig, options | more, where="ConditionalDCGANGenerator")
        super().__init__()
        self.label_embedding = Embedding(classes, embedding)
        self.body: Module = Sequential(_upscaling(cfg))
        if cfg.stages:
            self.body = GrowingGenerator(self.body, cfg.stages, cfg.init, _conv(cfg))
        initialise(self, "", cfg.init, FrameworkDraws())

    def forward(self, z: Tensor, label: Tensor, grown: Tensor | None = None) -> Tensor:
        """Generate."""
        named = self.label_embedding(label)  # [B, e]
        joined = torch.cat([z.flatten(1), named], 1)  # [B, nz + e]
        return self.body(joined) if grown is None else self.body(joined, grown)  # [B, nc, S, S]


class ConditionalDCGANDiscriminator(Module):
    """Images ``[B, nc, S, S]`` and classes ``[B]`` to logits ``[B]``, S = ``image_size``.

    ``label`` is how the class enters; with ``auxiliary`` it does not, and class logits ``[B, classes]`` are returned
    beside the scores (AC-GAN, Odena et al. 2017, arXiv:1610.09585). ``scales`` above one: as many discriminators
    score the image and what 3x3 means leave of it, ``[B, scales]`` (Wang et al. 2018, arXiv:1711.11585, section 3.2).
    With ``batchnorm_d`` (the baseline) the last convolution is plain and none has a bias; without it (the improved one)
    all are spectrally normalised and have. With ``growing`` the weights of its stages are an input as well
    (:mod:`torch_impl.growing`). Raises ConfigError (a ValueError) that names the valid options.
    """

    def __init__(
        self,
        image_size: int = 256,
        classes: int = 6,
        embedding: int = 128,
        ndf: int = 64,
        nc: int = 3,
        label: str = "map",
        attention_d: Sequence[int] = (),
        batchnorm_d: bool = True,
        scales: int = 1,
        init: str = "normal",
        growing: Sequence[int] = (),
    ) -> None:
        options = dict(image_size=image_size, classes=classes, embedding=embedding, ndf=ndf, nc=nc, label=label)
        more = dict(attention_d=attention_d, batchnorm_d=batchnorm_d, scales=scales, init=init, growing=growing)
        cfg = checked(ConditionalDCGANConfig, options | more, where="ConditionalDCGANDiscriminator")
        super().__init__()
        self.scales = scales
        for i in range(scales):
            if i:
                self.add_module(f"half_{i}", AvgPool2d(3, 2, 1))  # counts the zeros around the image
            self.add_module(f"scale_{i}", _Scale(cfg, image_size // 2**i))
        initialise(self, "", cfg.init, FrameworkDraws())

    def forward(self, x: Tensor, label: Tensor | None = None, grown: Tensor | None = None) -> Any:
        """Judge."""
        image, outputs = x, []
        for i in range(self.scales):
            image = self.get_submodule(f"half_{i}")(image) if i else image  # [B, nc, S / 2^i, S / 2^i]
            outputs.append(self.get_submodule(f"scale_{i}")(image, label, grown))
        if isinstance(outputs[0], tuple):
            score, named = outputs[0]
            return score.flatten(), named  # [B], [B, classes]
        return outputs[0].flatten() if self.scales == 1 else torch.cat(outputs, 1)  # [B] or [B, scales]


class _Scale(Module):
    """The discriminator of images ``[B, nc, size, size]``: scores ``[B, 1]``, and the class's logits if it names it."""

    def __init__(self, cfg: ConditionalDCGANConfig, size: int) -> None:
        super().__init__()
        planes = {"auxiliary": 0, "replicated": cfg.embedding}.get(cfg.label, 1)
        self.label_planes = Sequential(_planes(cfg, size)) if planes else None
        self.body: Module = Sequential(_downscaling(cfg, cfg.nc + planes, size))
        if cfg.stages:
            self.body = GrowingDiscriminator(self.body, cfg.stages, cfg.init, SpectralConv2D)
        self.output = _head(cfg, cfg.ndf * size // 8, 1)
        self.auxiliary = None if planes else _head(cfg, cfg.ndf * size // 8, cfg.classes)

    def forward(self, x: Tensor, label: Tensor | None, grown: Tensor | None) -> Any:
        """Judge."""
        joined = x if self.label_planes is None else torch.cat([x, self.label_planes(label)], 1)
        features = self.body(joined) if grown is None else self.body(joined, grown)  # [B, d size / 8, 4, 4]
        score = self.output(features)
        return score if self.auxiliary is None else (score, self.auxiliary(features))


def _upscaling(cfg: ConditionalDCGANConfig) -> OrderedDict[str, Module]:
    """From latents and label ``[B, nz + e]`` to the image, twice the size a layer."""
    width, size, i = cfg.ngf * cfg.image_size // 8, 4, 0
    channels = cfg.nz + cfg.embedding
    layers: OrderedDict[str, Module] = OrderedDict(z_reshape=Unflatten(1, (channels, 1, 1)))
    while size < cfg.image_size:
        name = f"upconv_{i}"
        layers[name] = _up(cfg, channels, width, *((2, 1) if i else (1, 0)))  # [B, width, size, size]
        layers |= {f"{name}_bn": _norm(width), f"{name}_relu": ReLU()}
        if size in cfg.attention_at:
            layers[f"attention_{size}"] = SelfAttention(width, cfg.init)
        channels, width, size, i = width, width // 2, 2 * size, i + 1
    return layers | {f"upconv_{i}": _up(cfg, channels, cfg.nc, 2, 1), f"upconv_{i}_tanh": Tanh()}


def _downscaling(cfg: ConditionalDCGANConfig, channels: int, size: int) -> OrderedDict[str, Module]:
    """From the image and the label's planes to features ``[B, d size / 8, 4, 4]``, half the size a layer."""
    width, size, i = cfg.ndf, size // 2, 0
    layers: OrderedDict[str, Module] = OrderedDict()
    while size >= 4:
        name = f"downconv_{i}"
        layers[name] = SpectralConv2D(channels, width, 4, 2, 1, bias=not cfg.batchnorm_d)  # [B, width, size, size]
        if cfg.batchnorm_d and i:
            layers[f"{name}_bn"] = _norm(width)
        layers[f"{name}_lrelu"] = LeakyReLU(0.2)
        if size in cfg.attention_d:
            layers[f"attention_{size}"] = SelfAttention(width, cfg.init)
        channels, width, size, i = width, 2 * width, size // 2, i + 1
    return layers


def _planes(cfg: ConditionalDCGANConfig, size: int) -> OrderedDict[str, Module]:
    """From classes ``[B]`` to planes ``[B, 1, size, size]``, of a repeated embedding ``[B, e, size, size]``."""
    features = size * size if cfg.label == "map" else cfg.embedding
    layers: OrderedDict[str, Module] = OrderedDict(embedding=Embedding(cfg.classes, features))
    if cfg.label == "replicated":
        return layers | dict(pixel=Unflatten(1, (features, 1, 1)), repeated=Upsample(scale_factor=size))
    if cfg.label == "projected":
        layers |= dict(projection=Linear(features, size * size), projection_lrelu=LeakyReLU(0.2))
    return layers | dict(plane=Unflatten(1, (1, size, size)))


def _up(cfg: ConditionalDCGANConfig, channels: int, features: int, stride: int, padding: int) -> Module:
    """A transposed convolution without bias."""
    conv = SpectralConv2DTranspose if cfg.spectral_norm_g else ConvTranspose2d
    return conv(channels, features, 4, stride, padding, bias=False)


def _conv(cfg: ConditionalDCGANConfig) -> type[Conv2d]:
    """What convolutions are in G."""
    return SpectralConv2D if cfg.spectral_norm_g else Conv2d


def _head(cfg: ConditionalDCGANConfig, channels: int, features: int) -> Sequential:
    """From 4x4 features to ``[B, features]``."""
    conv = Conv2d if cfg.batchnorm_d else SpectralConv2D
    return Sequential(OrderedDict(conv=conv(channels, features, 4, 1, 0, bias=not cfg.batchnorm_d), flatten=Flatten()))


def _norm(channels: int) -> BatchNorm2d:
    """Batch norm with torch's defaults: eps 1e-5, the weight 0.1 of the new running value."""
    return BatchNorm2d(channels, momentum=0.1, eps=1e-5)
