"""How much arithmetic a training step takes, counted from the layers.

A multiplication and an addition are two operations. Only convolutions and dense layers count, at their full kernels,
and only what the algorithm needs: no gradient of D's weights in G's update, none at D's input in D's.
"""

from __future__ import annotations

from typing import NamedTuple

from shared_impl.config.schema import Config
from shared_impl.config.systems import DCGANConfig, ModelConfig, SpecGANConfig


class Product(NamedTuple):
    """A layer between two images: the smaller one's side and ``features``, the larger one's ``channels``."""

    side: int
    kernel: int
    channels: int
    features: int

    @property
    def operations(self) -> int:
        """For one image."""
        return 2 * self.side**2 * self.kernel**2 * self.channels * self.features


def layers(model: ModelConfig) -> tuple[list[Product], list[Product]]:
    """The generator's and the discriminator's layers, first to last; ValueError for a system not benchmarked."""
    if isinstance(model, SpecGANConfig):
        d = model.dim
        down = [Product(64 >> i, model.kernel_len, (d << i) // 2 if i else model.nc, d << i) for i in range(5)]
        return [Product(1, 1, model.nz, 256 * d), *reversed(down)], [*down, Product(1, 1, 256 * d, 1)]
    if not isinstance(model, DCGANConfig):
        raise ValueError(f"layers of {model.system} are not counted, expected specgan or dcgan")
    up, down = (
        [Product(32 >> i, 4, (width << i) // 2 if i else model.nc, width << i) for i in range(4)]
        for width in (model.ngf, model.ndf)
    )
    return [Product(1, 4, model.nz, 8 * model.ngf), *reversed(up)], [*down, Product(1, 4, 8 * model.ndf, 1)]


def d_update(config: Config) -> float:
    """Operations of one update of D, fakes included where it makes its own."""
    generator, discriminator = layers(config.model)
    g, d = (sum(layer.operations for layer in network) for network in (generator, discriminator))
    operations = 6 * d - 2 * discriminator[0].operations  # real and fake: forward, at the weights, at the input
    if config.loss.kind == "wgan-gp":
        operations += 4 * d  # forward, its gradient at the image; of that, forward and at the weights
    fakes = 0 if config.training.reuse_fakes else g
    return float(config.training.batch_size * (operations + fakes))


def step(config: Config) -> float:
    """Operations of a step with one update of D."""
    generator, discriminator = layers(config.model)
    g, d = (sum(layer.operations for layer in network) for network in (generator, discriminator))
    return d_update(config) + float(config.training.batch_size * (2 * d + 3 * g - generator[0].operations))
