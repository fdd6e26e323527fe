"""Processes that fork from one with both frameworks: their environment, their log, and their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parity.systems import worker_processes

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 120.0  # seconds in which both frameworks are imported; only a failure takes so long
# Starts a process without the frameworks, prints its number, and ends at once.
PARENT = """
import os, sys
from pathlib import Path
from parity.systems import worker_processes
from tests.parity.systems.test_worker_processes import sleep
if __name__ == "__main__":
    worker_processes.PRELOADED = "json"
    process = worker_processes.start(sleep, environment={}, without=(), log=Path(sys.argv[1]))
    print(process.pid, flush=True)
    os._exit(0)
"""

pytestmark = pytest.mark.processes


def report(word: str) -> None:
    print(word, os.environ.get("GIVEN"), os.environ.get("TAKEN"), "tensorflow" in sys.modules, "torch" in sys.modules)
    os.kill(os.getpid(), signal.SIGINT)
    print("not interrupted", flush=True)


def sleep() -> None:
    time.sleep(10 * PATIENCE)


def fail() -> None:
    raise ValueError("a reason")


def run(function, *arguments, log: Path, **environment: str):
    process = worker_processes.start(function, *arguments, environment=environment, without=("TAKEN",), log=log)
    process.join(PATIENCE)
    return process.exitcode, log.read_text()


def test_a_process_has_the_frameworks_its_environment_and_its_log(tmp_path, monkeypatch):
    monkeypatch.setenv("TAKEN", "yes")
    code, output = run(report, "here", log=tmp_path / "log", GIVEN="1")
    assert (code, output.splitlines()) == (
        0,
        [f"here 1 None {worker_processes.FORKS} {worker_processes.FORKS}", "not interrupted"],
    )


def test_an_error_is_written_to_the_log(tmp_path):
    code, output = run(fail, log=tmp_path / "log")
    assert code == 1 and output.splitlines()[-1] == "ValueError: a reason"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
def test_a_process_ends_with_its_parent(tmp_path):
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    parent = subprocess.run(
        [sys.executable, program, tmp_path / "log"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=PATIENCE,
    )
    until = time.monotonic() + PATIENCE
    while Path(f"/proc/{int(parent.stdout)}").exists():
        assert time.monotonic() < until, "the process still runs"
        time.sleep(0.05)


def test_blas_computes_in_a_share_of_the_cores(monkeypatch):
    for cores, threads in ((1, 1), (2, 1), (8, 2), (64, 16)):
        monkeypatch.setattr(worker_processes, "cores", lambda cores=cores: cores)
        assert worker_processes.blas_threads() == threads
