"""The moments that a run normalises its spectrograms with: measured on its source, merged, or read from a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from shared_impl.config.schema import Config
from shared_impl.data.moments import Accumulator, Moments, load
from shared_impl.data.source_interface import Source

Array = np.ndarray
LogMagnitude = Callable[[Array, int, int], Any]
PORTION = 64  # clips transformed at once
# Fields of data that decide which frames are counted.
SHAPING = ("sample_rate", "overlap", "first_slice", "pad_end", "random_offset")


def moment_settings(source: Source, config: Config) -> dict[str, Any]:
    """The settings that moments must have been measured with to fit this source and this system."""
    frame, hop, _ = config.model.framing
    shaping = {name: getattr(config.data, name) for name in SHAPING}
    return {"source": source.fingerprint, "frame": frame, "hop": hop, **shaping}


def measure(source: Source, config: Config, log_magnitude: LogMagnitude, shard: int = 0, shards: int = 1) -> Moments:
    """The moments of every ``shards``-th slice from ``shard`` on, without random offsets; progress on a terminal.

    ``log_magnitude`` takes waveforms ``[B, T]``, frame and hop to ``[B, frames, bins]``. Raises MomentsError and
    DataError.
    """
    found = Accumulator(moment_settings(source, config), shard, shards)
    frame, hop, _ = config.model.framing
    numbers = range(shard, len(source), shards)
    console = Console(stderr=True)
    starts = track(
        range(0, len(numbers), PORTION), "measuring moments", console=console, transient=True,
        disable=not console.is_terminal,
    )  # fmt: skip
    for start in starts:
        clips = np.stack([source[i]["x"] for i in numbers[start : start + PORTION]])
        exact = clips.astype(np.float64)  # in float32, silence is rounding noise
        found.add(np.asarray(log_magnitude(exact, frame, hop)))
    return found.result()


def merge_shards(source: Source, config: Config, paths: Sequence[Path]) -> Moments:
    """The moments of several files, each of other shards of this source. Raises MomentsError."""
    first, *rest = (load(path, moment_settings(source, config), partial=True) for path in paths)
    found = Accumulator.of(first)
    for moments in rest:
        found.merge(moments)
    return found.result()


def moments_for_run(source: Source, config: Config, log_magnitude: LogMagnitude) -> Moments:
    """The moments of ``data.moments`` if it names a file, otherwise measured."""
    if config.data.moments is None:
        return measure(source, config, log_magnitude)
    return load(Path(config.data.moments), moment_settings(source, config))
