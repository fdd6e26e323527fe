"""Progressive growing in Keras, NHWC (Karras et al. 2018, arXiv:1710.10196, figure 2); twin of torch_impl/growing.py.

A chain that doubles or halves the image is cut where it does, and 1x1 convolutions lead out of it and into it at
smaller sizes. Images have the full size at every stage, as in the authors' code: G's are enlarged (nearest), D's are
averaged. ``grown`` ``[B, stages]`` has a column for each stage after the first: the weight ``a`` of what it makes,
beside ``1 - a`` of what the stages before it make. Columns may be left out at the end: the layers of such stages are
not computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import Input, Layer, Sequential
from keras.layers import Activation, AveragePooling2D, Conv2D, UpSampling2D
from tensorflow import Tensor

from shared_impl.config.systems import ModelConfig
from shared_impl.training.growing import sections
from tf_impl.framework_draws import FrameworkDraws
from tf_impl.initial_weights import initialise
from tf_impl.layers import LeakyReLU


class GrowingGenerator(keras.Model):
    """What ``chain`` is given, ``[B, n]``, and ``grown`` to images ``[B, S, S, nc]`` in (-1, 1).

    ``chain`` ends in images of S pixels, twice the size with each ``upconv``; ``stages`` are the sizes in pixels that
    images are made at, the last one S; ``conv`` makes the 1x1 convolutions, which ``init`` draws.
    """

    def __init__(self, chain: Sequential, stages: Sequence[int], init: str, conv: Any = Conv2D, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stages = tuple(stages)
        side = self.stages[-1]
        self.sections, self.parts = _sections(chain, "upconv")
        sizes = [side >> i for i in reversed(range(len(self.sections)))]  # that each section makes
        channels = _features(self, self.sections[-1])
        for size, names in zip(sizes, self.sections, strict=True):
            if size in self.stages[:-1]:
                head = [
                    _built(conv(channels, 1, name=f"to_{size}"), _features(self, names)),  # [B, size, size, nc]
                    Activation("tanh", name=f"to_{size}_tanh"),
                    UpSampling2D(side // size, interpolation="nearest", name=f"to_{size}_resize"),
                ]
                self.parts.update({layer.name: layer for layer in head})
        self.sizes = sizes
        _called(self, chain)
        initialise(self, "", init, FrameworkDraws())

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Generate."""
        x, grown = inputs
        images = x
        for size, names in zip(self.sizes, self.sections, strict=True):
            x = _run(self, names, x)  # [B, size, size, d]
            if size not in self.stages:
                continue
            stage = self.stages.index(size)
            made = x if size == self.stages[-1] else _run(self, _head("to", size), x)  # [B, S, S, nc]
            images = made if stage == 0 else _faded(images, made, grown[:, stage - 1])
            if stage == _columns(self, grown):
                break
        return images

    def unused_layers(self, stage: int) -> list[str]:
        """The names of the layers that a stage does not use."""
        last = self.stages[stage]
        unused = [names for size, names in zip(self.sizes, self.sections, strict=True) if size > last]
        heads = [_head("to", size) for size in self.stages[stage + 1 : -1]]
        return [name for names in (*unused, *heads) for name in names]


