"""Progressive growing in torch, NCHW (Karras et al. 2018, arXiv:1710.10196, figure 2); twin of tf_impl/growing.py.

A chain that doubles or halves the image is cut where it does, and 1x1 convolutions lead out of it and into it at
smaller sizes. Images have the full size at every stage, as in the authors' code: G's are enlarged (nearest), D's are
averaged. ``grown`` ``[B, stages]`` has a column for each stage after the first: the weight ``a`` of what it makes,
beside ``1 - a`` of what the stages before it make. Columns may be left out at the end: the layers of such stages are
not computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.nn import AvgPool2d, Conv2d, LeakyReLU, Module, Sequential, Tanh, Upsample

from shared_impl.config.systems import ModelConfig
from shared_impl.training.growing import sections
from torch_impl.framework_draws import FrameworkDraws
from torch_impl.initial_weights import initialise


class GrowingGenerator(Module):
    """What ``chain`` is given, ``[B, n]``, and ``grown`` to images ``[B, nc, S, S]`` in (-1, 1).

    ``chain`` ends in images of S pixels, twice the size with each ``upconv``; ``stages`` are the sizes in pixels that
    images are made at, the last one S; ``conv`` makes the 1x1 convolutions, which ``init`` draws.
    """

    def __init__(self, chain: Sequential, stages: Sequence[int], init: str, conv: type[Conv2d] = Conv2d) -> None:
        super().__init__()
        self.stages = tuple(stages)
        side = self.stages[-1]
        self.sections = _sections(self, chain, "upconv")
        sizes = [side >> i for i in reversed(range(len(self.sections)))]  # that each section makes
        channels = _features(self, self.sections[-1])
        for size, names in zip(sizes, self.sections, strict=True):
            if size in self.stages[:-1]:
                self.add_module(f"to_{size}", conv(_features(self, names), channels, 1))  # [B, nc, size, size]
                self.add_module(f"to_{size}_tanh", Tanh())
                self.add_module(f"to_{size}_resize", Upsample(scale_factor=side // size, mode="nearest"))
        self.sizes = sizes
        initialise(self, "", init, FrameworkDraws())

    def forward(self, x: Tensor, grown: Tensor) -> Tensor:
        """Generate."""
        x, images = x.flatten(1), x
        for size, names in zip(self.sizes, self.sections, strict=True):
            x = _run(self, names, x)  # [B, d, size, size]
            if size not in self.stages:
                continue
            stage = self.stages.index(size)
            made = x if size == self.stages[-1] else _run(self, _head("to", size), x)  # [B, nc, S, S]
            images = made if stage == 0 else _faded(images, made, grown[:, stage - 1])
            if stage == grown.shape[1]:
                break
        return images

    def unused_layers(self, stage: int) -> list[str]:
        """The names of the layers that a stage does not use."""
        last = self.stages[stage]
        unused = [names for size, names in zip(self.sizes, self.sections, strict=True) if size > last]
        heads = [_head("to", size) for size in self.stages[stage + 1 : -1]]
        return [name for names in (*unused, *heads) for name in names]


class GrowingDiscriminator(Module):
    """Images ``[B, C, S, S]`` and ``grown`` to what ``chain`` makes of images.

    ``chain`` halves the size with each ``downconv``, down to less than that of the first of ``stages``, the sizes in
    pixels at which it takes images, the last one S; ``conv`` makes the 1x1 convolutions, which ``init`` draws.
    """

    def __init__(self, chain: Sequential, stages: Sequence[int], init: str, conv: type[Conv2d] = Conv2d) -> None:
        super().__init__()
        self.stages = tuple(stages)
        side = self.stages[-1]
        self.sections = _sections(self, chain, "downconv")
        sizes = [side >> i for i in range(len(self.sections))]  # that each section takes
        channels: Any = next(module.in_channels for module in self.children() if hasattr(module, "in_channels"))
        for size, names in zip(sizes, self.sections, strict=True):
            if (half := size // 2) in self.stages:
                self.add_module(f"from_{half}_pool", AvgPool2d(side // half))  # [B, C, half, half]
                self.add_module(f"from_{half}", conv(channels, _features(self, names), 1))  # [B, d, half, half]
                self.add_module(f"from_{half}_lrelu", LeakyReLU(0.2))
        self.sizes = sizes
        initialise(self, "", init, FrameworkDraws())

    def forward(self, x: Tensor, grown: Tensor) -> Tensor:
        """Judge."""
        first = self.stages[grown.shape[1]]
        features = x if first == self.stages[-1] else _run(self, _head("from", first), x)  # [B, d, first, first]
        for size, names in zip(self.sizes, self.sections, strict=True):
            if size > first:
                continue
            features = _run(self, names, features)  # [B, d, size / 2, size / 2]
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


def growing_network(chain: Sequential, network: str, model: ModelConfig) -> Module:
    """The growing ``generator`` or ``discriminator`` of a chain."""
    growing = GrowingGenerator if network == "generator" else GrowingDiscriminator
    return growing(chain, model.stages, model.init)


def images_at_stage(images: Tensor, stages: Sequence[int], grown: Tensor) -> Tensor:
    """Real images ``[B, C, S, S]`` as coarse and as faded as G's at a stage."""
    side, found = stages[-1], images
    for stage, size in enumerate(stages[: grown.shape[1] + 1]):
        ratio = side // size
        coarse = F.interpolate(F.avg_pool2d(images, ratio), scale_factor=ratio, mode="nearest")
        found = coarse if stage == 0 else _faded(found, coarse, grown[:, stage - 1])
    return found


def network_at_stage(network: Module, model: ModelConfig, name: str, stage: int) -> Module:
    """A growing ``generator`` or ``discriminator`` at one stage, changed in place: layers of later stages are removed.

    Its inputs are its own and ``grown`` ``[B, stage]``.
    """
    for growing in [module for module in network.modules() if isinstance(module, GROWING)]:
        for unused in growing.unused_layers(stage):
            delattr(growing, unused)
    return network


def _faded(older: Tensor, newer: Tensor, weight: Tensor) -> Tensor:
    weight = weight[:, None, None, None]
    return (1 - weight) * older + weight * newer


def _head(word: str, size: int) -> list[str]:
    name = f"{word}_{size}"
    return [name, f"{name}_tanh", f"{name}_resize"] if word == "to" else [f"{name}_pool", name, f"{name}_lrelu"]


def _run(network: Module, names: Sequence[str], x: Tensor) -> Tensor:
    for name in names:
        x = network.get_submodule(name)(x)
    return x


def _sections(network: Module, chain: Sequential, word: str) -> list[list[str]]:
    """Take over a chain's layers, under their names; these in groups, one for each size."""
    for name, layer in chain.named_children():
        network.add_module(name, layer)
    return sections([name for name, _ in chain.named_children()], word)


def _features(network: Module, names: Sequence[str]) -> int:
    """Channels that a group of layers makes."""
    layers = [network.get_submodule(name) for name in names]
    return [layer.out_channels for layer in layers if hasattr(layer, "out_channels")][-1]  # type: ignore[return-value]
