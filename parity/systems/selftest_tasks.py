"""All that ``parity selftest`` tries, by name, so that worker processes can look it up; and its score."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from parity.systems import worker_pool, worker_processes
from shared_impl.storage.experiments import cores

TASKS_PER_JOB = 6  # tasks that are worth another process
MOST_JOBS = worker_processes.MOST_JOBS
FAULTS = ("project", "training", "single", "pair")
FAITHFUL = "faithful"
# The smallest share of all faults, and the largest number of false alarms, with which the self-test passes.
GOALS = {"killed": 1.0, "right layer": 0.95, "right cause": 0.95}
FALSE_ALARMS = 0


@dataclass(frozen=True)
class TaskResult:
    """What came of one task, in plain data.

    ``killed``: the pair does not pass; of a faithful variant, a false alarm.
    """

    group: str
    name: str
    expected: str
    got: str
    killed: bool
    right_layer: bool
    right_cause: bool
    seconds: float

    @property
    def right(self) -> bool:
        """Nothing is to be complained of."""
        return not self.killed if self.group == FAITHFUL else self.killed and self.right_layer and self.right_cause


@dataclass(frozen=True)
class Score:
    """How many of so many faults were killed, found at their layer and named; how many of the faithful were blamed."""

    faults: int
    counts: Mapping[str, int]
    faithful: int
    false_alarms: int

    @property
    def reached(self) -> bool:
        """Whether every goal is met."""
        return not self.missed

    @property
    def missed(self) -> list[str]:
        """The goals that are not met."""
        short = [name for name, share in GOALS.items() if self.counts[name] < share * self.faults]
        return short + ["false alarms"] * (self.false_alarms > FALSE_ALARMS)


def score(results: Sequence[TaskResult]) -> Score:
    """Count."""
    faults = [result for result in results if result.group != FAITHFUL]
    faithful = [result for result in results if result.group == FAITHFUL]
    counts = {
        "killed": sum(result.killed for result in faults),
        "right layer": sum(result.killed and result.right_layer for result in faults),
        "right cause": sum(result.killed and result.right_cause for result in faults),
    }
    return Score(len(faults), counts, len(faithful), sum(result.killed for result in faithful))


def tasks(words: Sequence[str] = ()) -> list[tuple[str, str]]:
    """``(group, name)`` of every task whose name holds one of ``words`` (all without)."""
    every = [(group, name) for group, makes in _groups().items() for name in makes]
    wanted = [word.lower() for word in words]
    return [task for task in every if not wanted or any(word in " ".join(task).lower() for word in wanted)]


def run_all(
    chosen: Sequence[tuple[str, str]], begin: Callable[[str], object], jobs: int | None = None
) -> list[TaskResult]:
    """Run tasks, ``jobs`` at a time, in their order; ``begin`` is called with the name of each that starts or ends."""
    jobs = jobs or max(1, min(cores(), MOST_JOBS, len(chosen) // TASKS_PER_JOB))
    if jobs == 1:
        from parity.systems import frameworks

        frameworks.load()
        results = []
        for group, name in chosen:
            begin(f"{group} {name}")
            results.append(run(group, name))
        return results
    with ExitStack() as stack:
        pool = stack.enter_context(worker_pool.WorkerPool(jobs))
        futures = {pool.call(run, *task): task for task in chosen}
        for future in as_completed(futures):
            begin(" ".join(futures[future]))
            future.result()  # raises the worker's exception
        return [future.result() for future in futures]


def run(group: str, name: str) -> TaskResult:
    """One task, in this process."""
    start = time.perf_counter()
    expected, got, killed, layer, cause = _groups()[group][name]()
    return TaskResult(group, name, expected, got, killed, layer, cause, time.perf_counter() - start)


Made = tuple[str, str, bool, bool, bool]
"""Expected, got; killed, right layer, right cause."""


def _groups() -> dict[str, dict[str, Callable[[], Made]]]:
    from parity.systems import mutants, selftest
    from parity.systems.mutations import table, trial, variants
    from parity.systems.training import mutants as in_training

    def of_mutants(rows: Sequence[selftest.AnyMutant]) -> dict[str, Callable[[], Made]]:
        return {f"{row.pair}: {row.name}": partial(_mutant, row) for row in rows}

    def of_trials(trials: Sequence[trial.Trial]) -> dict[str, Callable[[], Made]]:
        return {one.name: partial(_trial, one) for one in trials}

    return {
        "training": of_mutants(in_training.MUTANTS),
        "project": of_mutants(mutants.MUTANTS),
        "single": of_trials(trial.singles(table.MUTATIONS)),
        "pair": of_trials(trial.pairs(table.MUTATIONS)),
        FAITHFUL: of_trials(trial.variants(variants.VARIANTS)),
    }


def _mutant(mutant: object) -> Made:
    from parity.systems.selftest import run_mutant

    result = run_mutant(mutant)  # type: ignore[arg-type]
    row, complaints = result.mutant, "; ".join(result.complaints)
    expected = f"{row.kind} at {row.layer} on the rung {row.rung}"
    return expected, complaints or expected, not result.verdict.passed, result.found, result.named


def _trial(trial: object) -> Made:
    from parity.systems.mutations.trial import Trial, TrialResult, run

    assert isinstance(trial, Trial)
    result = TrialResult(trial, run(trial))
    killed = result.outcome.killed
    return result.expected, result.outcome.got, killed, result.right_layer, result.right_cause


def missed(results: Sequence[TaskResult]) -> Iterator[TaskResult]:
    """Those of which something is to be complained."""
    return (result for result in results if not result.right)
