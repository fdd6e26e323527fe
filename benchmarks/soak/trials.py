"""One trial: a random run, harmed at random moments and resumed until it ends, against the run that was let alone."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soak import configurations
from benchmarks.soak.harms import HARMS, SHARED, Harm, train
from parity.systems import worker_processes
from parity.systems.distribution.engines import DDP, LAUNCHERS, MULTI_WORKER, Engine, environments
from shared_impl.storage import checkpoints
from shared_impl.storage.metrics_log import WALL_CLOCK
from shared_impl.storage.next_commands import FRAMEWORKS
from shared_impl.storage.run_folder import CHECKPOINTS, SAMPLES

ENGINES = {"tf_impl": MULTI_WORKER, "torch_impl": DDP}
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")}
IN_PAIRS = 0.15  # share of trials in two processes
CONFIGURATIONS = 20  # that are let alone once each, by framework and number of processes
MOST_HARMS = 3
HANGS = 300.0  # seconds
POLL = 0.01
ROUNDED = 1e-13  # relative: some hundred roundings of float64, one an average
OTHERS = (1, 2, 130)  # how the other process of two may end: having lost a worker, or been asked to stop, too


class Died(AssertionError):
    """A run that did not survive; the message says how."""


@dataclass(frozen=True)
class Trial:
    """A trial is a function of its seed."""

    seed: int
    implementation: str

    def words(self) -> tuple[list[str], int, list[tuple[str, float, float]]]:
        """The configuration, the number of processes, and each harm with its moment and a number of its own."""
        chance = random.Random(f"{self.implementation} {self.seed}")
        processes = 2 if chance.random() < IN_PAIRS else 1
        words = configurations.draw(random.Random(f"{processes} {chance.randrange(CONFIGURATIONS)}"), processes)
        names = SHARED if processes > 1 else tuple(HARMS)
        count = 1 if processes > 1 else chance.randint(1, MOST_HARMS)
        return words, processes, [(chance.choice(names), chance.random(), chance.random()) for _ in range(count)]

    def title(self) -> str:
        """The trial in a line."""
        words, processes, harms = self.words()
        harmed = ", ".join(f"{name} at {moment:.0%}" for name, moment, _ in harms)
        head = f"{self.implementation} --only {self.seed}: {words[0]}"
        return f"{head}, {processes} process{'es' * (processes > 1)}: {harmed}"


def survive(trial: Trial, folder: Path, whole: Mapping[str, Any]) -> None:
    """Harm and resume the trial's run in ``folder``; Died unless it then equals ``whole``, see :func:`outcome`."""
    words, processes, harms = trial.words()
    steps = _steps(words)
    for name, moment, share in harms:
        harm = HARMS[name]
        group = _start(trial.implementation, _next_words(folder, words), processes, folder, harm, share)
        _harm(group, harm, folder, int(moment * steps), share)
        _validate_ends(name, harm, _ends(group, folder), folder, int(share * processes))
        _open_up(folder)
    group = _start(trial.implementation, _next_words(folder, words), processes, folder, Harm((0,)), 0.0)
    if any(_ends(group, folder)):
        raise Died(f"could not be resumed:\n{_said(folder)}")
    averaged = processes > 1 and configurations.SYNCHRONISED not in words
    if found := list(_differences(outcome(folder), whole, ROUNDED if averaged else 0.0)):
        raise Died(f"differs from the uninterrupted run: {'; '.join(found)}")


def uninterrupted(trial: Trial, folder: Path) -> dict[str, Any]:
    """The outcome of the trial's run, let alone."""
    words, processes, _ = trial.words()
    group = _start(trial.implementation, words, processes, folder, Harm((0,)), 0.0)
    if any(_ends(group, folder)):
        raise Died(f"fails by itself:\n{_said(folder)}")
    return outcome(folder)


def outcome(folder: Path) -> dict[str, Any]:
    """What a run has come to: its last state, its metrics less the clock's, the names of its scheduled pictures."""
    run = _latest(folder)
    assert run is not None
    last = checkpoints.latest(run / CHECKPOINTS)
    assert last is not None
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    every = checkpoints.read_manifest(last)["config"]["runs"]["sample_every"]
    pictures = sorted(path.name for path in (run / SAMPLES).iterdir() if int(path.stem[5:]) % every == 0)
    return {
        "arrays": checkpoints.load(last).arrays,
        "metrics": [{name: value for name, value in line.items() if name not in WALL_CLOCK} for line in lines],
        "pictures": pictures,
    }


