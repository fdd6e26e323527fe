"""The progress display of a run: a live line on a terminal, plain lines at intervals elsewhere."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Self, TextIO

import psutil
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

WINDOW = 30.0  # seconds over which a rate is measured: many steps of a small network, a few of a large one
EVERY = 10.0  # seconds between plain lines
REFRESH = 4.0  # live pictures a second
LONG = 5.0  # seconds after which a step is said to be under way
ALMOST = 0.95  # of a step: as far as the bar moves within one that takes longer than those before it
GIGA = 1e9


class Progress:
    """Shows steps, losses, rates, the time left and this process's memory, on ``stream`` (standard error).

    ``images`` says how many real examples so many steps have been shown. ``every`` is the interval of plain lines in
    seconds, which also come while a step takes longer than that. A context manager; the last state stays visible.
    """

    def __init__(
        self,
        total: int,
        title: str,
        stream: TextIO | None = None,
        *,
        images: Callable[[int], int] | None = None,
        every: float = EVERY,
    ) -> None:
        self.total, self.title, self.images = total, title, images
        self.stream = sys.stderr if stream is None else stream
        self.every = every
        self.step = 0
        self.metrics: dict[str, float] = {}
        self._process = psutil.Process()
        self._recent: deque[tuple[float, int]] = deque()
        self._live: Live | None = None
        self._printed = -1  # the step of the last plain line
        self._updated: float | None = None
        self._said_in_step = 0.0  # how long the current step had been running when that was said last
        self._over = threading.Event()
        self._ticker: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._began = self._printed_at = time.monotonic()
        if self.stream.isatty() and os.environ.get("TERM") != "dumb":
            console = Console(file=self.stream)
            self._live = Live(
                get_renderable=self._live_view, console=console, refresh_per_second=REFRESH, redirect_stdout=False
            )
            self._live.start()
        else:
            self._ticker = threading.Thread(target=self._tick_until_over, name="progress", daemon=True)
            self._ticker.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        if self._ticker:
            self._ticker.join()
        if self._live:
            self._live.stop()
        elif self._recent and self.step != self._printed:
            self._print_line()

    def advance(self, step: int) -> None:
        """``step`` steps are done, of which nothing else is to be shown."""
        self._updated = time.monotonic()
        self._said_in_step = 0.0
        self.step = step

    def update(self, step: int, metrics: Mapping[str, float] | None = None) -> None:
        """``step`` steps are done; metrics that are not given stay as they were."""
        self.advance(step)
        now = time.monotonic()
        self.metrics = {**self.metrics, **(metrics or {})}  # a new one: the live picture is drawn in another thread
        self._recent.append((now, step))
        while now - self._recent[0][0] > WINDOW and len(self._recent) > 2:
            self._recent.popleft()
        if not self._live and (self._printed < 0 or now - self._printed_at >= self.every):
            self._print_line()

    def note(self, text: str) -> None:
        """A line that stays, above the live one."""
        if self._live:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self.stream, flush=True)

    @property
    def rate(self) -> float | None:
        """Steps a second over the last WINDOW seconds, the first step (which compiles) excepted; None before two."""
        (began, first), (now, last) = self._recent[0], self._recent[-1]
        return (last - first) / (now - began) if last > first and now > began else None

    def facts(self) -> list[str]:
        """Step, metrics, rates, time left, time passed and memory, as short texts."""
        done = f"step {self.step:,}/{self.total:,} ({self.step / max(self.total, 1):.0%})"
        texts = [done, *(f"{name} {value:.4g}" for name, value in self.metrics.items())]
        if self._recent and (rate := self.rate):
            texts.append(f"{rate:.3g} steps/s")
            if self.images:
                texts.append(f"{self._image_rate():,.0f} images/s")
            texts.append(f"{_clock((self.total - self.step) / rate)} left")
        memory = self._process.memory_info().rss
        return [
            *texts,
            f"{_clock(time.monotonic() - self._began)} gone",
            f"memory {_gigabytes(memory)}, peak {_gigabytes(max(memory, _peak()))}",
        ]

    def position(self) -> float:
        """Steps done, with the share of the current one that its time so far is of the last ones'."""
        rate = self.rate if self._recent else None
        return self.step + min(self._in_step() * rate, ALMOST) if rate and self.step < self.total else self.step

    def _in_step(self) -> float:
        """Seconds since the last step ended, or the display began."""
        return time.monotonic() - (self._began if self._updated is None else self._updated)

    def _image_rate(self) -> float:
        assert self.images is not None
        (began, first), (now, last) = self._recent[0], self._recent[-1]
        return (self.images(last) - self.images(first)) / (now - began)

    def _tick_until_over(self) -> None:
        while not self._over.wait(self.every or EVERY):
            self._tick()

    def _tick(self) -> None:
        """Say that a step is under way if it takes twice as long as the last ones, and each time that doubles."""
        rate = self.rate if self._recent else None
        due = max(self._said_in_step, self.every or EVERY, 1 / rate if rate else 0.0)
        if self.step < self.total and (seconds := self._in_step()) >= (2 * due if self._said_in_step or rate else due):
            self._said_in_step = seconds
            first = "" if self._recent else "; the first one compiles"
            self.note(f"{self.title}: step {self.step + 1:,} has been running for {_clock(seconds)}{first}")

    def _print_line(self) -> None:
        self._printed_at, self._printed = time.monotonic(), self.step
        print(f"{self.title}: {', '.join(self.facts())}", file=self.stream, flush=True)

    def _live_view(self) -> Group:
        head, *facts = self.facts()
        line = Table.grid(padding=(0, 1))
        line.add_row(Text(self.title, style="bold"), ProgressBar(self.total, self.position(), width=30), Text(head))
        if self.step < self.total and (seconds := self._in_step()) > LONG:
            facts.insert(0, f"step {self.step + 1:,} for {_clock(seconds)}")
        return Group(line, Text("  ".join(facts), style="dim"))


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _gigabytes(size: float) -> str:
    return f"{size / GIGA:.2f} GB"


def _peak() -> int:
    """Bytes; Linux counts in kilobytes, macOS in bytes (getrusage(2))."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
