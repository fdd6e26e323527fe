"""Waveforms to normalised log spectrograms and back, NHWC; twin of torch_impl/spectrogram.py.

After ``train_specgan.py`` in github.com/chrisdonahue/wavegan at 40e85e8 (Donahue et al. 2019, arXiv:1802.04208), whose
functions are named below. All is computed in the precision of the argument, half precision in float32, and on its
device; no gradient passes. ValueError says where, what was got and what was expected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

LOG_EPSILON = 1e-6  # added to a magnitude before its logarithm
DEVIATIONS = 3.0  # standard deviations on either side of the mean that -1 and 1 stand for
SMALLEST = 1e-8  # magnitude below which a phase fades to zero
INVERSES = ("original", "corrected")


def log_magnitude(waveforms: Any, frame: int = 256, hop: int = 128) -> tf.Tensor:
    """``[B, T]`` to natural logarithms of STFT magnitudes ``[B, ceil(T / hop), frame / 2 + 1]`` (``t_to_f``).

    Periodic Hann window; the first frame starts at the first sample, zeros follow the last.
    """
    _check_framing(frame, hop)
    waveforms = _floating("waveforms", waveforms, "[B, T]")
    transform = tf.signal.stft(waveforms, frame, hop, frame, pad_end=True)  # [B, frames, bins]
    return tf.math.log(tf.abs(transform) + LOG_EPSILON)


def spectrogram(waveforms: Any, mean: Any, std: Any, frame: int = 256, hop: int = 128) -> tf.Tensor:
    """``[B, T]`` to images ``[B, ceil(T / hop), frame / 2, 1]`` in [-1, 1], by frame and bin (``t_to_f``).

    ``mean`` and ``std``, ``[frame / 2 + 1]``, std positive, are those of ``log_magnitude`` over the data set
    (``shared_impl.data.moments``). The highest bin is dropped.
    """
    logs = tf.stop_gradient(log_magnitude(waveforms, frame, hop)[:, :, :-1])
    mean, std = (_per_bin(name, value, frame, logs.dtype) for name, value in (("mean", mean), ("std", std)))
    return tf.clip_by_value((logs - mean[:-1]) / std[:-1] / DEVIATIONS, -1, 1)[..., None]  # [B, frames, bins - 1, 1]


def waveform(
    spectrograms: Any,
    mean: Any,
    std: Any,
    iterations: int = 16,
    inverse: str = "original",
    frame: int = 256,
    hop: int = 128,
) -> tf.Tensor:
    """Images ``[B, frames, frame / 2, 1]`` to ``[B, frames * hop]``: Griffin and Lim 1984 from zero phase (``f_to_t``).

    The dropped bin comes back as its mean. ``inverse="original"`` overlap-adds windowed frames without correcting for
    the window, as the original does; ``"corrected"`` divides by the overlapping squares of the window (Griffin and
    Lim's equation 7), so that it undoes the STFT from sample ``frame - hop`` on; the samples before fade in.
    """
    _check_framing(frame, hop)
    if inverse not in INVERSES or iterations < 0:
        raise ValueError(
            f"waveform: inverse is {inverse!r}, iterations is {iterations}; "
            f"expected one of {', '.join(INVERSES)}, and no negative number"
        )
    images = tf.stop_gradient(_floating("spectrograms", spectrograms, f"[B, frames, {frame // 2}, 1]"))
    mean, std = (_per_bin(name, value, frame, images.dtype) for name, value in (("mean", mean), ("std", std)))
    logs = tf.pad(images[..., 0], [[0, 0], [0, 0], [0, 1]]) * DEVIATIONS * std + mean  # [B, frames, bins]
    magnitude = tf.exp(logs)
    window = tf.signal.hann_window if inverse == "original" else tf.signal.inverse_stft_window_fn(hop)
    transform = tf.complex(magnitude, tf.zeros_like(magnitude))
    for _ in range(iterations):
        transform = tf.signal.stft(_inverse_stft(transform, window, frame, hop), frame, hop, frame)
        ratio = magnitude / tf.maximum(tf.abs(transform), SMALLEST)
        transform *= tf.cast(ratio, transform.dtype)
    return _inverse_stft(transform, window, frame, hop)[:, : tf.shape(logs)[1] * hop]


def image(spectrograms: Any) -> tf.Tensor:
    """Images ``[B, frames, bins, C]`` in [-1, 1] to uint8 ``[B, bins, frames, C]``, time to the right (``f_to_img``).

    Values are truncated and clipped; pitch rises upwards.
    """
    images = _floating("spectrograms", spectrograms, "[B, frames, bins, C]")
    shades = tf.cast(tf.clip_by_value((images + 1) * 128, 0, 255), tf.uint8)
    return tf.image.rot90(shades)


def _inverse_stft(transform: tf.Tensor, window: Callable[..., tf.Tensor], frame: int, hop: int) -> tf.Tensor:
    """``[B, frames, bins]`` to ``[B, (frames - 1) * hop + frame]``."""
    return tf.signal.inverse_stft(transform, frame, hop, frame, window)


def _check_framing(frame: int, hop: int) -> None:
    if frame % 2 or not 1 <= hop < frame or frame % hop:
        raise ValueError(f"frame is {frame}, hop is {hop}: expected an even frame and a shorter hop that divides it")


def _floating(name: str, values: Any, layout: str) -> tf.Tensor:
    """``values`` as a floating-point tensor of that layout, half precision as float32."""
    values = tf.convert_to_tensor(values)
    sizes = layout.strip("[]").split(", ")
    fits = len(values.shape) == len(sizes) and all(
        size in (None, int(wanted)) for size, wanted in zip(values.shape, sizes, strict=True) if wanted.isdigit()
    )
    if not values.dtype.is_floating or not fits or 0 in values.shape:
        raise ValueError(f"{name}: got {values.dtype.name} {list(values.shape)}, expected floating-point {layout}")
    return tf.cast(values, tf.float32) if values.dtype.size < 4 else values


def _per_bin(name: str, values: Any, frame: int, dtype: tf.DType) -> tf.Tensor:
    """A moment as a tensor ``[frame / 2 + 1]``."""
    values = tf.cast(values, dtype)
    if values.shape != (frame // 2 + 1,):
        raise ValueError(f"{name}: got shape {list(values.shape)}, expected [{frame // 2 + 1}] for frames of {frame}")
    return values
