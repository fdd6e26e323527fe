"""How fast the trainers train, beside a tutorial's loop in the same framework, and that both compute the same.

The two processes take turns (ours, the tutorial, ours, the tutorial), so that other load on the machine affects both.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import flops
from benchmarks.contestants import WHO, configuration
from benchmarks.processes import BenchmarkProcess
from benchmarks.tables import Table, goal_cell, span

CONTESTANTS = "benchmarks.contestants"
BATCH = 64
# Numbers are compared on a few batches of a few images, and the nearest counts: where rounding puts a single unit of a
# million on the other side of ReLU's corner, all gradients below it are off by 1e-3, whoever computed them.
CHECKED, TRIES = 4, 6
SCATTER = 4.0  # between the two; seen without such a unit: 1.4 times
SHARES = {"specgan": 0.7}  # of the best rate, in an update of D
GOALS = {"torch": 1.3, "tensorflow": 1.15}  # times the tutorial's speed


@dataclass(frozen=True)
class Match:
    """One system in one framework; a turn is ``steps`` steps."""

    framework: str
    system: str
    steps: int

    @property
    def name(self) -> str:
        """How the match is chosen."""
        return f"train {self.system} {self.framework}"


JOBS = tuple(Match(framework, system, steps) for system, steps in (("dcgan", 5), ("specgan", 1)) for framework in GOALS)


@dataclass
class Figures:
    """Seconds a step by turn, peak gigabytes, how far from float64 each one's first gradients are, and the machine."""

    name: str
    framework: str
    batch: int
    operations: float
    seconds: dict[str, list[float]] = field(default_factory=dict)
    processor_seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)
    rounding: dict[str, float] = field(default_factory=dict)
    losses: dict[str, dict[str, float]] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    d_update: list[float] = field(default_factory=list)
    d_operations: float = 0.0

    @property
    def ratios(self) -> list[float]:
        """The tutorial's time by ours, turn by turn."""
        return [theirs / ours for ours, theirs in zip(self.seconds["ours"], self.seconds["tutorial"], strict=True)]

    @property
    def equal(self) -> bool:
        """Whether our float32 and the tutorial's are equally near to our float64: another algorithm is far from it."""
        return max(self.rounding.values()) <= SCATTER * min(self.rounding.values())


def measure(jobs: Sequence[Match], runs: int, cores: int) -> list[Figures]:
    """Every match, in so many rounds. Raises BenchmarkFailed."""
    table = []
    for job in jobs:
        print(f"\r{job.name}: first step ", end="", file=sys.stderr, flush=True)
        figures = Figures(job.name, job.framework, BATCH, flops.step(configuration(job.system, BATCH)))
        figures.rounding, figures.losses = first_steps(job, cores)
        with (
            BenchmarkProcess(CONTESTANTS, job.framework, "ours", job.system, str(BATCH), cores=cores) as ours,
            BenchmarkProcess(CONTESTANTS, job.framework, "tutorial", job.system, str(BATCH), cores=cores) as tutorial,
        ):
            contestants = {"ours": ours, "tutorial": tutorial}
            for contestant in contestants.values():
                contestant.request("steps 1")
            for number in range(1, runs + 1):
                print(f"\r{job.name}: round {number} of {runs} ", end="", file=sys.stderr, flush=True)
                for who, contestant in contestants.items():
                    turn = contestant.request(f"steps {job.steps}")
                    figures.seconds.setdefault(who, []).append(turn["seconds"] / job.steps)
                    figures.processor_seconds.setdefault(who, []).append(turn["processor_seconds"] / job.steps)
            figures.memory = {who: contestant.request("memory") for who, contestant in contestants.items()}
            figures.rates = ours.request("rates")
            if job.system in SHARES:
                figures.d_update = [ours.request("d_updates 1")["seconds"] for _ in range(runs + 1)][1:]
                figures.d_operations = flops.d_update(configuration(job.system, BATCH))
        print(f"\r{job.name}: {median(figures.ratios):.2f} times the tutorial".ljust(60), file=sys.stderr)
        table.append(figures)
    return table


