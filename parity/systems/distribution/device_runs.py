"""Runs on many devices, made in the background while the ladder climbs its other rungs. Imports no framework."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from parity.systems import worker_processes
from parity.systems.distribution import worker
from parity.systems.distribution.engines import DDP, ENGINES, LAUNCHERS, MIRRORED, Engine, environments
from parity.systems.distribution.tasks import POLL, Arrays, Task, done, read_result, write_tasks
from shared_impl.config.differences import plain
from shared_impl.config.schema import Config
from shared_impl.files import replacing

LONGEST = 600.0  # seconds that one engine may take
LEG = 2  # steps taken from the start
# Runs of an engine: from the start and with synchronised batch norm; on from what fewer replicas have saved; from the
# start with batch norm as it is.
OWN, RESUMED, APART = "own", "resumed", "apart"
TRAINERS = {"torch": "torch_impl.trainer:Trainer", "tensorflow": "tf_impl.trainer:Trainer"}


class EngineFailed(RuntimeError):
    """An engine's processes did not come to their end; the text is the last thing that they said."""


@dataclass(frozen=True)
class Job:
    """A configuration, and ``MODULE:CLASS`` of the trainer that each framework's engines run it with."""

    config: Config
    torch: str = TRAINERS["torch"]
    tensorflow: str = TRAINERS["tensorflow"]

    @property
    def steps(self) -> int:
        """The length of the run of which the first steps are taken."""
        assert self.config.training.steps is not None
        return self.config.training.steps

    @property
    def leg(self) -> int:
        """Steps that are taken from the start."""
        return max(1, min(LEG, self.steps // 2))

    def span(self, run: str) -> range:
        """The steps that a run takes, from 0: what is not restored shows in the first one after a resumption."""
        return range(self.leg, self.leg + 1) if run == RESUMED else range(self.leg)

    def runs(self, engine: Engine) -> list[str]:
        """What the engine is to do."""
        found = [OWN] if not self.uneven(engine) else []
        if found and engine.replicas > 2:
            found.append(RESUMED)
        if found and engine.replicas == 2 and engine.kind in (DDP, MIRRORED) and self.config.model.normalises_batches:
            found.append(APART)
        return found

    def uneven(self, engine: Engine) -> bool:
        """Whether the batch cannot be split over so many devices."""
        training = self.config.training
        return bool(training.batch_size % (engine.replicas * training.accumulation))


class Results:
    """What the engines make of some jobs, for every process that knows the folder that they write to."""

    def __init__(self, jobs: Iterable[Job], folder: Path) -> None:
        self.jobs = list(jobs)
        self.folder = folder

    def result(self, job: Job, engine: Engine, run: str) -> tuple[Arrays, list[dict[str, float]]]:
        """The state in the implementation's own names and layout, and the losses of each step; :class:`EngineFailed`."""
        folder, failed = self._place(job, engine, run), self._failure(engine)
        while not done(folder):
            over = failed.exists() or self._end.exists() or not self.folder.exists()
            if over and not done(folder):
                why = failed.read_text(encoding="utf-8") if failed.exists() else f"{engine.name}: has not run"
                raise EngineFailed(why)
            time.sleep(POLL)
        return read_result(folder)

    @property
    def _end(self) -> Path:
        """There once nothing more will come."""
        return self.folder / "end"

    def _failure(self, engine: Engine) -> Path:
        return self.folder / f"{ENGINES.index(engine)}.failed"

    def _place(self, job: Job, engine: Engine, run: str) -> Path:
        return self.folder / f"{self.jobs.index(job)}-{ENGINES.index(engine)}-{run}"


class DeviceRuns(Results):
    """Every engine in turn runs its part of some jobs; results can be asked for from the first moment on."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        super().__init__(jobs, Path(tempfile.mkdtemp(prefix="parity-devices-")))
        self._running: list[BaseProcess] = []
        worker_processes.context()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sail, daemon=True)
        atexit.register(self.close)
        self._thread.start()

    def close(self) -> None:
        """End all processes and remove what they wrote."""
        self._over.set()
        for process in self._running:
            process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)

    def _sail(self) -> None:
        try:
            self._ask_all()
        finally:
            if self.folder.exists():
                self._end.touch()

    def _ask_all(self) -> None:
        for number, engine in enumerate(ENGINES):
            # Resumed first, while the trainer is at its beginning: what is not restored shows.
            runs = [(job, run) for job in self.jobs for run in sorted(job.runs(engine), key=lambda run: run != RESUMED)]
            tasks = [self._task(job, engine, run) for job, run in runs]
            tasks = [task for task in tasks if task.resume is None or done(Path(task.resume))]
            if not tasks or self._over.is_set():
                continue
            asked, log = self.folder / f"{number}.json", self.folder / f"{number}.log"
            write_tasks(asked, tasks)
            self._running = [
                worker_processes.start(
                    worker.main, engine.framework, str(asked), environment=own, without=LAUNCHERS, log=log
                )
                for own in environments(engine)
            ]
            problem = self._ended()
            if problem and not self._over.is_set():
                said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
                why = f"{engine.name}: {problem}: {said[-1] if said else 'without a word'}"
                with replacing(self._failure(engine)) as draft:
                    draft.write_text(why, encoding="utf-8")

    def _ended(self) -> str:
        """Wait for the processes of an engine; what went wrong, if anything did."""
        until = time.monotonic() + LONGEST
        while any(process.exitcode is None for process in self._running):
            failed = [process.exitcode for process in self._running if process.exitcode]
            late = time.monotonic() > until
            if failed or late or self._over.is_set():
                time.sleep(POLL)
                for process in self._running:
                    process.kill()
                return f"exit status {failed[0]}" if failed else f"not at its end after {LONGEST:g} s"
            time.sleep(POLL)
        failed = [process.exitcode for process in self._running if process.exitcode]
        return f"exit status {failed[0]}" if failed else ""

    def _task(self, job: Job, engine: Engine, run: str) -> Task:
        span = job.span(run)
        fewer = next(one for one in ENGINES if one.kind == engine.kind)
        asked = {"devices": engine.devices, "sync_batchnorm": run != APART, "timeout": LONGEST}
        return Task(
            trainer=getattr(job, engine.framework),
            config={**plain(job.config), "distribution": asked},
            steps=job.steps,
            first=span.start,
            last=span.stop,
            traced=job is traced(self.jobs) and run == OWN and engine.kind == MIRRORED and engine.replicas == 2,
            resume=str(self._place(job, fewer, OWN)) if run == RESUMED else None,
            out=str(self._place(job, engine, run)),
        )


def traced(jobs: Sequence[Job]) -> Job:
    """The job whose first run of MirroredStrategy TensorFlow traces, as it does a user's; with batch norm, if any has.

    So few steps are sooner taken, operation by operation, than traced for each replica.
    """
    return next((job for job in jobs if job.config.model.normalises_batches), jobs[0])


_ahead: list[Results] = []


def announce(configs: Iterable[Config]) -> None:
    """Begin with what :func:`results_for` will be asked for."""
    if jobs := [Job(config) for config in configs if config.training.precision == "float64"]:
        _ahead.append(DeviceRuns(jobs))


def announced() -> list[tuple[list[Job], Path]]:
    """What another process needs to know of all that was announced (:func:`join`)."""
    return [(results.jobs, results.folder) for results in _ahead]


def join(known: Iterable[tuple[list[Job], Path]]) -> None:
    """Take from the results that another process has announced."""
    _ahead.extend(Results(*one) for one in known)


def results_for(job: Job) -> Results:
    """Where the job's results will be: of a fleet that was announced, or of a new one."""
    for results in _ahead:
        if job in results.jobs:
            return results
    _ahead.append(DeviceRuns([job]))
    return _ahead[-1]
