"""What a framework contributes to the commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shared_impl.config.schema import Config
from shared_impl.data.source_moments import LogMagnitude
from shared_impl.sampling.generation import Generator
from shared_impl.storage.checkpoints import Checkpoint


@dataclass(frozen=True)
class Framework:
    """A framework's training, sampling and spectrograms.

    ``train`` takes the configuration, the preset's name, the folder of a run to resume and the number of steps to
    profile; it returns the run's folder in the process that writes it.
    """

    name: str
    train: Callable[[Config, str, Path | None, int], Path | None]
    sampler: Callable[[Checkpoint], Generator]
    log_magnitude: LogMagnitude


LoadFramework = Callable[[], Framework]  # called once a command needs the framework, since importing one takes seconds
