"""Several processes of one training, started as a user, torchrun or Slurm would start them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parity.systems.distribution.engines import DDP, MULTI_WORKER, Engine, environments
from shared_impl.storage import checkpoints
from shared_impl.storage.run_folder import CHECKPOINTS

ROOT = Path(__file__).resolve().parents[2]
IMPLEMENTATIONS = {"torch_impl": DDP, "tf_impl": MULTI_WORKER}
SMALL = [
    *("dcgan_tiny", "model.ngf=2", "model.ndf=2", "model.nz=8", "training.batch_size=8", "training.precision=float64"),
    "distribution.devices=cpu",
    *("runs.log_every=1", "runs.samples=4", "runs.tensorboard=false", "distribution.timeout=60"),
]
SINGLE = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")}  # small networks
PATIENCE = 120.0  # seconds for a start, imports included
LAST = 15  # lines of each log that a failure shows


@dataclass
class Crew:
    """The processes and what each has said on standard error."""

    processes: list[subprocess.Popen[bytes]]
    logs: list[Path]

    def join(self, program: Sequence[str], folder: Path, environment: Mapping[str, str], source: Path = ROOT) -> None:
        """One more process, ``python -m PROGRAM`` in ``folder``, which is told its place by ``environment``."""
        number = len(self.processes)
        self.logs.append(folder / f"worker-{number}-{len(list(folder.glob('*.log')))}.log")
        paths = {"PYTHONPATH": str(source), "TF_CPP_MIN_LOG_LEVEL": "3", "LOCAL_RANK": "0"}
        with self.logs[-1].open("wb") as said:
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", *program],
                    cwd=folder,
                    env={**os.environ, **SINGLE, **environment, **paths},
                    stdout=said,
                    stderr=said,
                )
            )

    def told(self, worker: int) -> str:
        """What a worker has said, its progress left out."""
        lines = self.logs[worker].read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if "_impl: " in line or "Error" in line)

    def said(self) -> str:
        """The last of everything that each worker has said, for a failure's message."""
        lines = {log.name: log.read_text(errors="replace").splitlines() for log in self.logs}
        return "\n".join("\n".join([f"{name}:", *said[-LAST:]]) for name, said in lines.items())

    def ended(self, seconds: float) -> list[int]:
        """Every worker's exit status; AssertionError, and an end to all, if they take longer."""
        until = time.monotonic() + seconds
        try:
            return [process.wait(max(until - time.monotonic(), 0.01)) for process in self.processes]
        except subprocess.TimeoutExpired:
            running = [i for i, process in enumerate(self.processes) if process.poll() is None]
            self.end()
            raise AssertionError(f"workers {running} are still running after {seconds:g} s\n{self.said()}") from None

    def end(self) -> None:
        """No process is left."""
        for process in self.processes:
            process.kill()
            process.wait()


def crew(
    implementation: str,
    folder: Path,
    *words: str,
    own: Mapping[int, list[str]] | None = None,
    sources: Mapping[int, Path] | None = None,
    only: Sequence[int] = (0, 1),
) -> Crew:
    """``python -m implementation train WORDS`` in two processes, run in ``folder``.

    ``own`` words and ``sources`` are for one of them; ``only`` says which of the two are started at all.
    """
    engine = Engine("torch" if implementation == "torch_impl" else "tensorflow", IMPLEMENTATIONS[implementation], 2, 2)
    return started(implementation, folder, words, environments(engine), own or {}, sources or {}, only)


def started(
    implementation: str,
    folder: Path,
    words: Sequence[str],
    environments: Sequence[Mapping[str, str]],
    own: Mapping[int, list[str]],
    sources: Mapping[int, Path],
    only: Sequence[int],
) -> Crew:
    """The processes of a crew, each in the environment that its place is told by."""
    found = Crew([], [])
    for worker in only:
        program = [implementation, "train", *words, *own.get(worker, [])]
        found.join(program, folder, environments[worker], sources.get(worker, ROOT))
    return found


def logged(run: Path) -> list[dict[str, float]]:
    """What a run has logged, without the clock."""
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


def await_step(crew: Crew, run: Path, step: int) -> None:
    """Until so many steps are logged."""
    until = time.monotonic() + PATIENCE
    while len(logged(run)) < step:
        ended = [i for i, process in enumerate(crew.processes) if process.poll() is not None]
        if ended or time.monotonic() > until:
            crew.end()
            problem = f"workers {ended} have ended" if ended else f"no step {step} after {PATIENCE:g} s"
            raise AssertionError(f"{problem}\n{crew.said()}")
        time.sleep(0.02)


def final(run: Path):
    """The arrays of a run's last checkpoint."""
    return checkpoints.load(checkpoints.latest(run / CHECKPOINTS)).arrays