class GrowingDiscriminator(keras.Model):
    """Images ``[B, S, S, C]`` and ``grown`` to what ``chain`` makes of images.

    ``chain`` halves the size with each ``downconv``, down to less than that of the first of ``stages``, the sizes in
    pixels at which it takes images, the last one S; ``conv`` makes the 1x1 convolutions, which ``init`` draws.
    """

    def __init__(self, chain: Sequential, stages: Sequence[int], init: str, conv: Any = Conv2D, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stages = tuple(stages)
        side = self.stages[-1]
        self.sections, self.parts = _sections(chain, "downconv")
        sizes = [side >> i for i in range(len(self.sections))]  # that each section takes
        channels = chain.input_shape[-1]
        for size, names in zip(sizes, self.sections, strict=True):
            if (half := size // 2) in self.stages:
                head = [
                    AveragePooling2D(side // half, name=f"from_{half}_pool"),  # [B, half, half, C]
                    _built(conv(_features(self, names), 1, name=f"from_{half}"), channels),  # [B, half, half, d]
                    LeakyReLU(0.2, name=f"from_{half}_lrelu"),
                ]
                self.parts.update({layer.name: layer for layer in head})
        self.sizes = sizes
        _called(self, chain)
        initialise(self, "", init, FrameworkDraws())

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Judge."""
        x, grown = inputs
        first = self.stages[_columns(self, grown)]
        features = x if first == self.stages[-1] else _run(self, _head("from", first), x)  # [B, first, first, d]
        for size, names in zip(self.sizes, self.sections, strict=True):
            if size > first:
                continue
            features = _run(self, names, features)  # [B, size / 2, size / 2, d]
            if (half := size // 2) in self.stages:
                older = _run(self, _head("from", half), x)
                features = _faded(older, features, grown[:, self.stages.index(half)])
        return features

    def unused_layers(self, stage: int) -> list[str]:
        """The names of the layers that a stage does not use."""
        first = self.stages[stage]
        unused = [names for size, names in zip(self.sizes, self.sections, strict=True) if size > first]
        entries = [_head("from", size) for size in self.stages[stage + 1 : -1]]
        return [name for names in (*unused, *entries) for name in names]


GROWING = (GrowingGenerator, GrowingDiscriminator)


def growing_network(chain: Sequential, network: str, model: ModelConfig) -> keras.Model:
    """The growing ``generator`` or ``discriminator`` of a chain."""
    growing = GrowingGenerator if network == "generator" else GrowingDiscriminator
    return growing(chain, model.stages, model.init)


def images_at_stage(images: Tensor, stages: Sequence[int], grown: Tensor) -> Tensor:
    """Real images ``[B, S, S, C]`` as coarse and as faded as G's at a stage."""
    side, found = stages[-1], images
    for stage, size in enumerate(stages[: grown.shape[1] + 1]):
        ratio = side // size
        means = tf.nn.avg_pool2d(images, ratio, ratio, "VALID")
        coarse = tf.repeat(tf.repeat(means, ratio, 1), ratio, 2)
        found = coarse if stage == 0 else _faded(found, coarse, grown[:, stage - 1])
    return found


def network_at_stage(network: keras.Model, model: ModelConfig, name: str, stage: int) -> keras.Model:
    """A growing ``generator`` or ``discriminator`` at one stage, changed in place: layers of later stages are removed.

    Its inputs are its own and ``grown`` ``[B, stage]``.
    """
    for growing in [layer for layer in network._flatten_layers() if isinstance(layer, GROWING)]:
        for unused in growing.unused_layers(stage):
            growing.parts.pop(unused)
    inputs = [
        Input([model.nz], name="z") if name == "generator" else Input([model.side, model.side, model.nc], name="x")
    ]
    if model.labels and not (name == "discriminator" and model.auxiliary):
        inputs.append(Input([], dtype="int64", name="label"))
    inputs.append(Input([stage], name="grown"))
    return keras.Model(inputs, network(inputs), name=f"{name}_at_stage_{stage}")


def _faded(older: Tensor, newer: Tensor, weight: Tensor) -> Tensor:
    weight = weight[:, None, None, None]
    return (1 - weight) * older + weight * newer


def _head(word: str, size: int) -> list[str]:
    name = f"{word}_{size}"
    return [name, f"{name}_tanh", f"{name}_resize"] if word == "to" else [f"{name}_pool", name, f"{name}_lrelu"]


def _run(network: Any, names: Sequence[str], x: Tensor) -> Tensor:
    for name in names:
        x = network.parts[name](x)
    return x


def _sections(chain: Sequential, word: str) -> tuple[list[list[str]], dict[str, Layer]]:
    """A chain's layers in groups, one for each size, and by their names."""
    parts = {layer.name: layer for layer in chain.layers}
    return sections(list(parts), word), parts


def _features(network: Any, names: Sequence[str]) -> int:
    """Channels that a group of layers makes."""
    layers = [network.parts[name] for name in names]
    return [layer.filters for layer in layers if hasattr(layer, "filters")][-1]


def _built(layer: Layer, channels: int) -> Layer:
    layer.build((None, None, None, channels))
    return layer


def _columns(network: Any, grown: Tensor) -> int:
    """How many stages after the first are asked for; all of them where a graph is made for any number."""
    columns = grown.shape[1]
    return len(network.stages) - 1 if columns is None else columns


def _called(network: Any, chain: Sequential) -> None:
    """Let Keras see the network run once, whatever ``grown`` holds."""
    network([Input(chain.input_shape[1:]), Input([None])])
