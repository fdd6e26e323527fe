"""The best value of what a run watches, and when to end for want of a better one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from shared_impl.config.presets import ConfigError
from shared_impl.config.runs import SAMPLE_DISTANCE, RunsConfig


class Best(NamedTuple):
    """The lowest value so far of a quantity, and the step that had it."""

    quantity: str
    step: int
    value: float


class BestValue:
    """Follows ``runs.monitor`` over checkpoints; ``recorded`` is what the checkpoint resumed from knew of it."""

    def __init__(self, runs: RunsConfig, recorded: Mapping[str, Any] | None = None) -> None:
        self.quantity, self._patience = runs.monitor, runs.patience
        known = Best(**recorded) if recorded else None
        self.best = known if known and known.quantity == self.quantity else None

    def value(self, metrics: Mapping[str, float], distance: float) -> float:
        """The watched quantity, out of a step's metrics or ``distance``; ConfigError if there is none of its name."""
        known = {SAMPLE_DISTANCE: distance, **metrics}
        if self.quantity not in known:
            raise ConfigError(f"runs.monitor={self.quantity}: no such metric; this run has {', '.join(known)}")
        return known[self.quantity]

    def judge(self, step: int, value: float) -> None:
        """Take note of the value of a checkpoint."""
        if math.isfinite(value) and (self.best is None or value < self.best.value):
            self.best = Best(self.quantity, step, value)

    def recorded(self) -> dict[str, Any] | None:
        """For the manifest of a checkpoint."""
        return self.best and self.best._asdict()

    def ended(self, step: int) -> str:
        """Why the run is at its end after ``step`` steps; empty if it is not."""
        if self._patience is None or self.best is None or step - self.best.step < self._patience:
            return ""
        return (
            f"ended early at step {step}: {self.quantity} has not been below {self.best.value:.4g}, its value at step "
            f"{self.best.step}, for runs.patience={self._patience} steps"
        )
