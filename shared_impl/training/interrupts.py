"""Ctrl-C, SIGTERM and SIGHUP that let the training loop save before it ends."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Say = Callable[[bool], None]


class Interrupted(Exception):
    """A run was asked to stop and has saved; the message says how to continue it."""


class Interrupts:
    """A context in which the first signal only sets ``requested``; a second Ctrl-C is KeyboardInterrupt.

    ``say`` is called as soon as a signal arrives, with false, and again with true for a second Ctrl-C: from a thread,
    since Python's own handlers wait for the end of a call into a framework, which may last as long as a step. Under
    torchrun a second Ctrl-C is ignored, since torchrun forwards the one that the terminal has sent to every process
    already. A SIGHUP that is ignored on entering, as nohup has it, stays ignored. Former handlers are restored at
    the end. Outside the main thread, which alone may handle signals, nothing is handled and ``requested`` stays false.
    """

    def __init__(self, say: Say = lambda again: None) -> None:
        self.requested = False
        self.at_once = False  # while there is nothing to save: the first signal is KeyboardInterrupt, too
        self._say = say
        self._again = False
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._hear()
            self._former = {number: signal.signal(number, self._receive) for number in SIGNALS if not _ignored(number)}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        if self._former:
            signal.set_wakeup_fd(self._former_wakeup)
            self._wakeup.shutdown(socket.SHUT_RDWR)  # a forked worker may hold a copy of it
            self._wakeup.close()
            self._listener.join()

    def _hear(self) -> None:
        """Start the thread that is woken by every signal, whatever the main thread is doing."""
        self._wakeup, ear = socket.socketpair()
        self._wakeup.setblocking(False)
        self._former_wakeup = signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        self._listener = threading.Thread(target=self._listen, args=(ear,), name="signals", daemon=True)
        self._listener.start()

    def _listen(self, ear: socket.socket) -> None:
        heard = False
        with ear:
            while numbers := ear.recv(1):
                if not heard and numbers[0] in SIGNALS:
                    heard = True
                    self._say(False)
                elif heard and not self._again and numbers[0] == signal.SIGINT and not _forwarded():
                    self._again = True
                    self._say(True)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        again = number == signal.SIGINT and (self.requested or self._again) and not _forwarded()
        if again or self.at_once:
            raise KeyboardInterrupt
        self.requested = True


def _ignored(number: signal.Signals) -> bool:
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN


def _forwarded() -> bool:
    """Whether torchrun passes on the signals that it receives."""
    return "TORCHELASTIC_RUN_ID" in os.environ
