"""How long commands take and how large they grow: those whose speed is promised, and what they are made of.

A process's peak memory is never less than that of the one it was forked from, so this module imports nothing large.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple
from xml.etree import ElementTree

from benchmarks.processes import environment, failed, pin
from benchmarks.tables import Table, goal_cell, span
from parity.systems.training.registry import TRAINING

OUT = "{out}"
REST = "everything else"


@dataclass(frozen=True)
class Job:
    """One command to measure; ``{out}`` in it becomes a file that ``parts`` is then read from."""

    name: str
    arguments: tuple[str, ...]
    goal_seconds: float | None = None
    goal_gigabytes: float | None = None
    parts: str = ""


JOBS = (
    Job("import tensorflow, keras", ("-c", "import keras, tensorflow")),
    Job("import torch", ("-c", "import torch")),
    Job(
        "build every pair",
        ("-c", "from parity.systems.registry import network_pairs\nfor pair in network_pairs(): pair.build()"),
    ),
    Job(
        "parity padding",
        ("-m", "parity", "padding", "--op", "conv", "--size", "128", "--kernel", "5", "--stride", "2"),
        goal_seconds=0.5,
    ),
    Job(
        "parity verify --all",
        ("-m", "parity", "verify", "--all", "--json", OUT),
        goal_seconds=300,
        goal_gigabytes=6,
        parts="verdicts",
    ),
    Job(
        "pytest parity",
        ("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={OUT}", "--pyargs", "parity"),
        goal_seconds=300,
        goal_gigabytes=6,
        parts="junit",
    ),
)


class Run(NamedTuple):
    """Wall and processor seconds, peak resident gigabytes, and wall seconds by part."""

    seconds: float
    processor_seconds: float
    gigabytes: float
    parts: dict[str, float]


@dataclass
class Figures:
    """What the runs of one job gave: wall and processor seconds, peak gigabytes, and wall seconds by part."""

    name: str
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    gigabytes: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)


def run_once(job: Job, cores: int) -> Run:
    """One run on ``cores`` cores. Raises BenchmarkFailed."""
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder) / "out", Path(folder) / "log"
        command = [sys.executable, *(argument.replace(OUT, str(out)) for argument in job.arguments)]
        with log.open("wb") as stream:
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=environment(cores))
            pin(process.pid, cores)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise failed(job.name, process.returncode, log)
        parts = PARTS[job.parts](out) if job.parts else {}
    unit = 2**30 if sys.platform == "darwin" else 2**20
    if parts:
        parts[REST] = seconds - sum(parts.values())
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit, parts)


def verdict_parts(path: Path) -> dict[str, float]:
    """Seconds by rung, of networks at full width, their options, and training, from ``parity verify --json``."""
    parts: dict[str, float] = defaultdict(float)
    for verdict in json.loads(path.read_text(encoding="utf-8")):
        trains = set(verdict["rungs"]) & set(TRAINING)
        width = "training" if trains else "options, tiny" if ":" in verdict["name"] else "full width"
        seconds_by_part = {f"{width}: {name}": rung["seconds"] for name, rung in verdict["rungs"].items()}
        for part, seconds in (
            seconds_by_part | {f"{width}: tracing": verdict["seconds"] - sum(seconds_by_part.values())}
        ).items():
            parts[part] += seconds
    return dict(parts)


def junit_parts(path: Path) -> dict[str, float]:
    """Seconds by test file from pytest's JUnit XML."""
    parts: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(path).iter("testcase"):
        parts[case.get("classname", "").split(".")[-1]] += float(case.get("time", 0))
    return dict(parts)


PARTS = {"verdicts": verdict_parts, "junit": junit_parts}


def measure(jobs: Sequence[Job], runs: int, cores: int) -> list[Figures]:
    """Every job, ``runs`` times, on ``cores`` cores. Raises BenchmarkFailed."""
    table = []
    for job in jobs:
        figures = Figures(job.name)
        for number in range(1, runs + 1):
            print(f"\r{job.name}: run {number} of {runs} ", end="", file=sys.stderr, flush=True)
            run = run_once(job, cores)
            figures.seconds.append(run.seconds)
            figures.processor_seconds.append(run.processor_seconds)
            figures.gigabytes.append(run.gigabytes)
            for part, value in run.parts.items():
                figures.parts.setdefault(part, []).append(value)
        print(f"\r{job.name}: {median(figures.seconds):.2f} s".ljust(60), file=sys.stderr)
        table.append(figures)
    return table


def to_markdown(table: list[Figures]) -> str:
    """A table of commands, then a table of parts for each that has any."""
    rows = [
        (
            figures.name,
            span(figures.seconds),
            f"{median(figures.processor_seconds):.2f}",
            f"{median(figures.gigabytes):.2f}",
            _goal(figures),
        )
        for figures in table
    ]
    note = "Commands, each run a process of its own, imports included."
    columns = ("command:", "wall, s", "processor, s", "peak memory, GB", "goal:")
    tables = [Table(note, columns, rows)]
    for figures in table:
        if figures.parts:
            parts = [(part, f"{median(values):.2f}") for part, values in figures.parts.items()]
            tables.append(Table("", (f"{figures.name}, by part:", "s"), parts))
    return "\n\n".join(table.to_markdown() for table in tables)


def _goal(figures: Figures) -> str:
    job = next((job for job in JOBS if job.name == figures.name), Job(figures.name, ()))
    goals = [(median(figures.seconds), job.goal_seconds, "s"), (median(figures.gigabytes), job.goal_gigabytes, "GB")]
    set_ = [(f"{goal:g} {unit}", value <= goal) for value, goal, unit in goals if goal is not None]
    if not set_:
        return ""
    return goal_cell("under " + " and ".join(name for name, _ in set_), all(met for _, met in set_))
