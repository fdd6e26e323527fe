"""Pairs verified by several processes: the same verdicts, told as they are made, and no process left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest

from parity import crew
from parity.pairs import select
from parity.verdict import UnusableInput

WORDS = ["specgan.discriminator:nc=3", "dcgan.discriminator:nc=3", "dcgan.training:loss.kind=wgan-gp,"
         "training.reuse_fakes=false,optimizer.clip_norm=0.5"]  # fmt: skip
RUNGS = ["structure", "weights", "data"]


def test_several_processes_come_to_the_verdicts_of_one():
    pairs, told = select(WORDS), []

    def begin(name):
        return lambda stage: told.append((name, stage))

    found = crew.verify_all(pairs, RUNGS, 1, begin, jobs=2)
    assert {name for name, _ in told} == set(WORDS) and {"weights", "data"} <= {stage for _, stage in told}
    assert not multiprocessing.active_children()
    for verdict, alone in zip(found, crew.verify_all(pairs, RUNGS, 1, begin, jobs=1), strict=True):
        assert verdict.passed and verdict.to_text() == alone.to_text() and list(verdict.rungs) == list(alone.rungs)
        assert [c.measured for r in verdict.rungs.values() for c in r.checks] == [
            c.measured for r in alone.rungs.values() for c in r.checks
        ]


def test_a_process_that_is_killed_is_told_and_none_is_left():
    def begin(name):
        return lambda stage: os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    with pytest.raises(UnusableInput, match="--jobs 1"):
        crew.verify_all(select(WORDS), RUNGS, 0, begin, jobs=2)
    assert not multiprocessing.active_children()


def test_an_interruption_ends_all_processes_at_once():
    def begin(name):
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        crew.verify_all(select(["dcgan"]), None, 0, begin, jobs=2)
    ended = time.monotonic()
    assert not multiprocessing.active_children() and ended - start < 120


@pytest.mark.parametrize(("pairs", "cores", "expected"), [(1, 2, 1), (11, 2, 1), (12, 2, 2), (200, 2, 2), (200, 64, 4)])
def test_processes_by_pairs_and_cores(pairs, cores, expected, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(cores), raising=False)
    assert crew.workers(pairs) == expected
