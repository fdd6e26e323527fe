"""Runs on many devices, made in the background while other rungs are climbed. Imports no framework."""

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

TIMEOUT = 600.0  # seconds that one engine may take
FIRST_STEPS = 2  # taken from the start
# Runs of an engine: from the start with synchronised batch norm; resumed from a checkpoint of fewer replicas; from the
# start without synchronised batch norm.
OWN, RESUMED, APART = "own", "resumed", "apart"
TRAINERS = {"torch": "torch_impl.trainer:Trainer", "tensorflow": "tf_impl.trainer:Trainer"}


class EngineFailed(RuntimeError):
    """An engine's processes did not finish; the text ends with the last line of their output."""


@dataclass(frozen=True)
class Job:
    """A configuration, and for each framework ``MODULE:CLASS`` of the trainer that its engines run it with."""

    config: Config
    torch: str = TRAINERS["torch"]
    tensorflow: str = TRAINERS["tensorflow"]

    @property
    def steps(self) -> int:
        """The length of the whole run, of which only the first steps are taken."""
        assert self.config.training.steps is not None
        return self.config.training.steps

    @property
    def first_steps(self) -> int:
        """How many steps are taken from the start."""
        return max(1, min(FIRST_STEPS, self.steps // 2))

    def span(self, run: str) -> range:
        """The steps that a run takes, from 0. One is enough after a resumption: it shows what was not restored."""
        first = self.first_steps
        return range(first, first + 1) if run == RESUMED else range(first)

    def runs(self, engine: Engine) -> list[str]:
        """The runs that the engine makes of this job."""
        found = [OWN] if not self.uneven(engine) else []
        if found and engine.replicas > 2:
            found.append(RESUMED)
        if found and engine.replicas == 2 and engine.kind in (DDP, MIRRORED) and self.config.model.normalises_batches:
            found.append(APART)
        return found

    def uneven(self, engine: Engine) -> bool:
        """Whether the batch cannot be split evenly over the engine's replicas."""
        training = self.config.training
        return bool(training.batch_size % (engine.replicas * training.accumulation))


class Results:
    """The results of some jobs, read from the folder that their runs are written to by this or another process."""

    def __init__(self, jobs: Iterable[Job], folder: Path) -> None:
        self.jobs = list(jobs)
        self.folder = folder

    def result(self, job: Job, engine: Engine, run: str) -> tuple[Arrays, list[dict[str, float]]]:
        """The state in the implementation's own names and layout, and the losses of each step, once they are there.

        Raises EngineFailed if the engine has not come so far.
        """
        folder, failed = self._place(job, engine, run), self._failure(engine)
        while not done(folder):
            ended = failed.exists() or self._end.exists() or not self.folder.exists()
            if ended and not done(folder):
                reason = failed.read_text(encoding="utf-8") if failed.exists() else f"{engine.name}: has not run"
                raise EngineFailed(reason)
            time.sleep(POLL)
        return read_result(folder)

    @property
    def _end(self) -> Path:
        """A file that exists once no more results will be written."""
        return self.folder / "end"

    def _failure(self, engine: Engine) -> Path:
        return self.folder / f"{ENGINES.index(engine)}.failed"

    def _place(self, job: Job, engine: Engine, run: str) -> Path:
        return self.folder / f"{self.jobs.index(job)}-{ENGINES.index(engine)}-{run}"


class DeviceRuns(Results):
    """Runs of some jobs on every engine, one engine after the other, in the background."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        super().__init__(jobs, Path(tempfile.mkdtemp(prefix="parity-devices-")))
        self._running: list[BaseProcess] = []
        worker_processes.context()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        atexit.register(self.close)
        self._thread.start()

    def close(self) -> None:
        """Kill all processes and remove the results."""
        self._stopped.set()
        for process in self._running:
            process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)

    def _run(self) -> None:
        try:
            self._run_engines()
        finally:
            if self.folder.exists():
                self._end.touch()

    def _run_engines(self) -> None:
        for number, engine in enumerate(ENGINES):
            # Resumed first: in a fresh trainer, what is not restored shows.
            runs = [(job, run) for job in self.jobs for run in sorted(job.runs(engine), key=lambda run: run != RESUMED)]
            tasks = [self._task(job, engine, run) for job, run in runs]
            tasks = [task for task in tasks if task.resume is None or done(Path(task.resume))]
            if not tasks or self._stopped.is_set():
                continue
            path, log = self.folder / f"{number}.json", self.folder / f"{number}.log"
            write_tasks(path, tasks)
            self._running = [
                worker_processes.start(
                    worker.main, engine.framework, str(path), environment=own, without=LAUNCHERS, log=log
                )
                for own in environments(engine)
            ]
            problem = self._wait()
            if problem and not self._stopped.is_set():
                output = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
                reason = f"{engine.name}: {problem}: {output[-1] if output else 'without output'}"
                with replacing(self._failure(engine)) as draft:
                    draft.write_text(reason, encoding="utf-8")

    def _wait(self) -> str:
        """Wait for the processes of an engine; what went wrong, or ""."""
        until = time.monotonic() + TIMEOUT
        while any(process.exitcode is None for process in self._running):
            failed = [process.exitcode for process in self._running if process.exitcode]
            late = time.monotonic() > until
            if failed or late or self._stopped.is_set():
                time.sleep(POLL)
                for process in self._running:
                    process.kill()
                return f"exit status {failed[0]}" if failed else f"not finished after {TIMEOUT:g} s"
            time.sleep(POLL)
        failed = [process.exitcode for process in self._running if process.exitcode]
        return f"exit status {failed[0]}" if failed else ""

    def _task(self, job: Job, engine: Engine, run: str) -> Task:
        span = job.span(run)
        fewer = next(one for one in ENGINES if one.kind == engine.kind)
        distribution = {"devices": engine.devices, "sync_batchnorm": run != APART, "timeout": TIMEOUT}
        return Task(
            trainer=getattr(job, engine.framework),
            config={**plain(job.config), "distribution": distribution},
            steps=job.steps,
            first=span.start,
            last=span.stop,
            traced=job is traced_job(self.jobs) and run == OWN and engine.kind == MIRRORED and engine.replicas == 2,
            resume=str(self._place(job, fewer, OWN)) if run == RESUMED else None,
            out=str(self._place(job, engine, run)),
        )


def traced_job(jobs: Sequence[Job]) -> Job:
    """The job whose first run of MirroredStrategy is traced, as a user's run is; one with batch norm, if there is one.

    The others run eagerly: tracing for each replica takes longer than so few steps do.
    """
    return next((job for job in jobs if job.config.model.normalises_batches), jobs[0])


_started: list[Results] = []


def start(configs: Iterable[Config]) -> None:
    """Start the runs whose results :func:`results_for` will be asked for."""
    if jobs := [Job(config) for config in configs if config.training.precision == "float64"]:
        _started.append(DeviceRuns(jobs))


def started() -> list[tuple[list[Job], Path]]:
    """All runs that were started, for :func:`attach` in another process."""
    return [(results.jobs, results.folder) for results in _started]


def attach(known: Iterable[tuple[list[Job], Path]]) -> None:
    """Read the results of runs that another process has started."""
    _started.extend(Results(*one) for one in known)


def results_for(job: Job) -> Results:
    """The job's results: of runs that were started before, or are started now."""
    for results in _started:
        if job in results.jobs:
            return results
    _started.append(DeviceRuns([job]))
    return _started[-1]
