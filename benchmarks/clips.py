"""Spectrograms and Griffin-Lim in clips a second, in both frameworks beside librosa."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from benchmarks.processes import BenchmarkProcess
from benchmarks.tables import Table, span
from shared_impl.draws import Draws

Array = np.ndarray
COUNT, SAMPLES, FRAME, HOP, ITERATIONS = 64, 16384, 256, 128, 16
WHO = ("torch", "tensorflow", "librosa")
Kind = Callable[[], object]


@dataclass(frozen=True)
class Job:
    """One direction, in every framework."""

    name: str
    task: str


JOBS = (Job("spectrograms", "spectrogram"), Job("griffin-lim", "waveform"))


@dataclass
class Figures:
    """Clips a second by turn."""

    name: str
    rates: dict[str, list[float]] = field(default_factory=dict)


def measure(jobs: Sequence[Job], runs: int, cores: int) -> list[Figures]:
    """Every direction, in so many rounds. Raises BenchmarkFailed."""
    table = [Figures(job.name) for job in jobs]
    print("\rclips ", end="", file=sys.stderr, flush=True)
    with ExitStack() as stack:
        processes = {who: stack.enter_context(BenchmarkProcess("benchmarks.clips", who, cores=cores)) for who in WHO}
        for job, figures in zip(jobs, table, strict=True):
            for who, process in processes.items():
                process.request(job.task)  # the first of its kind is a warm-up
                figures.rates[who] = []
            for _ in range(runs):
                for who, process in processes.items():
                    figures.rates[who].append(COUNT / process.request(job.task))
    print("\rclips: done".ljust(60), file=sys.stderr)
    return table


def to_markdown(table: list[Figures]) -> str:
    """Rates, and how many times librosa's."""
    note = (
        f"Clips of {SAMPLES} samples a second, in batches of {COUNT}: normalised log spectrograms (frame {FRAME}, hop "
        f"{HOP}), and back by {ITERATIONS} rounds of Griffin-Lim; in brackets times librosa's rate."
    )
    rows = []
    for figures in table:
        theirs = median(figures.rates["librosa"])
        ours = [f"{span(figures.rates[who], 0)} [{median(figures.rates[who]) / theirs:.1f}]" for who in WHO[:2]]
        rows.append((figures.name, *ours, span(figures.rates["librosa"], 0)))
    return Table(note, ("clips/s:", *WHO), rows).to_markdown()


def sound() -> Array:
    """Noise, float32 ``[64, 16384]`` in [-1, 1]."""
    return (2 * Draws(0).uniform("clips", (COUNT, SAMPLES)) - 1).astype(np.float32)


def torch_tasks() -> dict[str, Kind]:
    """Both directions by torch_impl, as a trainer calls them."""
    import torch

    from torch_impl.spectrogram import spectrogram, waveform

    device = "cuda" if torch.cuda.is_available() else "cpu"
    clips = torch.from_numpy(sound()).to(device)
    mean, std = (torch.full((FRAME // 2 + 1,), value, device=device) for value in (0.0, 1.0))
    images = spectrogram(clips, mean, std)
    return {
        "spectrogram": lambda: spectrogram(clips, mean, std).cpu(),
        "waveform": lambda: waveform(images, mean, std, ITERATIONS).cpu(),
    }


def tensorflow_tasks() -> dict[str, Kind]:
    """Both directions by tf_impl, as a trainer calls them."""
    import tensorflow as tf

    from tf_impl.spectrogram import spectrogram, waveform

    clips = tf.constant(sound())
    mean, std = (tf.fill([FRAME // 2 + 1], value) for value in (0.0, 1.0))
    forward = tf.function(lambda clips: spectrogram(clips, mean, std), autograph=False)
    images = forward(clips)
    return {
        "spectrogram": lambda: forward(clips).numpy(),
        "waveform": lambda: waveform(images, mean, std, ITERATIONS).numpy(),
    }


def librosa_tasks() -> dict[str, Kind]:
    """The same by librosa, on the whole batch at once as it allows."""
    import librosa

    clips = np.pad(sound(), [(0, 0), (0, FRAME - HOP)])
    options: dict[str, Any] = {"n_fft": FRAME, "hop_length": HOP, "center": False}
    magnitude = np.abs(librosa.stft(clips, **options))

    def forward() -> Array:
        logs = np.log(np.abs(librosa.stft(clips, **options)) + 1e-6)
        return np.clip(logs[:, :-1] / 3, -1, 1)

    return {
        "spectrogram": forward,
        "waveform": lambda: librosa.griffinlim(magnitude, n_iter=ITERATIONS, momentum=0, init=None, **options),
    }


TASKS = {"torch": torch_tasks, "tensorflow": tensorflow_tasks, "librosa": librosa_tasks}


def serve(tasks: dict[str, Kind], lines: Iterator[str]) -> Iterator[float]:
    """Seconds that each task took."""
    for line in lines:
        start = time.perf_counter()
        tasks[line.strip()]()
        yield time.perf_counter() - start


if __name__ == "__main__":
    for answer in serve(TASKS[sys.argv[1]](), sys.stdin):
        print(json.dumps(answer), flush=True)
