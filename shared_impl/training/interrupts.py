"""Ctrl-C and SIGTERM that let the training loop save before it ends."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """A run was asked to stop and has saved; the message says how to continue it."""


class Interrupts:
    """A context in which the first Ctrl-C or SIGTERM only sets ``requested``; a second Ctrl-C is KeyboardInterrupt.

    Under torchrun a second one is ignored, since torchrun forwards the Ctrl-C that the terminal has sent to every
    process already. Former handlers are restored at the end. Outside the main thread, which alone may handle signals,
    nothing is handled and ``requested`` stays false.
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
