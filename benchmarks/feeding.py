"""How long training waits for its data: the presets' own steps, fed by the stream as in a run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from statistics import median
from typing import Any

from benchmarks.contestants import FRAMEWORKS
from benchmarks.processes import BenchmarkProcess
from benchmarks.tables import Table, goal_cell
from shared_impl.config.presets import load
from shared_impl.data.source_moments import moments_for_run
from shared_impl.data.sources import open_source
from shared_impl.data.stream import Batch, Stream
from shared_impl.training.replicas import IMPLEMENTATIONS

GOAL = 0.05  # of a step, spent waiting
STEPS = 40


@dataclass(frozen=True)
class Job:
    """A preset in one framework."""

    framework: str
    preset: str

    @property
    def name(self) -> str:
        """How the job is chosen."""
        return f"feed {self.preset} {self.framework}"


JOBS = tuple(Job(framework, preset) for preset in ("dcgan_digits", "specgan_drums") for framework in FRAMEWORKS)


@dataclass
class Figures:
    """Seconds of so many steps, and those of them spent waiting, run by run."""

    name: str
    seconds: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)


def measure(jobs: Sequence[Job], runs: int, cores: int) -> list[Figures]:
    """Every job, ``runs`` times. Raises BenchmarkFailed."""
    table = []
    for job in jobs:
        print(f"\r{job.name} ", end="", file=sys.stderr, flush=True)
        figures = Figures(job.name)
        with BenchmarkProcess("benchmarks.feeding", job.framework, job.preset, cores=cores) as process:
            process.request(str(STEPS))
            for _ in range(runs):
                times = process.request(str(STEPS))
                figures.seconds.append(times["seconds"])
                figures.waiting.append(times["waiting"])
        print(f"\r{job.name}: done".ljust(60), file=sys.stderr)
        table.append(figures)
    return table


def to_markdown(table: list[Figures]) -> str:
    """Share of the time that training waits."""
    note = f"Waiting for data, over {STEPS} steps of a preset as it stands; its threads share the cores with training."
    rows = []
    for figures in table:
        share = median([waited / whole for waited, whole in zip(figures.waiting, figures.seconds, strict=True)])
        step = 1e3 * median(figures.seconds) / STEPS
        rows.append((figures.name, f"{step:.1f}", f"{share:.1%}", goal_cell(f"under {GOAL:.0%}", share < GOAL)))
    return Table(note, ("preset:", "a step, ms", "waiting", "goal:"), rows).to_markdown()


class Waiting:
    """A stream that counts how long its reader waits."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.seconds = stream, 0.0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        start = time.perf_counter()
        batch = next(self.stream)
        self.seconds += time.perf_counter() - start
        return batch


def serve(framework: str, preset: str, lines: Iterator[str]) -> Iterator[dict[str, float]]:
    """Take the steps that each line asks for."""
    config = load(preset)
    implementation: Any = import_module(f"{IMPLEMENTATIONS[framework]}.trainer")
    source, data, training, moments = open_source(config.data, config.model), config.data, config.training, None
    if config.model.medium == "audio":
        log_magnitude = import_module(f"{IMPLEMENTATIONS[framework]}.spectrogram").log_magnitude
        moments = moments_for_run(source, config, log_magnitude)
    trainer = implementation.Trainer(config, 1_000_000, moments)
    with Stream(
        source, training.batch_size, training.seed,
        workers=data.workers, prefetch=data.prefetch, balance=data.balance,
    ) as stream:  # fmt: skip
        batches, step = Waiting(stream), 0
        for line in lines:
            start, waited = time.perf_counter(), batches.seconds
            for _ in range(int(line)):
                losses = trainer.step(step, batches)
                step += 1
            for value in losses.values():
                float(value)  # waits for the device
            yield {"seconds": time.perf_counter() - start, "waiting": batches.seconds - waited}


if __name__ == "__main__":
    for answer in serve(sys.argv[1], sys.argv[2], sys.stdin):
        print(json.dumps(answer), flush=True)
