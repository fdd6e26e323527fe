"""Ctrl-C and SIGTERM that let a loop save first."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """A run that was asked to stop, and has saved; it says how to go on."""


class Interrupts:
    """A context in which the first Ctrl-C or SIGTERM only sets ``requested``; a second Ctrl-C is KeyboardInterrupt.

    Under torchrun it is not: torchrun passes on the Ctrl-C that the terminal has already sent to everybody.
    The signals' former handlers are back afterwards. Outside the main thread, which alone may handle signals, nothing
    is handled and ``requested`` stays false.
    """

    def __init__(self) -> None:
        self.requested = False
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT and "TORCHELASTIC_RUN_ID" not in os.environ:
            raise KeyboardInterrupt
        self.requested = True
