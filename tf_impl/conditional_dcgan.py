"""Conditional DCGAN of any size from 32x32 to 256x256 in Keras, NHWC; twin of torch_impl/conditional_dcgan.py.

After the document "Architecture Review & Improvements": its baseline, with the recommended improvements as options. Its
comments place G's attention at 32x32 and 128x128, its code places it at 16x16 and 64x64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import Input, Layer, Sequential
from keras.layers import (
    Activation,
    AveragePooling2D,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Embedding,
    Flatten,
    ReLU,
    Reshape,
    UpSampling2D,
    ZeroPadding2D,
)

from shared_impl.config.presets import checked
from shared_impl.config.systems import ConditionalDCGANConfig
from tf_impl.attention import SelfAttention
from tf_impl.framework_draws import FrameworkDraws
from tf_impl.growing import GrowingDiscriminator, GrowingGenerator
from tf_impl.initial_weights import initialise
from tf_impl.layers import BatchNorm, Graph, LeakyReLU
from tf_impl.spectral_norm import SpectralConv2D, SpectralConv2DTranspose


class ConditionalDCGANGenerator(Graph):
    """Latents ``[B, nz]`` and classes ``[B]`` to images ``[B, S, S, nc]`` in (-1, 1), S = ``image_size``.

    ``attention_at`` are the sizes in pixels behind which it attends to itself; with ``growing``, sizes too, it is given
    the weights of its stages as well (:mod:`tf_impl.growing`). Raises ConfigError (a ValueError) that names the valid
    options.
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
        z, label = Input([nz], name="z"), Input([], dtype="int64", name="label")
        named = Embedding(classes, embedding, name="label_embedding")(label)  # [B, e]
        joined = Concatenate(name="with_label")([z, named])  # [B, nz + e]
        body = Sequential(_upscaling(cfg), name="body")
        if cfg.stages:
            body = GrowingGenerator(body, cfg.stages, cfg.init, _conv(cfg), name="body")
            grown = Input([None], name="grown")
            super().__init__([z, label, grown], body([joined, grown]))  # [B, S, S, nc]
        else:
            super().__init__([z, label], body(joined))  # [B, S, S, nc]
        initialise(self, "", cfg.init, FrameworkDraws())


class ConditionalDCGANDiscriminator(Graph):
    """Images ``[B, S, S, nc]`` and classes ``[B]`` to logits ``[B]``, S = ``image_size``.

    ``label`` is how the class enters; with ``auxiliary`` it does not, and class logits ``[B, classes]`` are returned
    beside the scores (AC-GAN, Odena et al. 2017, arXiv:1610.09585). ``scales`` above one: as many discriminators
    score the image and what 3x3 means leave of it, ``[B, scales]`` (Wang et al. 2018, arXiv:1711.11585, section 3.2).
    With ``batchnorm_d`` (the baseline) the last convolution is plain and none has a bias; without it (the improved one)
    all are spectrally normalised and have. With ``growing`` the weights of its stages are an input as well
    (:mod:`tf_impl.growing`). Raises ConfigError (a ValueError) that names the valid options.
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
        x = image = Input([image_size, image_size, nc], name="x")
        conditions = [] if cfg.auxiliary else [Input([], dtype="int64", name="label")]
        conditions += [Input([None], name="grown")] if cfg.stages else []
        outputs = []
        for i in range(scales):
            image = _half(i, image) if i else image  # [B, S / 2^i, S / 2^i, nc]
            outputs.append(_scale(cfg, image_size // 2**i, name=f"scale_{i}")([image, *conditions]))
        if cfg.auxiliary:
            score, named = outputs[0]
            inputs = [x, *conditions] if conditions else x
            super().__init__(inputs, (Reshape([], name="squeeze")(score), named))  # [B], [B, classes]
        elif scales == 1:
            super().__init__([x, *conditions], Reshape([], name="squeeze")(outputs[0]))  # [B]
        else:
            super().__init__([x, *conditions], Concatenate(name="scores")(outputs))  # [B, scales]
        initialise(self, "", cfg.init, FrameworkDraws())


def _scale(cfg: ConditionalDCGANConfig, size: int, name: str) -> keras.Model:
    """The discriminator of images ``[B, size, size, nc]``: scores ``[B, 1]``, and the class's logits if it names it."""
    x = Input([size, size, cfg.nc], name="x")
    grown = [Input([None], name="grown")] if cfg.stages else []
    if cfg.auxiliary:
        features = _features(cfg, size, x, grown)  # [B, 4, 4, d size / 8]
        heads = (_head(cfg, 1, "output")(features), _head(cfg, cfg.classes, "auxiliary")(features))
        return keras.Model([x, *grown], heads, name=name)
    label = Input([], dtype="int64", name="label")
    joined = Concatenate(name="with_label")([x, Sequential(_planes(cfg, size), name="label_planes")(label)])
    features = _features(cfg, size, joined, grown)
    return keras.Model([x, label, *grown], _head(cfg, 1, "output")(features), name=name)


