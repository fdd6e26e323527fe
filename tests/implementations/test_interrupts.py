"""Ctrl-C and SIGTERM: the first lets the loop save, the second Ctrl-C does not wait."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from shared_impl.training.interrupts import SIGNALS, Interrupts

pytestmark = pytest.mark.processes  # signals reach the main thread of a process of their own


def send(number: int) -> None:
    os.kill(os.getpid(), number)


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


def test_under_torchrun_which_passes_signals_on_a_second_ctrl_c_waits_too(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    with Interrupts() as interrupts:
        send(signal.SIGINT)
        send(signal.SIGINT)
        assert interrupts.requested


def test_the_former_handlers_are_back_afterwards():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(RuntimeError), Interrupts():
        assert [signal.getsignal(number) for number in SIGNALS] != before
        raise RuntimeError
    assert [signal.getsignal(number) for number in SIGNALS] == before


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
