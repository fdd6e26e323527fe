"""Pairs verified by several processes: the same verdicts, progress as they are made, and no process left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from parity.systems import worker_pool
from parity.systems.registry import registry
from parity.verdict import UnusableInput

RUNGS = ["structure", "weights", "data"]
PAIRS = [
    next(pair for pair in registry() if pair.name.startswith(f"{name}:") and {*pair.rungs} & {*RUNGS})
    for name in ("specgan.discriminator", "dcgan.discriminator", "dcgan.training")
]
PATIENCE = 120.0  # seconds; only a failure takes so long

processes = pytest.mark.processes


@processes
def test_several_processes_come_to_the_verdicts_of_one():
    progress = []

    def begin(name):
        return lambda rung: progress.append((name, rung))

    found = worker_pool.verify_all(PAIRS, RUNGS, 1, begin, jobs=2)
    assert {name for name, _ in progress} == {pair.name for pair in PAIRS} and {"weights", "data"} <= {
        rung for _, rung in progress
    }
    assert not multiprocessing.active_children()
    for verdict, alone in zip(found, worker_pool.verify_all(PAIRS, RUNGS, 1, begin, jobs=1), strict=True):
        assert verdict.passed and verdict.to_text() == alone.to_text() and list(verdict.rungs) == list(alone.rungs)
        assert [c.measured for r in verdict.rungs.values() for c in r.checks] == [
            c.measured for r in alone.rungs.values() for c in r.checks
        ]


@processes
def test_a_killed_worker_is_reported_and_none_is_left():
    def begin(name):
        multiprocessing.active_children()[0].kill()
        return lambda rung: None

    with pytest.raises(UnusableInput, match="--jobs 1"):
        worker_pool.verify_all(PAIRS, RUNGS, 0, begin, jobs=2)
    assert not multiprocessing.active_children()


@processes
def test_an_interruption_ends_all_workers_at_once():
    def begin(name):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker_pool.verify_all(PAIRS * 1000, None, 0, begin, jobs=2)
    assert not multiprocessing.active_children()


def forked_server(process: subprocess.Popen, output) -> bool:
    """Whether the command has begun to import the frameworks: it has started another process."""
    return bool(open(f"/proc/{process.pid}/task/{process.pid}/children").read().split())


def verifies(process: subprocess.Popen, output) -> bool:
    """Whether a pair is being verified."""
    return "[1/" in output.read_text()


@processes
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up in /proc")
@pytest.mark.parametrize("reached", [forked_server, verifies], ids=["while it imports", "while it climbs"])
def test_ctrl_c_ends_the_command_in_one_line_at_any_time(reached, tmp_path):
    output = tmp_path / "output"
    with output.open("wb") as stream:
        command = subprocess.Popen(
            [sys.executable, "-m", "parity", "verify", "specgan", "--jobs", "2"], stdout=stream, stderr=stream,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        until = time.monotonic() + PATIENCE
        while not reached(command, output):
            assert time.monotonic() < until and command.poll() is None, output.read_text()
            time.sleep(0.05)
        command.send_signal(signal.SIGINT)
        assert command.wait(PATIENCE) == 2
    assert output.read_text().rstrip().splitlines()[-1] == "parity: interrupted"


def send_much(pair, rungs, seed):
    """Send more progress than a pipe holds."""
    worker_pool._messages.put((pair, "x" * 10**6))


@processes
def test_a_pool_ends_with_progress_that_nobody_has_polled(monkeypatch):
    monkeypatch.setattr(worker_pool, "_verify", send_much)
    with worker_pool.WorkerPool(2) as pool:
        for future in [pool.submit("pair") for _ in range(4)]:
            assert future.result() is None
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("pairs", "cores", "expected"), [(1, 2, 1), (11, 2, 1), (12, 2, 2), (200, 2, 2), (200, 64, 4)])
def test_default_jobs_by_pairs_and_cores(pairs, cores, expected, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(cores), raising=False)
    assert worker_pool.default_jobs(pairs) == expected
