"""A trainer's whole state as named arrays, and back; twin of torch_impl/checkpoints.py.

Names: ``generator/LAYER/PARAMETER`` (running statistics included), the same under ``discriminator`` and ``ema``;
``g_optimizer/SLOT/LAYER/PARAMETER`` and ``g_optimizer/updates``, the same under ``d_optimizer``.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from shared_impl.storage.checkpoints import validate_arrays
from tf_impl.layers import named
from tf_impl.optimizers import Adam, RMSProp
from tf_impl.trainer import Trainer

Array = np.ndarray


def state(trainer: Trainer) -> dict[str, Array]:
    """Copies of every array that the next step depends on, in Keras's layout."""
    arrays = {name: variable.numpy().copy() for name, variable in _variables(trainer).items()}
    return arrays | {f"{name}/updates": np.array(own.updates.numpy(), np.int64) for name, own in _optimizers(trainer)}


def restore(trainer: Trainer, arrays: Mapping[str, Array]) -> None:
    """Write a state back; CheckpointError, before anything is written, if names or shapes are not the trainer's."""
    variables = _variables(trainer)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    shapes |= {f"{name}/updates": () for name, _ in _optimizers(trainer)}
    validate_arrays({name: array.shape for name, array in arrays.items()}, shapes)
    for name, variable in variables.items():
        variable.assign(tf.constant(arrays[name], variable.dtype))
    for name, optimizer in _optimizers(trainer):
        optimizer.resume(int(arrays[f"{name}/updates"]))


def weights(network: keras.Model) -> dict[str, tf.Variable]:
    """A network's parameters and running statistics by name."""
    return named(network, network.variables)


def _variables(trainer: Trainer) -> dict[str, tf.Variable]:
    networks = {"generator": trainer.generator, "discriminator": trainer.discriminator, "ema": trainer.ema}
    found = {
        f"{scope}/{name}": variable
        for scope, network in networks.items()
        if network is not None
        for name, variable in weights(network).items()
    }
    return found | {
        f"{scope}/{slot}/{name}": optimizer.slot(slot, name)
        for scope, optimizer in _optimizers(trainer)
        for slot in optimizer.slots
        for name in optimizer.parameters
    }


def _optimizers(trainer: Trainer) -> list[tuple[str, Adam | RMSProp]]:
    return [("d_optimizer", trainer.d_optimizer), ("g_optimizer", trainer.g_optimizer)]
