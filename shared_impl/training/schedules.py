"""Learning-rate schedules: the rates of D and G at each step of a run."""

from __future__ import annotations

import math
from collections.abc import Callable

from shared_impl.config.optimizer import OptimizerConfig

# By schedule: the remaining share of the way from the first rate to ``final_lr``, at a share of the steps done.
REMAINING: dict[str, Callable[[float], float]] = {
    "fixed": lambda done: 1.0,
    "linear": lambda done: 1 - done,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,  # Loshchilov and Hutter 2017, equation 5, no restart
}


def learning_rates(cfg: OptimizerConfig, step: int, steps: int) -> tuple[float, float]:
    """The rates of D and G at ``step`` (from 0) of ``steps``; after the last one they stay at ``final_lr``."""
    remaining = REMAINING[cfg.schedule](min(step / steps, 1.0))
    first_d, first_g = (cfg.lr if own is None else own for own in (cfg.lr_d, cfg.lr_g))
    return (
        cfg.final_lr + (first_d - cfg.final_lr) * remaining if cfg.schedule != "fixed" else first_d,
        cfg.final_lr + (first_g - cfg.final_lr) * remaining if cfg.schedule != "fixed" else first_g,
    )
