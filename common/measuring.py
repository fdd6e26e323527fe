"""The moments that a run normalises its spectrograms with: measured on its data, or read from a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from common.moments import Accumulator, Moments, load
from common.schema import DataConfig
from common.sources import Source

Array = np.ndarray
PORTION = 64  # clips transformed at once
# Fields of data that decide which frames are counted.
SHAPING = ("sample_rate", "overlap", "first_slice", "pad_end", "random_offset")
FRAMING = {"frame": 256, "hop": 128}  # SpecGAN's spectrograms


def settings(source: Source, data: DataConfig) -> dict[str, Any]:
    """What moments must have been measured with to serve this source."""
    return {"source": source.fingerprint, **FRAMING, **{name: getattr(data, name) for name in SHAPING}}


def measure(
    source: Source, data: DataConfig, log_magnitude: Callable[[Array], Any], shard: int = 0, shards: int = 1
) -> Moments:
    """The moments of every ``shards``-th slice from ``shard`` on, without random offsets; progress on a terminal.

    ``log_magnitude`` takes waveforms ``[B, T]`` to ``[B, frames, bins]``. Raises MomentsError and DataError.
    """
    found = Accumulator(settings(source, data), shard, shards)
    numbers = range(shard, len(source), shards)
    console = Console(stderr=True)
    starts = track(
        range(0, len(numbers), PORTION), "measuring moments", console=console, transient=True,
        disable=not console.is_terminal,
    )  # fmt: skip
    for start in starts:
        clips = np.stack([source[i]["x"] for i in numbers[start : start + PORTION]])
        found.add(np.asarray(log_magnitude(clips.astype(np.float64))))  # in float32, silence is rounding noise
    return found.result()


def merged(source: Source, data: DataConfig, paths: Sequence[Path]) -> Moments:
    """The moments of several files, each of other shards of this source. Raises MomentsError."""
    first, *rest = (load(path, settings(source, data), partial=True) for path in paths)
    found = Accumulator.of(first)
    for moments in rest:
        found.merge(moments)
    return found.result()


def for_run(source: Source, data: DataConfig, log_magnitude: Callable[[Array], Any]) -> Moments:
    """The moments of ``data.moments`` if it names a file, otherwise measured."""
    if data.moments is None:
        return measure(source, data, log_magnitude)
    return load(Path(data.moments), settings(source, data))
