"""Both implementations' trainers behind the same functions, on the CPU, their states in Keras's names and layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np
import tensorflow as tf
import torch

import tf_impl.checkpoints
import tf_impl.spectrogram
import torch_impl.checkpoints
import torch_impl.spectrogram
from parity.systems.conversion import to_keras, to_torch
from parity.systems.distribution.device_runs import TRAINERS
from shared_impl.config.schema import Config
from shared_impl.data.moments import Moments
from tf_impl.trainer import Trainer as KerasTrainer
from torch_impl.trainer import Trainer

Array = np.ndarray
Arrays = dict[str, Array]
Batches = Iterator[dict[str, Array]]
Build = Callable[[Config, int, Moments | None], Any]
ITERATIONS = 16  # of Griffin-Lim


@dataclass(frozen=True)
class Implementation:
    """The functions that the rungs call. A mutant is an implementation with one of them replaced by a broken one.

    ``state`` and ``restore`` use the implementation's own names and layout; ``to_reference`` and ``from_reference``
    convert a state to Keras's and back. ``spectrogram`` and ``waveform`` take and return NumPy arrays ``[B, H, W, 1]``;
    their last arguments, and those of ``log_magnitude``, are frame and hop. ``trainer`` is ``MODULE:CLASS`` of the
    trainer that other processes build.
    """

    name: str
    build: Build
    state: Callable[[Any], Arrays]
    restore: Callable[[Any, Mapping[str, Array]], None]
    to_reference: Callable[[Mapping[str, Array], Config], Arrays]
    from_reference: Callable[[Mapping[str, Array], Config], Arrays]
    prepare: Callable[[Any, Array], Array]
    log_magnitude: Callable[[Array, int, int], Array]
    spectrogram: Callable[[Array, Moments, int, int], Array]
    waveform: Callable[[Array, Moments, str, int, int], Array]
    image: Callable[[Array], Array]
    trainer: str

    def step(self, trainer: Any, step: int, batches: Batches) -> dict[str, float]:
        """One step's metrics as numbers."""
        with tf.device("CPU"):
            return {name: float(value) for name, value in trainer.step(step, batches).items()}


class TorchTrainer(Trainer):
    """Torch's trainer on the CPU, whatever device it would choose: the algorithm is compared."""

    device = property(lambda self: torch.device("cpu"), lambda self, chosen: None)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes in one thread within.

    Networks this narrow gain nothing from more, and where other processes want the cores their threads wait for each
    other in loops: eight times the processor time was measured.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _on_cpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with TensorFlow on the CPU."""

    @wraps(function)
    def placed(*arguments: Any) -> Any:
        with tf.device("CPU"):
            return function(*arguments)

    return placed


def _unchanged(arrays: Mapping[str, Array], config: Config) -> Arrays:
    return dict(arrays)


def _first(images: Array) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(images, -1, 1).copy())


def _last(images: torch.Tensor) -> Array:
    return images.movedim(1, -1).contiguous().cpu().numpy()


KERAS = Implementation(
    "Keras",
    _on_cpu(KerasTrainer),
    tf_impl.checkpoints.state,
    tf_impl.checkpoints.restore,
    to_reference=_unchanged,
    from_reference=_unchanged,
    prepare=_on_cpu(lambda trainer, x: trainer.prepare(x).numpy()),
    log_magnitude=_on_cpu(lambda x, *framing: tf_impl.spectrogram.log_magnitude(x, *framing).numpy()),
    spectrogram=_on_cpu(lambda x, m, *framing: tf_impl.spectrogram.spectrogram(x, m.mean, m.std, *framing).numpy()),
    waveform=_on_cpu(
        lambda x, m, inverse, *framing: tf_impl.spectrogram.waveform(
            x, m.mean, m.std, ITERATIONS, inverse, *framing
        ).numpy()
    ),
    image=_on_cpu(lambda x: tf_impl.spectrogram.image(x).numpy()),
    trainer=TRAINERS["tensorflow"],
)
TORCH = Implementation(
    "torch",
    TorchTrainer,
    torch_impl.checkpoints.state,
    torch_impl.checkpoints.restore,
    to_reference=to_keras,
    from_reference=to_torch,
    prepare=lambda trainer, x: _last(trainer.prepare(x)),
    log_magnitude=lambda x, *framing: torch_impl.spectrogram.log_magnitude(x, *framing).numpy(),
    spectrogram=lambda x, m, *framing: _last(torch_impl.spectrogram.spectrogram(x, m.mean, m.std, *framing)),
    waveform=lambda x, m, inverse, *framing: torch_impl.spectrogram.waveform(
        _first(x), m.mean, m.std, ITERATIONS, inverse, *framing
    ).numpy(),
    image=lambda x: torch_impl.spectrogram.image(_first(x)).numpy(),
    trainer=TRAINERS["torch"],
)
