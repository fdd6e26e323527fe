"""Generated clips judged by their log-spectral distance to the nearest real ones. Plain NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from shared_impl.sampling.evaluation_report import Report, shares_text

Array = np.ndarray

FRAME, HOP = 256, 128  # samples, as SpecGAN's spectrograms; of all systems, so that their figures compare
RANGE = 50.0  # dB below a clip's loudest point, where silence begins: 20 dB above the hiss of the synthesised drums


def clips_report(
    generated: Array, real: Array, held_out: Array, noise: Array, names: list[str] | None = None
) -> Report:
    """How far clips ``[N, T]`` are from the nearest real ones, beside real ones held out and noise, in dB (medians).

    ``names`` are the classes of ``real``. ``closeness`` is 0 at the distance of noise and 1 at that of held-out clips;
    ``apart`` is the distance between a generated clip and the nearest other one, small if all sound alike.
    """
    groups = {"generated": generated, "held_out": held_out, "noise": noise}
    nearest = {name: nearest_distances(clips, real) for name, clips in groups.items()}
    medians = {name: float(np.median(distances)) for name, (distances, _) in nearest.items()}
    found = [names[index] for index in nearest["generated"][1]] if names else []
    figures = {
        "samples": len(generated),
        "distance_db": medians,
        "closeness": (medians["noise"] - medians["generated"]) / (medians["noise"] - medians["held_out"]),
        "apart_db": {name: _distance_apart(groups[name][: len(generated)]) for name in ("generated", "held_out")},
        "classes": {name: found.count(name) / len(generated) for name in dict.fromkeys(names or [])},
    }
    return Report(figures, _text(figures))


def nearest_distances(clips: Array, real: Array) -> tuple[Array, Array]:
    """For each clip, its log-spectral distance in dB to the nearest of ``real``, and which that is; ``[N]`` each."""
    distances = log_spectral_distance(clips, real)
    return distances.min(1), distances.argmin(1)


def log_spectral_distance(a: Array, b: Array) -> Array:
    """Distances in dB ``[N, M]`` between clips ``[N, T]`` and ``[M, T]``, in any unit of pressure.

    For each frame the root mean square over bins of the difference of log magnitudes (Gray and Markel 1976,
    doi:10.1109/TASSP.1976.1162849), averaged over frames. Levels are relative to the loudest point of each clip; what
    lies RANGE below it is silence, and bins and frames that are silent in both clips do not count: a drum leaves most
    of its spectrogram empty, and silence would be near to it.
    """
    left, right = levels(a) + RANGE, levels(b) + RANGE  # [frames, N, bins], [frames, M, bins], 0 where silent
    total, frames = np.zeros((2, len(a), len(b)))
    for x, y in zip(left, right, strict=True):
        squares = (x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1)
        sounds_in_x, sounds_in_y = (x > 0).astype(float), (y > 0).astype(float)
        either = sounds_in_x.sum(1)[:, None] - sounds_in_x @ sounds_in_y.T + sounds_in_y.sum(1)  # bins
        total += np.sqrt(np.maximum(squares, 0) / np.maximum(either, 1))
        frames += either > 0
    return total / np.maximum(frames, 1)


def levels(clips: Array) -> Array:
    """Magnitudes ``[frames, N, bins]`` in dB below the loudest of each clip, RANGE at most; silence is all -RANGE."""
    frames = sliding_window_view(np.pad(clips.astype(np.float64), ((0, 0), (0, FRAME - HOP))), FRAME, axis=1)[:, ::HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    magnitudes = np.abs(np.fft.rfft(frames * window))  # [N, frames, bins]
    loudest = np.maximum(magnitudes.max((1, 2), keepdims=True), np.finfo(np.float64).tiny)
    return 20 * np.log10(np.maximum(magnitudes / loudest, 10 ** (-RANGE / 20))).transpose(1, 0, 2)


def _distance_apart(clips: Array) -> float:
    """The median distance of a clip to the nearest other one; 0 if there is only one."""
    if len(clips) < 2:
        return 0.0
    distances = log_spectral_distance(clips, clips)
    np.fill_diagonal(distances, np.inf)
    return float(np.median(distances.min(1)))


def _text(figures: Mapping[str, Any]) -> str:
    distance, apart = figures["distance_db"], figures["apart_db"]
    lines = [
        f"log-spectral distance to the nearest real clip, median of {figures['samples']}: "
        f"{distance['generated']:.1f} dB (held-out real clips {distance['held_out']:.1f} dB, "
        f"noise {distance['noise']:.1f} dB; closeness {figures['closeness']:.2f})",
        f"to the nearest other sample: {apart['generated']:.1f} dB (held-out real clips {apart['held_out']:.1f} dB)",
    ]
    if figures["classes"]:
        lines.append(f"nearest to {shares_text(figures['classes'])}")
    return "\n".join(lines)
