"""The progress display of a run: a live line on a terminal, plain lines at intervals elsewhere."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections import deque
from collections.abc import Mapping
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
GIGA = 1e9


class Progress:
    """Shows steps, losses, rates, the time left and this process's memory, on ``stream`` (standard error).

    ``images`` are the real examples of a step. ``every`` is the interval of plain lines in seconds. A context manager;
    the last state stays visible.
    """

    def __init__(
        self,
        total: int,
        title: str,
        stream: TextIO | None = None,
        *,
        images: int | None = None,
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

    def __enter__(self) -> Self:
        self._began = self._printed_at = time.monotonic()
        if self.stream.isatty() and os.environ.get("TERM") != "dumb":
            console = Console(file=self.stream)
            self._live = Live(
                get_renderable=self._live_view, console=console, refresh_per_second=REFRESH, redirect_stdout=False
            )
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()
        elif self._recent and self.step != self._printed:
            self._print_line()

    def update(self, step: int, metrics: Mapping[str, float] | None = None) -> None:
        """``step`` steps are done; metrics that are not given stay as they were."""
        now = time.monotonic()
        self.step = step
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
                texts.append(f"{rate * self.images:,.0f} images/s")
            texts.append(f"{_clock((self.total - self.step) / rate)} left")
        memory = self._process.memory_info().rss
        return [
            *texts,
            f"{_clock(time.monotonic() - self._began)} gone",
            f"memory {_gigabytes(memory)}, peak {_gigabytes(_peak())}",
        ]

    def _print_line(self) -> None:
        self._printed_at, self._printed = time.monotonic(), self.step
        print(f"{self.title}: {', '.join(self.facts())}", file=self.stream, flush=True)

    def _live_view(self) -> Group:
        head, *facts = self.facts()
        line = Table.grid(padding=(0, 1))
        line.add_row(Text(self.title, style="bold"), ProgressBar(self.total, self.step, width=30), Text(head))
        return Group(line, Text("  ".join(facts), style="dim"))


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _gigabytes(size: float) -> str:
    return f"{size / GIGA:.2f} GB"


def _peak() -> int:
    """Bytes; Linux counts in kilobytes, macOS in bytes (getrusage(2))."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
