"""Several processes of one training, each with the environment that torchrun, Slurm or a user gives it.

They are forks of a process that has imported both frameworks, unless the start itself is what is tested.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import Popen
from typing import Any

from parity.systems import frameworks, worker_processes
from parity.systems.distribution.engines import DDP, LAUNCHERS, MULTI_WORKER, Engine, environments
from shared_impl.cli.outcome import enter
from shared_impl.storage import checkpoints
from shared_impl.storage.metrics_log import WALL_CLOCK
from shared_impl.storage.run_folder import CHECKPOINTS
from shared_impl.training.session import Session

ROOT = Path(__file__).resolve().parents[2]
IMPLEMENTATIONS = {"torch_impl": DDP, "tf_impl": MULTI_WORKER}
SMALL = [
    *("dcgan_tiny", "model.ngf=2", "model.ndf=2", "model.nz=8", "training.batch_size=8", "training.precision=float64"),
    "distribution.devices=cpu",
    *("runs.log_every=1", "runs.samples=4", "runs.tensorboard=false", "distribution.timeout=300"),
]
SINGLE = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")}  # small networks
ON_ITS_OWN_MACHINE = {"LOCAL_RANK": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}  # so that every worker reports common errors
LIMIT = 240.0  # seconds after which something counts as hanging, on the slowest machine; no test waits for it otherwise
POLL = 0.02  # seconds
LAST = 15  # lines of each log that a failure shows


@dataclass
class WorkerGroup:
    """The processes of one training, each of which writes stdout and stderr to a log."""

    processes: list[BaseProcess | Popen[bytes]] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)

    def start(
        self, function: Callable[..., None], *arguments: Any, folder: Path, environment: Mapping[str, str]
    ) -> None:
        """One more process that calls ``function``, a fork of one that has imported both frameworks."""
        log = self._new_log(folder)
        environment = {**SINGLE, **environment, **ON_ITS_OWN_MACHINE}
        self.processes.append(
            worker_processes.start(function, *arguments, environment=environment, without=LAUNCHERS, log=log)
        )

    def start_program(
        self, program: Sequence[str], folder: Path, environment: Mapping[str, str], source: Path = ROOT
    ) -> None:
        """One more process, ``python -m PROGRAM`` in ``folder``."""
        environment = {**SINGLE, **environment, **ON_ITS_OWN_MACHINE, "PYTHONPATH": str(source)}
        with self._new_log(folder).open("wb") as log:
            self.processes.append(
                Popen(
                    [sys.executable, "-m", *program],
                    cwd=folder,
                    env={**os.environ, **environment},
                    stdout=log,
                    stderr=log,
                )
            )

    def signal(self, worker: int, number: signal.Signals) -> None:
        """Send a signal to a worker."""
        pid = self.processes[worker].pid
        assert pid is not None
        os.kill(pid, number)

    def messages(self, worker: int) -> str:
        """What a worker has reported, without its progress."""
        lines = self.logs[worker].read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if "_impl: " in line or "Error" in line)

    def last_lines(self) -> str:
        """The end of every log, for the message of a failure."""
        lines = {log.name: log.read_text(errors="replace").splitlines() for log in self.logs if log.exists()}
        return "\n".join("\n".join([f"{name}:", *log[-LAST:]]) for name, log in lines.items())

    def statuses(self, seconds: float = LIMIT) -> list[int]:
        """Every worker's exit status once all have ended; AssertionError, and an end to all, if one hangs."""
        self._wait(lambda: None not in self._exit_codes(), f"all to end within {seconds:g} s", seconds)
        return [status for status in self._exit_codes() if status is not None]

    def status(self, worker: int) -> int:
        """One worker's exit status once it has ended; AssertionError, and an end to all, if it hangs."""
        self._wait(lambda: self._exit_codes()[worker] is not None, f"worker {worker} to end")
        status = self._exit_codes()[worker]
        assert status is not None
        return status

    def wait_for(self, event: Callable[[], bool], what: str) -> None:
        """Return once ``event`` is true; AssertionError, and an end to all, if a worker ends before."""
        self._wait(lambda: event() or any(status is not None for status in self._exit_codes()), what)
        if not event():
            self.kill()
            raise AssertionError(f"exit statuses {self._exit_codes()} while waiting for {what}\n{self.last_lines()}")

    def kill(self) -> None:
        """End all processes."""
        for process in self.processes:
            process.kill()
            process.join() if isinstance(process, BaseProcess) else process.wait()

    def _exit_codes(self) -> list[int | None]:
        return [process.exitcode if isinstance(process, BaseProcess) else process.poll() for process in self.processes]

    def _wait(self, event: Callable[[], bool], what: str, seconds: float = LIMIT) -> None:
        until = time.monotonic() + seconds
        while not event():
            if time.monotonic() > until:
                self.kill()
                raise AssertionError(f"waited {seconds:g} s for {what}\n{self.last_lines()}")
            time.sleep(POLL)

    def _new_log(self, folder: Path) -> Path:
        self.logs.append(folder / f"worker-{len(self.processes)}-{len(list(folder.glob('*.log')))}.log")
        self.logs[-1].touch()
        return self.logs[-1]


