"""Both implementations' spectrograms and what they make of the recorded waveforms. Layouts are the record's, NHWC."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import torch

import tf_impl.spectrogram
import torch_impl.spectrogram
from parity.numerics.difference import difference
from parity.systems.golden.results import relative_rms
from shared_impl.data.moments import Accumulator

Arrays = dict[str, np.ndarray]


def specgan_spectrogram(record: Arrays) -> tuple[dict[str, Arrays], dict[str, float]]:
    """By framework every quantity made from what is on record before it, in float64 (the image in float32), and how
    far Keras's own float32 is from its float64, as the limits of :mod:`parity.systems.golden.results` measure it.

    The moments are of ``waveform``; ``spectrogram`` is made with the recorded moments, ``griffin_lim`` and ``image``
    from the recorded spectrogram.
    """
    ours, single = (keras_quantities(record, dtype) for dtype in (np.float64, np.float32))
    rounding = {key: difference(single[key], ours[key]).relative for key in ours}
    rounding["griffin_lim"] = float(relative_rms(single["griffin_lim"], ours["griffin_lim"]).max())
    return {"Keras": ours, "torch": _torch(record)}, rounding


def keras_quantities(record: Arrays, dtype: type[np.floating]) -> Arrays:
    """The Keras implementation's part of :func:`specgan_spectrogram` in that precision."""
    implementation = tf_impl.spectrogram
    waveforms, spectrograms = (tf.constant(record[key].astype(dtype)) for key in ("waveform", "spectrogram"))
    moments = record["mean"], record["std"]
    return {
        **_moments(implementation.log_magnitude(waveforms).numpy()),
        "spectrogram": implementation.spectrogram(waveforms, *moments).numpy(),
        "griffin_lim": implementation.waveform(spectrograms, *moments).numpy()[..., None],
        "image": implementation.image(record["spectrogram"]).numpy(),
    }


def _torch(record: Arrays) -> Arrays:
    implementation = torch_impl.spectrogram
    waveforms = torch.tensor(record["waveform"]).double()
    recorded = torch.tensor(record["spectrogram"]).movedim(-1, 1)
    moments = record["mean"], record["std"]
    return {
        **_moments(implementation.log_magnitude(waveforms).numpy()),
        "spectrogram": implementation.spectrogram(waveforms, *moments).movedim(1, -1).numpy(),
        "griffin_lim": implementation.waveform(recorded.double(), *moments).numpy()[..., None],
        "image": implementation.image(recorded).numpy(),
    }


def _moments(log_magnitudes: np.ndarray) -> Arrays:
    accumulator = Accumulator({})
    accumulator.add(log_magnitudes)
    found = accumulator.result()
    return {"mean": found.mean, "std": found.std}
