"""Weak and strong scaling by a second process, and the share of a step that is communication.

Every process has a core of its own, and as many threads. Groups of one and of two processes take turns. A group of two
also takes each step without averaging gradients: the difference is communication.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass, field
from importlib import import_module
from itertools import repeat
from statistics import median
from typing import Any

import numpy as np

from benchmarks.contestants import configuration, drawn
from benchmarks.processes import BenchmarkProcess
from benchmarks.tables import Table, span
from parity.systems.distribution.engines import DDP, MULTI_WORKER, Engine, environments
from shared_impl.training.replicas import IMPLEMENTATIONS

SHARES = {"dcgan": 32, "specgan": 8}  # examples of a process
KINDS = {"torch": DDP, "tensorflow": MULTI_WORKER}
JOINED, APART = "joined", "apart"
STEPS = 2


@dataclass(frozen=True)
class Job:
    """One system in one framework."""

    framework: str
    system: str

    @property
    def name(self) -> str:
        """How the job is chosen."""
        return f"scale {self.system} {self.framework}"

    @property
    def groups(self) -> dict[str, tuple[int, int]]:
        """Processes, and the batch that they share: alone; twice the batch for two; the same batch for two."""
        share = SHARES[self.system]
        return {"alone": (1, share), "weak": (2, 2 * share), "strong": (2, share)}


JOBS = tuple(Job(framework, system) for system in SHARES for framework in KINDS)


@dataclass
class Figures:
    """Seconds a step by group, run by run; ``apart`` without communication."""

    name: str
    batches: dict[str, int]
    joined: dict[str, list[float]] = field(default_factory=dict)
    apart: dict[str, list[float]] = field(default_factory=dict)


def measure(jobs: Sequence[Job], runs: int, cores: int) -> list[Figures]:
    """Every job, in so many rounds. Raises BenchmarkFailed."""
    table = []
    for job in jobs:
        figures = Figures(job.name, {group: batch for group, (_, batch) in job.groups.items()})
        with ExitStack() as stack:
            groups = {
                group: [stack.enter_context(process) for process in _start_group(job, processes, batch)]
                for group, (processes, batch) in job.groups.items()
            }
            for number in range(runs + 1):  # the first is a warm-up
                print(f"\r{job.name}: round {number} of {runs} ", end="", file=sys.stderr, flush=True)
                for group, processes in groups.items():
                    for kind, found in ((JOINED, figures.joined), (APART, figures.apart)):
                        seconds = _seconds_a_step(processes, kind)
                        if number:
                            found.setdefault(group, []).append(seconds)
        print(f"\r{job.name}: done".ljust(60), file=sys.stderr)
        table.append(figures)
    return table


def _start_group(job: Job, processes: int, batch: int) -> list[BenchmarkProcess]:
    engine = Engine(job.framework, KINDS[job.framework], processes, processes)
    words = ("benchmarks.scaling", job.framework, job.system, str(batch))
    return [
        BenchmarkProcess(*words, cores=1, first=number, extra=extra)
        for number, extra in enumerate(environments(engine))
    ]


def _seconds_a_step(processes: list[BenchmarkProcess], kind: str) -> float:
    """Seconds a step; a group is as fast as its slowest process."""
    for process in processes:
        process.send(kind)
    return max(process.receive()["seconds"] for process in processes) / STEPS


def to_markdown(table: list[Figures]) -> str:
    """Weak and strong scaling."""
    note = (
        "A second process, each on a core of its own: twice the batch in the same time (weak), or the same batch in "
        "half the time (strong) would be 100 %. Communication is what a step takes longer than one that keeps "
        "gradients apart."
    )
    columns = (
        "scaling:",
        "kind:",
        "batch of 1",
        "batch of 2",
        "1, ms a step",
        "2, ms a step",
        "efficiency",
        "communication",
    )
    rows = [_row(figures, group) for figures in table for group in ("weak", "strong")]
    return Table(note, columns, rows).to_markdown()


def _row(figures: Figures, group: str) -> tuple[str, ...]:
    alone, two = figures.joined["alone"], figures.joined[group]
    halves = 2.0 if group == "strong" else 1.0
    efficiency = [100 * one / (halves * both) for one, both in zip(alone, two, strict=True)]
    shares = [100 * (1 - without / both) for without, both in zip(figures.apart[group], two, strict=True)]
    sizes = (str(figures.batches["alone"]), str(figures.batches[group]))
    times = (f"{1e3 * median(alone):.0f}", f"{1e3 * median(two):.0f}")
    return figures.name, group, *sizes, *times, f"{span(efficiency, 0)} %", f"{max(median(shares), 0):.0f} %"


def serve(framework: str, system: str, batch: int, lines: Iterator[str]) -> Iterator[dict[str, float]]:
    """Take STEPS steps of the kind that each line names, together with the other processes."""
    config = configuration(system, batch, ["distribution.devices=cpu"])
    implementation = IMPLEMENTATIONS[framework]
    trainers, engine = (import_module(f"{implementation}.{name}") for name in ("trainer", "distribution"))
    with engine.Replicas(config) as replicas:
        share = batch // replicas.processes
        x = drawn(config)[0][replicas.process * share : (replicas.process + 1) * share]
        batches = repeat({"x": x, "label": np.zeros(share, np.int64)})
        trained = {JOINED: trainers.Trainer(config, config.training.steps, None, replicas)}
        trained[APART] = _without_averaging(trainers.Trainer(config, config.training.steps, None, copy(replicas)))
        step = 0
        for line in lines:
            replicas.any(False)  # all begin together
            start = time.perf_counter()
            for _ in range(STEPS):
                losses = trained[line.strip()].step(step, batches)
                step += 1
            for value in losses.values():
                float(value)
            yield {"seconds": time.perf_counter() - start}


def _without_averaging(trainer: Any) -> Any:
    """The trainer, every device of which uses its own gradients."""
    if hasattr(trainer, "joined"):
        trainer.joined = {network: network for network in trainer.joined}
    else:
        trainer.replicas.average = list
    return trainer


if __name__ == "__main__":
    for answer in serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.stdin):
        print(json.dumps(answer), flush=True)