def worker_environments(implementation: str) -> list[dict[str, str]]:
    """The environment of each of two workers, by which they find each other."""
    framework = "torch" if implementation == "torch_impl" else "tensorflow"
    return environments(Engine(framework, IMPLEMENTATIONS[implementation], 2, 2))


def start_training(
    implementation: str,
    folder: Path,
    *words: str,
    own: Mapping[int, list[str]] | None = None,
    only: Sequence[int] = (0, 1),
    pauses: Mapping[int, int] | None = None,
) -> WorkerGroup:
    """``python -m implementation train WORDS`` in two processes, run in ``folder``.

    ``own`` words are for one of them; ``only`` says which of the two are started at all. ``pauses`` names a step for a
    worker, after which it makes the file :func:`paused` and waits for a signal.
    """
    group, places = WorkerGroup(), worker_environments(implementation)
    for worker in only:
        command = ["train", *words, *(own or {}).get(worker, [])]
        pause = (pauses or {}).get(worker)
        given = (implementation, command, str(folder), pause, str(paused(folder, worker)))
        group.start(run_command, *given, folder=folder, environment=places[worker])
    return group


def run_command(
    implementation: str, command: list[str], folder: str, pause: int | None = None, marker: str = ""
) -> None:
    """Run a command line in this process, with Ctrl-C as a program has it, and exit with its status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever nohup has set
    os.chdir(folder)
    frameworks.compute_in(1)
    if pause is not None:
        _pause_after(pause, Path(marker))
    enter(implementation, import_module(f"{implementation}.__main__").run, command)


def run_command_unheard(implementation: str, command: list[str], folder: str) -> None:
    """As ``run_command``, with standard output and standard error going to a reader that has left."""
    reading, writing = os.pipe()
    os.close(reading)
    for descriptor in (1, 2):
        os.dup2(writing, descriptor)
    run_command(implementation, command, folder)


def paused(folder: Path, worker: int) -> Path:
    """A file that is there once the worker has reached the step of its pause."""
    return folder / f"worker-{worker}.paused"


def _pause_after(last: int, marker: Path) -> None:
    """Let sessions wait for a signal once they have recorded that step."""
    record = Session.record

    def record_and_wait(session: Session, step: int, *rest: Any) -> None:
        record(session, step, *rest)
        if step == last:
            marker.touch()
            signal.pause()

    Session.record = record_and_wait  # type: ignore[method-assign]


def logged(run_folder: Path) -> list[dict[str, float]]:
    """The metrics of a run, without the clock."""
    path = run_folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [{name: value for name, value in json.loads(line).items() if name not in WALL_CLOCK} for line in lines]


def final_state(run_folder: Path) -> dict[str, Any]:
    """The arrays of a run's last checkpoint."""
    return checkpoints.load(checkpoints.latest(run_folder / CHECKPOINTS)).arrays