def first_steps(job: Match, cores: int) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Relative distance of each one's first gradients from float64, and the losses of each."""
    first: dict[str, list[dict[str, np.ndarray]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for who in WHO:
            files = [Path(folder) / f"{who}-{number}.npz" for number in range(TRIES)]
            with BenchmarkProcess(CONTESTANTS, job.framework, who, job.system, str(CHECKED), cores=cores) as contestant:
                for number, file in enumerate(files):
                    contestant.request(f"first {number} {file}")
            first[who] = [dict(np.load(file)) for file in files]
    losses = {who: {name: float(steps[0][name]) for name in ("d_loss", "g_loss")} for who, steps in first.items()}
    return {who: min(map(distance, first[who], first["exact"])) for who in ("ours", "tutorial")}, losses


def distance(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """Norm of the difference of all gradients, by the norm of all that are expected."""
    names = [name for name in expected if name.startswith("gradients/")]
    apart = sum(float(np.sum((got[name] - expected[name]) ** 2)) for name in names)
    return float(np.sqrt(apart / sum(float(np.sum(expected[name] ** 2)) for name in names)))


def to_markdown(table: list[Figures]) -> str:
    """Speed, then the proof that both compute the same and what they take of the machine."""
    devices = {figures.memory["ours"]["device"] for figures in table} - {""}
    where = f" On {', '.join(sorted(devices))}." if devices else ""
    note = (
        f"Training at full size in float32, batches of {BATCH}, one update of D and one of G a step; images a second "
        f"beside a tutorial's loop from the same weights, in alternation.{where}"
    )
    columns = ("training:", "ours, images/s", "tutorial, images/s", "ratio", "ratio of processor time", "goal:")
    speed = Table(note, columns, [_speed(figures) for figures in table])
    note = (
        f"Distance of the first gradients from float64, relative, the least of {TRIES} batches of {CHECKED} images; "
        f"equal is what differs {SCATTER:g} times at most. Operations are counted from the layers; the best rate "
        "is the greater of the framework's own convolution and matrix product at the discriminator's layers."
    )
    columns = ("training:", "ours from float64", "tutorial from float64", "goal:", "peak memory, GB", "tutorial's")
    rates = ("GFLOP/s", "convolution", "matrix product", "share of the best")
    proof = Table(note, columns + rates, [_proof(figures) for figures in table])
    shown = [speed.to_markdown(), proof.to_markdown()]
    if rows := [_share(figures) for figures in table if figures.d_update]:
        note = "An update of D alone, the penalty and its fakes included."
        shown.append(
            Table(note, ("update of D:", "seconds", "GFLOP/s", "share of the best", "goal:"), rows).to_markdown()
        )
    return "\n\n".join(shown)


def _share(figures: Figures) -> tuple[str, ...]:
    rate, best = figures.d_operations / median(figures.d_update), max(figures.rates.values())
    goal = SHARES[figures.name.split()[1]]
    verdict = goal_cell(f"at least {goal:.0%}", rate / best >= goal)
    return figures.name, span(figures.d_update), f"{rate / 1e9:.0f}", f"{rate / best:.0%}", verdict


def _speed(figures: Figures) -> tuple[str, ...]:
    rates = [[figures.batch / value for value in figures.seconds[who]] for who in ("ours", "tutorial")]
    processor = median(figures.processor_seconds["tutorial"]) / median(figures.processor_seconds["ours"])
    goal = GOALS[figures.framework]
    verdict = goal_cell(f"at least {goal:g}", median(figures.ratios) >= goal)
    return figures.name, *map(span, rates), span(figures.ratios), f"{processor:.2f}", verdict


def _proof(figures: Figures) -> tuple[str, ...]:
    apart = [f"{figures.rounding[who]:.1e}" for who in ("ours", "tutorial")]
    peaks = [
        f"{memory['gigabytes'] if memory['device_gigabytes'] is None else memory['device_gigabytes']:.2f}"
        for memory in (figures.memory["ours"], figures.memory["tutorial"])
    ]
    rate, best = figures.operations / median(figures.seconds["ours"]), max(figures.rates.values())
    rates = [f"{value / 1e9:.0f}" for value in (rate, figures.rates["convolution"], figures.rates["product"])]
    return figures.name, *apart, goal_cell("equal", figures.equal), *peaks, *rates, f"{rate / best:.0%}"
