"""A trainer's whole state as named arrays, and back; twin of tf_impl/checkpoints.py.

Names: ``generator/LAYER.PARAMETER`` (running statistics included), the same under ``discriminator`` and ``ema``;
``g_optimizer/SLOT/LAYER.PARAMETER`` and ``g_optimizer/updates``, the same under ``d_optimizer``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from shared_impl.storage.checkpoints import validate_arrays
from torch_impl.optimizers import Adam, RMSProp
from torch_impl.trainer import Trainer

Array = np.ndarray


def state(trainer: Trainer) -> dict[str, Array]:
    """Copies of every array that the next step depends on, in torch's layout."""
    arrays = {name: tensor.detach().cpu().contiguous().numpy().copy() for name, tensor in _tensors(trainer).items()}
    return arrays | {f"{name}/updates": np.array(own.updates, np.int64) for name, own in _optimizers(trainer)}


@torch.no_grad()
def restore(trainer: Trainer, arrays: Mapping[str, Array]) -> None:
    """Write a state back; CheckpointError, before anything is written, if names or shapes are not the trainer's."""
    tensors = _tensors(trainer)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    shapes |= {f"{name}/updates": () for name, _ in _optimizers(trainer)}
    validate_arrays({name: array.shape for name, array in arrays.items()}, shapes)
    for name, tensor in tensors.items():
        tensor.copy_(torch.from_numpy(arrays[name]))
    for name, optimizer in _optimizers(trainer):
        optimizer.resume(int(arrays[f"{name}/updates"]))


def weights(network: nn.Module) -> dict[str, Tensor]:
    """A network's parameters and running statistics by name; torch's count of batches means nothing to them."""
    everything = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {name: tensor for name, tensor in everything.items() if not name.endswith("num_batches_tracked")}


def _tensors(trainer: Trainer) -> dict[str, Tensor]:
    networks = {"generator": trainer.generator, "discriminator": trainer.discriminator, "ema": trainer.ema}
    found = {
        f"{scope}/{name}": tensor
        for scope, network in networks.items()
        if network is not None
        for name, tensor in weights(network).items()
    }
    return found | {
        f"{scope}/{slot}/{name}": optimizer.slot(slot, name)
        for scope, optimizer in _optimizers(trainer)
        for slot in optimizer.slots
        for name in optimizer.parameters
    }


def _optimizers(trainer: Trainer) -> list[tuple[str, Adam | RMSProp]]:
    return [("d_optimizer", trainer.d_optimizer), ("g_optimizer", trainer.g_optimizer)]
