"""What a checkpoint's generator makes, in torch; twin of tf_impl/generate.py."""

from __future__ import annotations

import numpy as np
import torch

from shared_impl.config.presets import checked
from shared_impl.config.schema import Config
from shared_impl.storage.checkpoint_contents import generator_weights, spectrogram_moments
from shared_impl.storage.checkpoints import Checkpoint, validate_arrays
from shared_impl.training.growing import weights_after
from torch_impl import build
from torch_impl.checkpoints import weights
from torch_impl.spectrogram import waveform

Array = np.ndarray


class Sampler:
    """The generator of a checkpoint, its moving average where there is one, in evaluation mode.

    ``config`` is the checkpoint's. Raises CheckpointError if the arrays are not that configuration's.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.config = checked(Config, checkpoint.manifest["config"], where=str(checkpoint.path))
        self.moments, self.step = spectrogram_moments(checkpoint), checkpoint.step
        self.generator = build(self.config.model, "generator").eval()
        slots, arrays = weights(self.generator), generator_weights(checkpoint)
        validate_arrays(
            {name: array.shape for name, array in arrays.items()},
            {name: tuple(tensor.shape) for name, tensor in slots.items()},
        )
        with torch.no_grad():
            for name, tensor in slots.items():
                tensor.copy_(torch.from_numpy(arrays[name]))

    @torch.no_grad()
    def images(self, z: Array, labels: Array | None = None) -> Array:
        """Images ``[B, H, W, C]`` in [-1, 1] from latents ``[B, nz]`` and, of a conditional system, labels ``[B]``.

        Those of a generator that still grows are enlarged.
        """
        latents = torch.from_numpy(z).float()
        inputs = [latents] if labels is None else [latents, torch.from_numpy(labels)]
        if self.config.model.stages:
            inputs.append(torch.from_numpy(weights_after(self.config, self.step, len(z))).float())
        return self.generator(*inputs).movedim(1, -1).numpy()

    def clips(self, images: Array, iterations: int = 16, inverse: str = "original") -> Array:
        """Waveforms ``[B, T]`` of spectrograms ``[B, H, W, 1]``, as ``waveform`` makes them."""
        frame, hop, _ = self.config.model.framing
        given = torch.from_numpy(images).movedim(-1, 1)
        return waveform(given, *self.moments, iterations, inverse, frame, hop).numpy()
