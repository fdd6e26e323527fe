"""Waveforms to normalised log spectrograms and back, NCHW; twin of tf_impl/spectrogram.py.

After ``train_specgan.py`` in github.com/chrisdonahue/wavegan at 40e85e8 (Donahue et al. 2019, arXiv:1802.04208), whose
functions are named below. All is computed in the precision of the argument, half precision in float32, and on its
device; no gradient passes. ValueError says where, what was got and what was expected.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_EPSILON = 1e-6  # added to a magnitude before its logarithm
DEVIATIONS = 3.0  # standard deviations on either side of the mean that -1 and 1 stand for
SMALLEST = 1e-8  # magnitude below which a phase fades to zero
INVERSES = ("original", "corrected")


@torch.no_grad()
def log_magnitude(waveforms: Any, frame: int = 256, hop: int = 128) -> Tensor:
    """``[B, T]`` to natural logarithms of STFT magnitudes ``[B, ceil(T / hop), frame / 2 + 1]`` (``t_to_f``).

    Periodic Hann window; the first frame starts at the first sample, zeros follow the last.
    """
    _check_framing(frame, hop)
    waveforms = _floating("waveforms", waveforms, "[B, T]")
    beyond = -waveforms.shape[1] % hop + frame - hop  # what the last frame lacks
    transform = _stft(F.pad(waveforms, (0, beyond)), frame, hop)  # [B, frames, bins]
    return torch.log(_modulus(transform) + LOG_EPSILON)


@torch.no_grad()
def spectrogram(waveforms: Any, mean: Any, std: Any, frame: int = 256, hop: int = 128) -> Tensor:
    """``[B, T]`` to images ``[B, 1, ceil(T / hop), frame / 2]`` in [-1, 1], by frame and bin (``t_to_f``).

    ``mean`` and ``std``, ``[frame / 2 + 1]``, std positive, are those of ``log_magnitude`` over the data set
    (``shared_impl.data.moments``). The highest bin is dropped.
    """
    logs = log_magnitude(waveforms, frame, hop)[:, :, :-1]
    mean, std = (_per_bin(name, value, frame, logs) for name, value in (("mean", mean), ("std", std)))
    return ((logs - mean[:-1]) / std[:-1] / DEVIATIONS).clamp(-1, 1)[:, None]  # [B, 1, frames, bins - 1]


@torch.no_grad()
def waveform(
    spectrograms: Any,
    mean: Any,
    std: Any,
    iterations: int = 16,
    inverse: str = "original",
    frame: int = 256,
    hop: int = 128,
) -> Tensor:
    """Images ``[B, 1, frames, frame / 2]`` to ``[B, frames * hop]``: Griffin and Lim 1984 from zero phase (``f_to_t``).

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
    images = _floating("spectrograms", spectrograms, f"[B, 1, frames, {frame // 2}]")
    mean, std = (_per_bin(name, value, frame, images) for name, value in (("mean", mean), ("std", std)))
    logs = F.pad(images[:, 0], (0, 1)) * DEVIATIONS * std + mean  # [B, frames, bins]
    magnitude = logs.exp()
    window = _hann(logs, frame)
    if inverse == "corrected":
        window = window / window.square().view(-1, hop).sum(0).repeat(frame // hop)
    transform = torch.complex(magnitude, torch.zeros_like(magnitude))
    for _ in range(iterations):
        transform = _stft(_inverse_stft(transform, window, hop), frame, hop)
        ratio = magnitude / _modulus(transform).clamp_min(SMALLEST)
        torch.view_as_real(transform).mul_(ratio[..., None])
    return _inverse_stft(transform, window, hop)[:, : logs.shape[1] * hop]


@torch.no_grad()
def image(spectrograms: Any) -> Tensor:
    """Images ``[B, C, frames, bins]`` in [-1, 1] to uint8 ``[B, bins, frames, C]``, time to the right (``f_to_img``).

    Values are truncated and clipped; pitch rises upwards.
    """
    images = _floating("spectrograms", spectrograms, "[B, C, frames, bins]").movedim(1, -1)
    shades = ((images + 1) * 128).clamp(0, 255).to(torch.uint8)
    return shades.rot90(1, (1, 2))


def _stft(waveforms: Tensor, frame: int, hop: int) -> Tensor:
    """``[B, (frames - 1) * hop + frame]`` to ``[B, frames, bins]``."""
    window = _hann(waveforms, frame)
    return torch.stft(waveforms, frame, hop, window=window, center=False, return_complex=True).mT


def _inverse_stft(transform: Tensor, window: Tensor, hop: int) -> Tensor:
    """``[B, frames, bins]`` to ``[B, (frames - 1) * hop + frame]``; ``torch.istft`` always corrects for the window."""
    frames = torch.fft.irfft(transform) * window
    pieces = frames.unflatten(-1, (-1, hop))  # [B, frames, overlaps, hop]
    batch, count, overlaps, _ = pieces.shape
    samples = frames.new_zeros(batch, count + overlaps - 1, hop)
    for late in range(overlaps):
        samples[:, late : late + count] += pieces[:, :, late]
    return samples.flatten(1)


def _modulus(transform: Tensor) -> Tensor:
    """``transform.abs()``, which computes complex results first and then copies their real parts, without the copy."""
    return (transform.real.square() + transform.imag.square()).sqrt_()


def _hann(like: Tensor, frame: int) -> Tensor:
    return torch.hann_window(frame, dtype=like.dtype, device=like.device)


def _check_framing(frame: int, hop: int) -> None:
    if frame % 2 or not 1 <= hop < frame or frame % hop:
        raise ValueError(f"frame is {frame}, hop is {hop}: expected an even frame and a shorter hop that divides it")


def _floating(name: str, values: Any, layout: str) -> Tensor:
    """``values`` as a floating-point tensor of that layout, half precision as float32."""
    values = torch.as_tensor(values)
    sizes = layout.strip("[]").split(", ")
    fits = len(values.shape) == len(sizes) and all(
        size == int(wanted) for size, wanted in zip(values.shape, sizes, strict=True) if wanted.isdigit()
    )
    if not values.dtype.is_floating_point or not fits or 0 in values.shape:
        dtype = str(values.dtype).removeprefix("torch.")
        raise ValueError(f"{name}: got {dtype} {list(values.shape)}, expected floating-point {layout}")
    return values.float() if values.dtype.itemsize < 4 else values


def _per_bin(name: str, values: Any, frame: int, like: Tensor) -> Tensor:
    """A moment as a tensor ``[frame / 2 + 1]``."""
    values = torch.as_tensor(values, dtype=like.dtype, device=like.device)
    if values.shape != (frame // 2 + 1,):
        raise ValueError(f"{name}: got shape {list(values.shape)}, expected [{frame // 2 + 1}] for frames of {frame}")
    return values