def _differences(got: Mapping[str, Any], expected: Mapping[str, Any], rounded: float) -> Iterator[str]:
    if got["arrays"].keys() != expected["arrays"].keys():
        yield "other arrays"
    else:
        names = [name for name, a in got["arrays"].items() if not _equal(a, expected["arrays"][name], rounded)]
        if names:
            yield f"{len(names)} of {len(got['arrays'])} arrays, such as {names[0]}"
    for a, b in zip(got["metrics"], expected["metrics"], strict=False):
        if a != b:
            names = [name for name in {**a, **b} if a.get(name) != b.get(name)]
            yield f"metrics of step {a['step']}: {', '.join(names)}"
            break
    for part in ("metrics", "pictures"):
        if len(got[part]) != len(expected[part]):
            yield f"{len(got[part])} {part}, expected {len(expected[part])}"


def _equal(got: np.ndarray, expected: np.ndarray, rounded: float) -> bool:
    """Bit for bit, or to ``rounded`` of the largest value."""
    if not rounded:
        return np.array_equal(got, expected)
    return got.shape == expected.shape and bool(np.all(abs(got - expected) <= rounded * abs(expected).max(initial=0.0)))


def _start(
    implementation: str, words: list[str], processes: int, folder: Path, harm: Harm, share: float
) -> list[BaseProcess]:
    engine = Engine(FRAMEWORKS[implementation], ENGINES[implementation], processes, processes)
    harmed = int(share * processes)
    return [
        worker_processes.start(
            train, implementation, words, str(folder), harm.before if place == harmed else "", share,
            environment={**ONE_THREAD, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}, without=LAUNCHERS,
            log=folder / f"worker-{place}.log",
        )
        for place, environment in enumerate(environments(engine))
    ]  # fmt: skip


def _harm(group: list[BaseProcess], harm: Harm, folder: Path, step: int, share: float) -> None:
    """Wait until a step is logged, then send the signals and act on the folder."""
    if not harm.signals and harm.act is None:
        return
    until = time.monotonic() + HANGS
    while _logged(folder) <= step and all(one.is_alive() for one in group):
        if time.monotonic() > until:
            raise Died(f"hung before step {step}:\n{_said(folder)}")
        time.sleep(POLL)
    run = _latest(folder)
    if harm.act is not None and run is not None and (run / CHECKPOINTS).is_dir():
        harm.act(run)
    for number in harm.signals:
        victim = group[int(share * len(group))]
        if victim.is_alive() and victim.pid is not None:
            _send(victim.pid, number)
            time.sleep(share * 0.1)


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _ends(group: list[BaseProcess], folder: Path) -> list[int]:
    until = time.monotonic() + HANGS
    for one in group:
        one.join(max(0.0, until - time.monotonic()))
    if any(one.is_alive() for one in group):
        for one in group:
            one.kill()
        raise Died(f"hung:\n{_said(folder)}")
    return [int(one.exitcode or 0) for one in group]


def _validate_ends(name: str, harm: Harm, ends: list[int], folder: Path, victim: int) -> None:
    for place, end in enumerate(ends):
        if end not in (harm.ends if place == victim else (*harm.ends, *OTHERS)):
            raise Died(f"{name}: worker {place} ended with status {end}, expected {harm.ends}:\n{_said(folder)}")
    if "Traceback" in _said(folder):
        raise Died(f"{name}: a traceback:\n{_said(folder)}")


def _next_words(folder: Path, words: list[str]) -> list[str]:
    """Resume the run if it has a sound checkpoint, or begin anew."""
    run = _latest(folder)
    if run is None:
        return words
    if checkpoints.latest(run / CHECKPOINTS) is None:
        shutil.rmtree(run)
        return words
    return [str(run.relative_to(folder)), "--resume"]


def _latest(folder: Path) -> Path | None:
    return max((path.parent for path in folder.glob("runs/*/run.json")), default=None)


def _open_up(folder: Path) -> None:
    """Give a refusing folder back."""
    for path in folder.glob("runs/*/checkpoints"):
        path.chmod(0o755)


def _logged(folder: Path) -> int:
    run = _latest(folder)
    if run is None or not (run / "metrics.jsonl").exists():
        return 0
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    return len(lines)


def _steps(words: list[str]) -> int:
    return next(int(word.partition("=")[2]) for word in words if word.startswith("training.steps="))


def _said(folder: Path) -> str:
    logs = sorted(folder.glob("worker-*.log"))
    return "\n".join(line for log in logs for line in log.read_text(errors="replace").splitlines()[-12:])
