"""Ctrl-C, SIGTERM and SIGHUP: the first lets the loop save, a second Ctrl-C does not wait; both are answered."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from shared_impl.training.interrupts import SIGNALS, Interrupts

pytestmark = pytest.mark.processes  # signals reach the main thread of a process of their own


@pytest.fixture(autouse=True)
def _hang_up_as_in_a_terminal():
    """Whatever nohup has set for the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


class Said:
    """What was said, and a way to wait for it."""

    def __init__(self):
        self.words = []
        self.said = threading.Semaphore(0)

    def __call__(self, again):
        self.words.append((again, threading.current_thread().name))
        self.said.release()


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_only_sets_the_request(number):
    with Interrupts() as interrupts:
        assert not interrupts.requested
        send(number)
        assert interrupts.requested


@pytest.mark.parametrize("first", SIGNALS)
def test_a_second_ctrl_c_does_not_wait(first):
    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        send(first)
        send(signal.SIGTERM)
        assert interrupts.requested
        send(signal.SIGINT)


@pytest.mark.parametrize("number", SIGNALS)
def test_while_there_is_nothing_to_save_the_first_signal_does_not_wait(number):
    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        interrupts.at_once = True
        send(number)


def test_a_signal_is_answered_while_the_main_thread_is_in_a_long_call():
    """A framework's call runs no Python, so no handler: here a blocked signal mask stands for it."""
    said = Said()
    with pytest.raises(KeyboardInterrupt), Interrupts(said) as interrupts:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for _ in range(2):
                send(signal.SIGINT)  # reaches the listening thread, which blocks nothing
                assert said.said.acquire(timeout=60)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        assert interrupts.requested
    assert said.words == [(False, "signals"), (True, "signals")]


def test_a_signal_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            send(signal.SIGHUP)
            assert not interrupts.requested
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_under_torchrun_which_passes_signals_on_a_second_ctrl_c_waits_too(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    said = Said()
    with Interrupts(said) as interrupts:
        send(signal.SIGINT)
        send(signal.SIGINT)
        assert interrupts.requested
    assert [again for again, _ in said.words] == [False]


def test_the_former_handlers_are_back_afterwards():
    before = [signal.getsignal(number) for number in SIGNALS]
    threads = threading.active_count()
    with pytest.raises(RuntimeError), Interrupts():
        assert [signal.getsignal(number) for number in SIGNALS] != before
        raise RuntimeError
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1
    assert threading.active_count() == threads


def test_outside_the_main_thread_nothing_is_handled():
    seen = []

    def work():
        with Interrupts() as interrupts:
            seen.append((interrupts.requested, signal.getsignal(signal.SIGINT)))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