def _features(cfg: ConditionalDCGANConfig, size: int, joined: Any, grown: list[Any]) -> Any:
    """From the image and the label's planes to features ``[B, 4, 4, d size / 8]``."""
    body = Sequential([Input(joined.shape[1:]), *_downscaling(cfg, size)], name="body")
    if not grown:
        return body(joined)
    return GrowingDiscriminator(body, cfg.stages, cfg.init, SpectralConv2D, name="body")([joined, *grown])


def _upscaling(cfg: ConditionalDCGANConfig) -> list[Layer]:
    """From latents and label ``[B, nz + e]`` to the image, twice the size a layer."""
    width, size, i = cfg.ngf * cfg.image_size // 8, 4, 0
    layers = [Input([cfg.nz + cfg.embedding]), Reshape([1, 1, cfg.nz + cfg.embedding], name="z_reshape")]
    while size < cfg.image_size:
        name = f"upconv_{i}"
        layers.append(_up(cfg, width, *((2, "same") if i else (1, "valid")), name=name))  # [B, size, size, width]
        layers += [_norm(f"{name}_bn"), ReLU(name=f"{name}_relu")]
        if size in cfg.attention_at:
            layers.append(SelfAttention(width, cfg.init, name=f"attention_{size}"))
        width, size, i = width // 2, 2 * size, i + 1
    return [*layers, _up(cfg, cfg.nc, 2, "same", name=f"upconv_{i}"), Activation("tanh", name=f"upconv_{i}_tanh")]


def _downscaling(cfg: ConditionalDCGANConfig, size: int) -> list[Layer]:
    """From the image and the label's planes to features ``[B, 4, 4, d size / 8]``, half the size a layer."""
    width, size, i = cfg.ndf, size // 2, 0
    layers: list[Layer] = []
    while size >= 4:
        name = f"downconv_{i}"
        layers.append(
            SpectralConv2D(width, 4, 2, "same", name=name, use_bias=not cfg.batchnorm_d)
        )  # [B, size, size, width]
        if cfg.batchnorm_d and i:
            layers.append(_norm(f"{name}_bn"))
        layers.append(LeakyReLU(0.2, name=f"{name}_lrelu"))
        if size in cfg.attention_d:
            layers.append(SelfAttention(width, cfg.init, name=f"attention_{size}"))
        width, size, i = 2 * width, size // 2, i + 1
    return layers


def _planes(cfg: ConditionalDCGANConfig, size: int) -> list[Layer]:
    """From classes ``[B]`` to planes ``[B, size, size, 1]``, of a repeated embedding ``[B, size, size, e]``."""
    features = size * size if cfg.label == "map" else cfg.embedding
    layers = [Input([], dtype="int64"), Embedding(cfg.classes, features, name="embedding")]
    if cfg.label == "replicated":
        return [*layers, Reshape([1, 1, features], name="pixel"), UpSampling2D(size, name="repeated")]
    if cfg.label == "projected":
        layers += [Dense(size * size, name="projection"), LeakyReLU(0.2, name="projection_lrelu")]
    return [*layers, Reshape([size, size, 1], name="plane")]


def _half(i: int, images: Any) -> Any:
    """Half the size: means of 3x3 pixels that count the zeros around the image, as torch's do and SAME's do not."""
    return AveragePooling2D(3, 2, "valid", name=f"half_{i}")(ZeroPadding2D(1, name=f"half_{i}_pad")(images))


def _up(cfg: ConditionalDCGANConfig, channels: int, stride: int, padding: str, name: str) -> Layer:
    """A transposed convolution without bias."""
    conv = SpectralConv2DTranspose if cfg.spectral_norm_g else Conv2DTranspose
    return conv(channels, 4, stride, padding, use_bias=False, name=name)


def _conv(cfg: ConditionalDCGANConfig) -> type[Layer]:
    """What convolutions are in G."""
    return SpectralConv2D if cfg.spectral_norm_g else Conv2D


def _head(cfg: ConditionalDCGANConfig, channels: int, name: str) -> Sequential:
    """From 4x4 features to ``[B, channels]``."""
    conv = Conv2D if cfg.batchnorm_d else SpectralConv2D
    return Sequential(
        [conv(channels, 4, 1, "valid", name="conv", use_bias=not cfg.batchnorm_d), Flatten(name="flatten")], name=name
    )


def _norm(name: str) -> BatchNorm:
    """Batch norm with torch's defaults: eps 1e-5, the weight 0.9 of the old running value."""
    return BatchNorm(momentum=0.9, epsilon=1e-5, name=name)
