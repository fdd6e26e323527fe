"""The metrics of a run, step by step: ``metrics.jsonl``, and TensorBoard's curves, pictures and sounds beside it."""

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
from shared_impl.storage.tensorboard_writer import TensorBoardWriter

METRICS, TENSORBOARD = "metrics.jsonl", "tensorboard"
SECONDS = "seconds"  # how long the run has trained, over all its resumptions
STEP_RATE, IMAGES_TIME, WAITING = "steps_per_s", "sec_per_kimg", "waiting_percent"
WALL_CLOCK = (SECONDS, STEP_RATE, IMAGES_TIME, WAITING)  # the fields of a line that no two runs have alike

Line = dict[str, Any]


class MetricsLog:
    """Writes the metrics log of the run in ``folder``, from its beginning or after step ``after``, which is kept.

    A line has been passed to the kernel when ``log`` returns, so a kill loses none. Raises OSError as writing does, and
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
        self._tensorboard = TensorBoardWriter(folder / TENSORBOARD, purge) if tensorboard else None
        self._file = path.open("a", encoding="utf-8", buffering=1)

    @property
    def seconds(self) -> float:
        """How long the run has trained, over all its resumptions."""
        return time.monotonic() - self._start

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write a line of metrics; values that are not finite become null, which is all that JSON has for them."""
        values = {name: float(value) for name, value in metrics.items()}
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        line = {"step": step, **{name: finite.get(name) for name in values}, SECONDS: round(self.seconds, 3)}
        self.last.update(line)
        self._file.write(f"{json.dumps(line)}\n")
        if self._tensorboard:
            self._tensorboard.scalars(step, finite)

    def picture(self, step: int, tag: str, picture: np.ndarray) -> None:
        """Write a uint8 picture ``[H, W, 1 or 3]`` to TensorBoard."""
        if self._tensorboard:
            self._tensorboard.image(step, tag, picture)

    def sound(self, step: int, tag: str, path: Path) -> None:
        """Write a mono wav file to TensorBoard."""
        if self._tensorboard:
            with wave.open(str(path)) as file:
                samples, rate = file.getnframes(), file.getframerate()
            self._tensorboard.audio(step, tag, path.read_bytes(), samples, rate)

    def sync(self) -> None:
        """Force every line to the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close both files."""
        with suppress(OSError):  # reported when it was written
            self._file.close()
        if self._tensorboard:
            self._tensorboard.close()


def read(folder: Path) -> list[Line]:
    """The lines of a run's metrics log; one that a crash has cut short is left out."""
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
