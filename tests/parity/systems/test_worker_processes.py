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
SECONDS = 60.0  # in which both frameworks are imported and a process has ended
# Starts a process, tells its number, and is gone without another word.
PARENT = """
import os, sys
from pathlib import Path
from parity import processes
from tests.parity.systems.test_worker_processes import sleep
if __name__ == "__main__":
    process = processes.start(sleep, environment={}, without=(), log=Path(sys.argv[1]))
    print(process.pid, flush=True)
    os._exit(0)
"""


def tell(word: str) -> None:
    print(word, os.environ.get("GIVEN"), os.environ.get("TAKEN"), "tensorflow" in sys.modules, "torch" in sys.modules)
    os.kill(os.getpid(), signal.SIGINT)
    print("not interrupted", flush=True)


def sleep() -> None:
    time.sleep(10 * SECONDS)


def fail() -> None:
    raise ValueError("a reason")


def run(function, *arguments, log: Path, **environment: str):
    process = worker_processes.start(function, *arguments, environment=environment, without=("TAKEN",), log=log)
    process.join(SECONDS)
    return process.exitcode, log.read_text()


def test_a_process_has_the_frameworks_its_environment_and_its_log(tmp_path, monkeypatch):
    monkeypatch.setenv("TAKEN", "yes")
    code, said = run(tell, "here", log=tmp_path / "log", GIVEN="1")
    assert (code, said.splitlines()) == (
        0,
        [f"here 1 None {worker_processes.FORKS} {worker_processes.FORKS}", "not interrupted"],
    )


def test_an_error_is_told_in_the_log(tmp_path):
    code, said = run(fail, log=tmp_path / "log")
    assert code == 1 and said.splitlines()[-1] == "ValueError: a reason"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
def test_a_process_ends_with_the_one_that_asked_for_it(tmp_path):
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    told = subprocess.run(
        [sys.executable, program, tmp_path / "log"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=SECONDS,
    )
    until = time.monotonic() + SECONDS
    while Path(f"/proc/{int(told.stdout)}").exists():
        assert time.monotonic() < until, "the process still runs"
        time.sleep(0.05)
