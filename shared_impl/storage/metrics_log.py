"""What a run tells step by step: ``metrics.jsonl``, and TensorBoard's curves, pictures and sounds beside it."""

from __future__ import annotations

import json
import math
import os
import time
import wave
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from shared_impl import files
from shared_impl.storage.tensorboard_writer import Events

METRICS, TENSORBOARD = "metrics.jsonl", "tensorboard"
SECONDS = "seconds"  # the one wall-clock field of a line: how long the run has trained, all sittings together

Line = dict[str, Any]


class MetricsLog:
    """Writes to the journal of the run in ``folder``, from its beginning or from what it says up to step ``after``.

    A line is in the kernel's hands when ``log`` returns, so a kill loses none. Raises OSError as writing does, and
    ConfigError if ``tensorboard`` is asked for but not installed.
    """

    def __init__(self, folder: Path, tensorboard: bool = True, after: int | None = None) -> None:
        path = folder / METRICS
        kept = [line for line in read(folder) if after is not None and line["step"] <= after]
        with files.replacing(path) as draft:
            draft.write_text("".join(f"{json.dumps(line)}\n" for line in kept), encoding="utf-8")
        self.last = summary(kept)
        self._start = time.monotonic() - self.last.get(SECONDS, 0.0)
        purge = None if after is None else after + 1
        self._events = Events(folder / TENSORBOARD, purge) if tensorboard else None
        self._file = path.open("a", encoding="utf-8", buffering=1)

    @property
    def seconds(self) -> float:
        """How long the run has trained, all sittings together."""
        return time.monotonic() - self._start

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """A line of metrics; what is not finite becomes null, since JSON has no word for it."""
        values = {name: float(value) for name, value in metrics.items()}
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        line = {"step": step, **{name: finite.get(name) for name in values}, SECONDS: round(self.seconds, 3)}
        self.last.update(line)
        self._file.write(f"{json.dumps(line)}\n")
        if self._events:
            self._events.scalars(step, finite)

    def picture(self, step: int, tag: str, picture: np.ndarray) -> None:
        """A uint8 picture ``[H, W, 1 or 3]`` for TensorBoard."""
        if self._events:
            self._events.image(step, tag, picture)

    def sound(self, step: int, tag: str, path: Path) -> None:
        """A mono wav file for TensorBoard."""
        if self._events:
            with wave.open(str(path)) as file:
                samples, rate = file.getnframes(), file.getframerate()
            self._events.audio(step, tag, path.read_bytes(), samples, rate)

    def sync(self) -> None:
        """Have the disk hold every line."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """No more lines."""
        with suppress(OSError):  # what could not be written was told when it was to be
            self._file.close()
        if self._events:
            self._events.close()


def read(folder: Path) -> list[Line]:
    """The lines of a run's journal; one that a crash tore is left out."""
    path = folder / METRICS
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return [line for line in map(_parsed, lines) if line]


def summary(lines: list[Line]) -> Line:
    """The latest value of each metric, null where it was not finite."""
    return {name: value for line in lines for name, value in line.items()}


def _parsed(text: str) -> Line | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and isinstance(line.get("step"), int) else None
