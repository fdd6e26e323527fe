"""Both houses' trainers under one set of verbs, their states in Keras's names and layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import tf_impl.checkpoints
import tf_impl.spectrogram
import torch_impl.checkpoints
import torch_impl.spectrogram
from common.moments import Moments
from common.schema import Config
from parity.convert import to_keras, to_torch
from tf_impl.trainer import Trainer as KerasTrainer
from torch_impl.trainer import Trainer as TorchTrainer

Array = np.ndarray
Arrays = dict[str, Array]
Batches = Iterator[dict[str, Array]]
Build = Callable[[Config, int, Moments | None], Any]


@dataclass(frozen=True)
class House:
    """What the rungs use of a house. A mutant is a house with one of these exchanged for something broken.

    ``state`` and ``restore`` are the house's own, in its own layout; ``to_reference`` and ``from_reference`` carry a
    state between that and Keras's. ``spectrogram`` and ``waveform`` take and give ``[B, H, W, 1]`` as NumPy arrays.
    """

    name: str
    build: Build
    state: Callable[[Any], Arrays]
    restore: Callable[[Any, Mapping[str, Array]], None]
    to_reference: Callable[[Mapping[str, Array], Config], Arrays]
    from_reference: Callable[[Mapping[str, Array], Config], Arrays]
    prepare: Callable[[Any, Array], Array]
    log_magnitude: Callable[[Array], Array]
    spectrogram: Callable[[Array, Moments], Array]
    waveform: Callable[[Array, Moments, str], Array]
    image: Callable[[Array], Array]

    def step(self, trainer: Any, step: int, batches: Batches) -> dict[str, float]:
        """One step's metrics as numbers."""
        return {name: float(value) for name, value in trainer.step(step, batches).items()}


def _unchanged(arrays: Mapping[str, Array], config: Config) -> Arrays:
    return dict(arrays)


def _first(images: Array) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(images, -1, 1).copy())


def _last(images: torch.Tensor) -> Array:
    return images.movedim(1, -1).contiguous().cpu().numpy()


KERAS = House(
    "Keras",
    KerasTrainer,
    tf_impl.checkpoints.state,
    tf_impl.checkpoints.restore,
    to_reference=_unchanged,
    from_reference=_unchanged,
    prepare=lambda trainer, x: trainer.prepare(x).numpy(),
    log_magnitude=lambda x: tf_impl.spectrogram.log_magnitude(x).numpy(),
    spectrogram=lambda x, m: tf_impl.spectrogram.spectrogram(x, m.mean, m.std).numpy(),
    waveform=lambda x, m, inverse: tf_impl.spectrogram.waveform(x, m.mean, m.std, inverse=inverse).numpy(),
    image=lambda x: tf_impl.spectrogram.image(x).numpy(),
)
TORCH = House(
    "torch",
    TorchTrainer,
    torch_impl.checkpoints.state,
    torch_impl.checkpoints.restore,
    to_reference=to_keras,
    from_reference=to_torch,
    prepare=lambda trainer, x: _last(trainer.prepare(x)),
    log_magnitude=lambda x: torch_impl.spectrogram.log_magnitude(x).numpy(),
    spectrogram=lambda x, m: _last(torch_impl.spectrogram.spectrogram(x, m.mean, m.std)),
    waveform=lambda x, m, inverse: torch_impl.spectrogram.waveform(_first(x), m.mean, m.std, inverse=inverse).numpy(),
    image=lambda x: torch_impl.spectrogram.image(_first(x)).numpy(),
)
