"""What options of training are worth: the same trainer with and without each, in alternation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.processes import BenchmarkFailed, BenchmarkProcess
from benchmarks.tables import Table, span
from benchmarks.training import BATCH, CONTESTANTS

OPTIONS = {"bfloat16": "training.precision=bfloat16", "compile": "training.compile=true"}
STEPS = {"dcgan": 3, "specgan": 1}
LONGEST = 600.0  # seconds that an option may take, compiling included


@dataclass(frozen=True)
class Choice:
    """One option of one system's training in one framework."""

    framework: str
    system: str
    option: str

    @property
    def name(self) -> str:
        """How the job is chosen."""
        return f"option {self.option} {self.system} {self.framework}"


JOBS = tuple(
    Choice(framework, system, option) for option in OPTIONS for system in STEPS for framework in ("torch", "tensorflow")
)


@dataclass
class Figures:
    """Seconds a step without and with the option, run by run, and of the first step, in which all is compiled."""

    name: str
    without: list[float] = field(default_factory=list)
    within: list[float] = field(default_factory=list)
    first: float = 0.0
    failure: str = ""


def measure(jobs: Sequence[Choice], runs: int, cores: int) -> list[Figures]:
    """Every choice, in so many rounds. An option that does not work here is listed as failing."""
    table = []
    for job in jobs:
        print(f"\r{job.name} ", end="", file=sys.stderr, flush=True)
        figures, steps = Figures(job.name), STEPS[job.system]
        words = (CONTESTANTS, job.framework, "ours", job.system, str(BATCH))
        try:
            with (
                BenchmarkProcess(*words, cores=cores) as plain,
                BenchmarkProcess(*words, OPTIONS[job.option], cores=cores) as chosen,
            ):
                chosen.kill_after(LONGEST)
                plain.request("steps 1")
                figures.first = chosen.request("steps 1")["seconds"]
                for _ in range(runs):
                    figures.without.append(plain.request(f"steps {steps}")["seconds"] / steps)
                    figures.within.append(chosen.request(f"steps {steps}")["seconds"] / steps)
        except BenchmarkFailed as failed:
            figures.failure = str(failed).strip().splitlines()[-1]
        print(f"\r{job.name}: done".ljust(80), file=sys.stderr)
        table.append(figures)
    return table


def to_markdown(table: list[Figures]) -> str:
    """How many times as fast, and what compiling takes once."""
    note = f"Options on and off, at full size, batches of {BATCH}, in alternation; above 1 the option is faster."
    rows = [_row(figures) for figures in table]
    columns = ("option:", "off, ms a step", "on, ms a step", "times as fast", "first step, s")
    return Table(note, columns, rows).to_markdown()


def _row(figures: Figures) -> tuple[str, ...]:
    name = figures.name.removeprefix("option ")
    if figures.failure:
        return name, "", "", f"does not work here: {figures.failure}", ""
    ratios = [off / on for off, on in zip(figures.without, figures.within, strict=True)]
    off, on = (f"{1e3 * median(times):.0f}" for times in (figures.without, figures.within))
    return name, off, on, span(ratios), f"{figures.first:.1f}"
