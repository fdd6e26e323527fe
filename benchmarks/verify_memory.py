"""What ``parity.verify`` costs for large networks: wall time, peak memory, and what share of it is running them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.processes import ROOT, environment, failed, pin
from benchmarks.tables import Table, goal_cell, span

FORWARD = "structure,weights,shapes,padding,forward"


@dataclass(frozen=True)
class Job:
    """One network of :data:`benchmarks.verify_networks.NETWORKS`, and the most that a verdict on it may cost."""

    name: str
    network: str
    goal_seconds: float
    goal_gigabytes: float
    rungs: str = FORWARD


JOBS = (Job("verify VGG16", "VGG16", 45, 4), Job("verify ResNet50", "ResNet50", 20, 2))


@dataclass
class Figures:
    """What the runs of one job gave.

    ``before`` is the peak memory with both models built; ``once`` the seconds to run both networks on one sample, once
    in each precision; ``runs`` how often each framework's network ran.
    """

    name: str
    seconds: list[float] = field(default_factory=list)
    before: list[float] = field(default_factory=list)
    gigabytes: list[float] = field(default_factory=list)
    once: list[float] = field(default_factory=list)
    runs: dict[str, int] = field(default_factory=dict)


def run_once(job: Job, cores: int, *arguments: str) -> Any:
    """What a process of its own answers about the job's network. Raises BenchmarkFailed."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "benchmarks.verify_worker", job.network, *arguments]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stream, env=environment(cores), cwd=ROOT, text=True
            )
            pin(process.pid, cores)
            answer, _ = process.communicate()
        if process.returncode:
            raise failed(job.name, process.returncode, log)
    return json.loads(answer.splitlines()[-1])


def measure(jobs: Sequence[Job], runs: int, cores: int) -> list[Figures]:
    """Every job, ``runs`` times, on ``cores`` cores. Raises BenchmarkFailed."""
    table = []
    for job in jobs:
        figures = Figures(job.name)
        for number in range(1, runs + 1):
            print(f"\r{job.name}: run {number} of {runs} ", end="", file=sys.stderr, flush=True)
            verified = run_once(job, cores, job.rungs)
            figures.seconds.append(verified["seconds"])
            figures.before.append(verified["before"])
            figures.gigabytes.append(verified["peak"])
            figures.runs = verified["runs"]
            figures.once.append(sum(run_once(job, cores)["seconds"].values()))
        print(f"\r{job.name}: {median(figures.seconds):.2f} s".ljust(60), file=sys.stderr)
        table.append(figures)
    return table


def to_markdown(table: list[Figures]) -> str:
    """The table of verdicts on large networks."""
    rows = []
    for figures in table:
        seconds, gigabytes = median(figures.seconds), median(figures.gigabytes)
        rows.append(
            (
                figures.name,
                span(figures.seconds),
                f"{median(figures.once):.2f}",
                f"{median(figures.once) / seconds:.0%}",
                " + ".join(str(count) for count in figures.runs.values()),
                f"{median(figures.before):.2f}",
                f"{gigabytes:.2f}",
                _goal(figures.name, seconds, gigabytes),
            )
        )
    note = (
        "`parity.verify` of large networks up to the rung forward, each in a process of its own. *Once* is running "
        "both networks on one sample, once in each precision; runs are those of Keras and of torch, probing included; "
        "memory is the process's peak with both models built, and at the end."
    )
    columns = ("verdict:", "wall, s", "once, s", "share", "runs", "built, GB", "peak memory, GB", "goal:")
    return Table(note, columns, rows).to_markdown()


def _goal(name: str, seconds: float, gigabytes: float) -> str:
    job = next((job for job in JOBS if job.name == name), None)
    if job is None:
        return ""
    met = seconds <= job.goal_seconds and gigabytes <= job.goal_gigabytes
    return goal_cell(f"under {job.goal_seconds:g} s and {job.goal_gigabytes:g} GB", met)
