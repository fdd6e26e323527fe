"""How fast and how large: ``python -m parity.bench`` measures the commands whose speed is promised, and their parts.

Every figure is the median of several runs, each in a process of its own that is pinned to two cores. A process's peak
memory is never less than that of the one it was forked from, so this module imports nothing large.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from xml.etree import ElementTree

from parity.ladder_names import TRAINING

SCHEMA = "parity-bench/1"
PACKAGES = ("tensorflow", "keras", "torch", "numpy")
THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
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
    Job("build every pair", ("-c", "from parity.pairs import networks\nfor pair in networks(): pair.build()")),
    Job(
        "parity padding",
        ("-m", "parity", "padding", "--op", "conv", "--size", "128", "--kernel", "5", "--stride", "2"),
        goal_seconds=0.5,
    ),
    Job(
        "parity verify --all",
        ("-m", "parity", "verify", "--all", "--json", OUT),
        goal_seconds=180,
        goal_gigabytes=6,
        parts="verdicts",
    ),
    Job(
        "pytest parity",
        ("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={OUT}", "--pyargs", "parity"),
        goal_seconds=180,
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


class BenchFailed(RuntimeError):
    """A measured command did not do its job, so that its time means nothing."""


@dataclass
class Figures:
    """What the runs of one job gave: wall and processor seconds, peak gigabytes, and wall seconds by part."""

    name: str
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    gigabytes: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)


def run_once(job: Job, cores: int) -> Run:
    """One run on ``cores`` cores. Raises :class:`BenchFailed`."""
    environment = {**os.environ, **dict.fromkeys(THREADS, str(cores)), "TF_CPP_MIN_LOG_LEVEL": "2"}
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder) / "out", Path(folder) / "log"
        command = [sys.executable, *(argument.replace(OUT, str(out)) for argument in job.arguments)]
        with log.open("wb") as stream:
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=environment)
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(process.pid, sorted(os.sched_getaffinity(0))[:cores])
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise BenchFailed(f"{job.name}: exit status {process.returncode}\n{tail}")
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
        judged = {f"{width}: {name}": rung["seconds"] for name, rung in verdict["rungs"].items()}
        for part, seconds in (judged | {f"{width}: tracing": verdict["seconds"] - sum(judged.values())}).items():
            parts[part] += seconds
    return dict(parts)


def junit_parts(path: Path) -> dict[str, float]:
    """Seconds by test file from pytest's JUnit XML."""
    parts: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(path).iter("testcase"):
        parts[case.get("classname", "").split(".")[-1]] += float(case.get("time", 0))
    return dict(parts)


PARTS = {"verdicts": verdict_parts, "junit": junit_parts}


def measure(jobs: tuple[Job, ...], runs: int, cores: int) -> list[Figures]:
    """Every job, ``runs`` times, on ``cores`` cores. Raises :class:`BenchFailed`."""
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


def machine(cores: int) -> dict[str, Any]:
    """Processor, cores used, memory, system and versions."""
    info = Path("/proc/cpuinfo")
    models = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": cores,
        "gigabytes": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "versions": versions,
    }


def to_markdown(jobs: tuple[Job, ...], table: list[Figures], host: dict[str, Any], runs: int) -> str:
    """The figures as Markdown: one line on the machine, a table of commands, a table of parts for each that has any."""
    versions = ", ".join(f"{name} {number}" for name, number in host["versions"].items())
    lines = [
        f"{host['processor']}, {host['cores']} cores used, {host['gigabytes']} GB; {host['system']}; {versions}.",
        f"Medians of {runs} runs (fastest … slowest), each a process of its own, imports included.",
        "",
        "| command | wall, s | processor, s | peak memory, GB | goal |",
        "|---|--:|--:|--:|---|",
    ]
    for job, figures in zip(jobs, table, strict=True):
        span = f"{median(figures.seconds):.2f} ({min(figures.seconds):.2f} … {max(figures.seconds):.2f})"
        processor, memory = median(figures.processor_seconds), median(figures.gigabytes)
        lines.append(f"| {job.name} | {span} | {processor:.2f} | {memory:.2f} | {_goal(job, figures)} |")
    for figures in table:
        if figures.parts:
            lines += ["", f"| {figures.name}, by part | s |", "|---|--:|"]
            lines += [f"| {part} | {median(values):.2f} |" for part, values in figures.parts.items()]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print Markdown, and write JSON where asked. Exit status 2 if a command fails."""
    parser = argparse.ArgumentParser(prog="python -m parity.bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of every command (3)")
    parser.add_argument("--cores", type=int, default=2, help="cores to use (2)")
    parser.add_argument("--only", default="", help="only commands whose name contains this text")
    parser.add_argument("--json", type=Path, help="also write every single figure to this file")
    options = parser.parse_args(arguments)
    jobs = tuple(job for job in JOBS if options.only in job.name)
    if options.runs < 1 or options.cores < 1 or not jobs:
        parser.error(
            f"--runs and --cores must be positive, --only part of one of: {', '.join(job.name for job in JOBS)}"
        )
    host = machine(options.cores)
    try:
        table = measure(jobs, options.runs, options.cores)
    except (BenchFailed, KeyboardInterrupt) as failure:
        print(f"\n{str(failure) or 'interrupted'}", file=sys.stderr)
        return 2
    print(to_markdown(jobs, table, host, options.runs))
    if options.json:
        body = {"schema": SCHEMA, "machine": host, "jobs": [asdict(figures) for figures in table]}
        options.json.write_text(json.dumps(body, indent=1), encoding="utf-8")
    return 0


def _goal(job: Job, figures: Figures) -> str:
    goals = [(median(figures.seconds), job.goal_seconds, "s"), (median(figures.gigabytes), job.goal_gigabytes, "GB")]
    judged = [(f"{goal:g} {unit}", value <= goal) for value, goal, unit in goals if goal is not None]
    if not judged:
        return ""
    text = "under " + " and ".join(name for name, _ in judged)
    return text + (": met" if all(met for _, met in judged) else ": **missed**")


if __name__ == "__main__":
    sys.exit(main())
