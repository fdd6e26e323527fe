"""What a checkpoint's generator makes, in TensorFlow; twin of torch_impl/generate.py."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from shared_impl.config.presets import checked
from shared_impl.config.schema import Config
from shared_impl.storage.checkpoint_contents import generator_weights, spectrogram_moments
from shared_impl.storage.checkpoints import Checkpoint, validate_arrays
from shared_impl.training.growing import weights_after
from tf_impl import build
from tf_impl.checkpoints import weights
from tf_impl.spectrogram import waveform

Array = np.ndarray


class Sampler:
    """The generator of a checkpoint, its moving average where there is one, in evaluation mode.

    ``config`` is the checkpoint's. Raises CheckpointError if the arrays are not that configuration's.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.config = checked(Config, checkpoint.manifest["config"], where=str(checkpoint.path))
        self.moments, self.step = spectrogram_moments(checkpoint), checkpoint.step
        self.generator = build(self.config.model, "generator")
        slots, arrays = weights(self.generator), generator_weights(checkpoint)
        validate_arrays(
            {name: array.shape for name, array in arrays.items()},
            {name: tuple(variable.shape) for name, variable in slots.items()},
        )
        for name, variable in slots.items():
            variable.assign(tf.cast(arrays[name], variable.dtype))
        self._waveform = tf.function(waveform, autograph=False, reduce_retracing=True)

    def images(self, z: Array, labels: Array | None = None) -> Array:
        """Images ``[B, H, W, C]`` in [-1, 1] from latents ``[B, nz]`` and, of a conditional system, labels ``[B]``.

        Those of a generator that still grows are enlarged.
        """
        latents = tf.cast(z, tf.float32)
        inputs = [latents] if labels is None else [latents, tf.constant(labels)]
        if self.config.model.stages:
            inputs.append(tf.cast(weights_after(self.config, self.step, len(z)), tf.float32))
        return self.generator(inputs if len(inputs) > 1 else latents, training=False).numpy()

    def clips(self, images: Array, iterations: int = 16, inverse: str = "original") -> Array:
        """Waveforms ``[B, T]`` of spectrograms ``[B, H, W, 1]``, as ``waveform`` makes them."""
        frame, hop, _ = self.config.model.framing
        return self._waveform(tf.constant(images), *self.moments, iterations, inverse, frame, hop).numpy()
