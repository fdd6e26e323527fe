"""Processes that are measured: kept to a number of cores, with as many threads in each framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
ROOT = Path(__file__).resolve().parents[1]
TAIL = 15  # lines of a failed process's output that are shown


class BenchmarkFailed(RuntimeError):
    """A measured process failed, so that there are no figures."""


def environment(cores: int) -> dict[str, str]:
    """The environment of a measured process."""
    return {**os.environ, **dict.fromkeys(THREADS, str(cores)), "TF_CPP_MIN_LOG_LEVEL": "2"}


def pin(process: int, cores: int, first: int = 0) -> None:
    """Keep a process on ``cores`` cores from the ``first`` on, where the system can and has them."""
    if hasattr(os, "sched_setaffinity"):
        available = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(process, available[first : first + cores] or available)


def failed(name: str, status: int | None, log: Path) -> BenchmarkFailed:
    """The failure of a process, with the end of what it printed."""
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL:])
    return BenchmarkFailed(f"{name}: exit status {status}\n{tail}")


class BenchmarkProcess:
    """A Python module in a process that answers each line with a line of JSON; a context.

    It keeps to ``cores`` cores from the ``first`` on; ``extra`` is added to its environment. Between requests it is
    idle, so that two processes can be timed in alternation.
    """

    def __init__(
        self, module: str, *arguments: str, cores: int, first: int = 0, extra: Mapping[str, str] | None = None
    ) -> None:
        self.name = " ".join([module.rpartition(".")[2], *arguments])
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name) / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**environment(cores), **(extra or {})},
                text=True,
                cwd=ROOT,
            )
        pin(self._process.pid, cores, first)

    def request(self, line: str) -> Any:
        """Send a line and wait for its answer. Raises :class:`BenchmarkFailed`."""
        self.send(line)
        return self.receive()

    def kill_after(self, seconds: float) -> None:
        """Kill the process if it still runs then; a pending ``receive`` fails."""
        timer = threading.Timer(seconds, self._process.kill)
        timer.daemon = True
        timer.start()

    def send(self, line: str) -> None:
        """Send a line without waiting for the answer."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()

    def receive(self) -> Any:
        """Wait for the answer to the last line. Raises :class:`BenchmarkFailed`."""
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise failed(self.name, self._process.wait(), self._log)
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()
