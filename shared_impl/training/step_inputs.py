"""What one update of a training step is computed from, drawn alike for both frameworks. Plain NumPy."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from shared_impl.config.schema import Config
from shared_impl.data.augmentation import AUGMENTATION
from shared_impl.draws import Draws
from shared_impl.training import growing

Array = np.ndarray
T = TypeVar("T")

# D's forward passes in a step, each with its own dropout numbers: three in D's own update, the last one in G's.
PASSES = ("real", "fake", "interpolated", "generator")
NO_LABELS = np.empty(0, np.int64)  # of a system without classes


class StepInputs(NamedTuple, Generic[T]):
    """Inputs of one update of D or G, an example a row; image-like ones are ``[B, H, W, C]`` or ``[B, C, H, W]``.

    Noise that is not configured, and images before :meth:`with_batch`, are zeros ``[B, 1, 1, 1]``.
    """

    z: T  # latents [B, nz]
    alpha: T  # mixing weights of the gradient penalty [B]
    noise: T  # instance noise, added to real and fake images alike
    dropout: T  # U[0, 1) [B, PASSES, channels], by which D's layers drop channels
    labels: T  # classes [B], int64
    images: T  # real images
    grown: T  # weights of a growing network's later stages [B, stages]

    def with_batch(self, images: T, labels: T) -> StepInputs[T]:
        """These inputs with a batch's real images and classes."""
        return self._replace(images=images, labels=labels)

    def portion(self, i: int, portions: int) -> StepInputs[T]:
        """Every ``portions``-th row from the ``i``-th on: the same examples on any number of devices."""
        rows: Any = (values[i::portions] for values in self)  # type: ignore[index]
        return StepInputs(*rows)


def draw(config: Config, draws: Draws, step: int, update: int) -> StepInputs[Array]:
    """The inputs of an update of a step, for all devices together, image-like ones ``[B, H, W, C]``, without a batch.

    Updates of a step are counted from 0: those of D, then the one of G; an update of both is number 0.
    """
    batch = batch_size(config, step)
    return StepInputs(
        z=draws.latents(config.training.latents, "latents", (batch, config.model.nz), step, update),
        alpha=draws.uniform("alpha", (batch,), step, update),
        noise=_instance_noise(config, draws, step, update),
        dropout=_uniform(draws, "dropout", (batch, len(PASSES), sum(config.model.dropped)), step, update),
        labels=np.zeros(batch, np.int64),
        images=np.zeros((batch, 1, 1, 1)),
        grown=stage_weights(config, step),
    )


def augmentation(config: Config, draws: Draws, step: int, update: int) -> Array:
    """U[0, 1) ``[B, AUGMENTATION]`` by which the images of an update are augmented; ``[B, 0]`` if they are not."""
    numbers = AUGMENTATION if config.data.augments else 0
    return _uniform(draws, "augmentation", (batch_size(config, step), numbers), step, update)


def stage_weights(config: Config, step: int) -> Array:
    """The weights ``[B, stages]`` of a growing network's stages up to that of ``step``; ``[B, 0]`` of any other."""
    return np.tile(growing.weights(config, step), (batch_size(config, step), 1))


def batch_size(config: Config, step: int) -> int:
    """Examples of a step on all devices together."""
    return growing.portions(config, step) * config.training.batch_size


def _instance_noise(config: Config, draws: Draws, step: int, update: int) -> Array:
    """Normal noise ``[B, S, S, C]``, as coarse as the images of the step's stage."""
    batch, side = batch_size(config, step), growing.side(config, step)
    if not config.training.instance_noise:
        return np.zeros((batch, 1, 1, 1))
    noise = draws.normal("instance noise", (batch, side, side, config.model.nc), step, update)
    return growing.enlarged(config.training.instance_noise * noise, config.model.side)


def _uniform(draws: Draws, purpose: str, shape: tuple[int, ...], step: int, update: int) -> Array:
    return draws.uniform(purpose, shape, step, update) if all(shape) else np.empty(shape)
