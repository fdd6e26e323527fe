"""Pairs verified by several processes: the same verdicts, told as they are made, and no process left behind."""

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


def test_several_processes_come_to_the_verdicts_of_one():
    told = []

    def begin(name):
        return lambda stage: told.append((name, stage))

    found = worker_pool.verify_all(PAIRS, RUNGS, 1, begin, jobs=2)
    assert {name for name, _ in told} == {pair.name for pair in PAIRS} and {"weights", "data"} <= {
        stage for _, stage in told
    }
    assert not multiprocessing.active_children()
    for verdict, alone in zip(found, worker_pool.verify_all(PAIRS, RUNGS, 1, begin, jobs=1), strict=True):
        assert verdict.passed and verdict.to_text() == alone.to_text() and list(verdict.rungs) == list(alone.rungs)
        assert [c.measured for r in verdict.rungs.values() for c in r.checks] == [
            c.measured for r in alone.rungs.values() for c in r.checks
        ]


def test_a_process_that_is_killed_is_told_and_none_is_left():
    def begin(name):
        multiprocessing.active_children()[0].kill()
        return lambda stage: None

    with pytest.raises(UnusableInput, match="--jobs 1"):
        worker_pool.verify_all(PAIRS, RUNGS, 0, begin, jobs=2)
    assert not multiprocessing.active_children()


def test_an_interruption_ends_all_processes_at_once():
    def begin(name):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker_pool.verify_all(PAIRS * 1000, None, 0, begin, jobs=2)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("seconds", [2.0, 12.0], ids=["while it imports", "while it climbs"])
def test_ctrl_c_is_heard_at_any_time_and_ends_in_one_line(seconds, tmp_path):
    said = tmp_path / "said"
    with said.open("wb") as stream:
        ladder = subprocess.Popen(
            [sys.executable, "-m", "parity", "verify", "specgan", "--jobs", "2"], stdout=stream, stderr=stream,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        time.sleep(seconds)
        ladder.send_signal(signal.SIGINT)
        assert ladder.wait(20.0) == 2
    assert said.read_text().rstrip().splitlines()[-1] == "parity: interrupted"


def tell_much(pair, rungs, seed):
    """More than a pipe holds."""
    worker_pool._said.put((pair, "x" * 10**6))


def test_what_is_told_need_not_be_heard(monkeypatch):
    monkeypatch.setattr(worker_pool, "_duty", tell_much)
    with worker_pool.crew(2) as (ask, _):
        for future in [ask("pair") for _ in range(4)]:
            assert future.result() is None
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("pairs", "cores", "expected"), [(1, 2, 1), (11, 2, 1), (12, 2, 2), (200, 2, 2), (200, 64, 4)])
def test_processes_by_pairs_and_cores(pairs, cores, expected, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(cores), raising=False)
    assert worker_pool.workers(pairs) == expected
