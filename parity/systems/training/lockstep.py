"""Runs of a trainer on the drawn batches, recorded step by step in Keras's names and layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parity.systems.training import drawn_data
from parity.systems.training.implementations import Implementation
from shared_impl.config.schema import Config
from shared_impl.draws import Draws
from shared_impl.training.growing import batches_before, portions

Array = np.ndarray
Arrays = dict[str, Array]

# A convolution here adds up 16 to 1600 products, and so rounds by 4 to 40 units of 2^-53 relative to them.
NUDGE = 2.0**-50


@dataclass
class Trajectory:
    """``states[i]`` is the state after ``i`` steps, ``losses[i]`` what the step after it reported.

    ``kept`` is the state of step ``keep`` in the implementation's own names and layout.
    """

    states: list[Arrays] = field(default_factory=list)
    losses: list[dict[str, float]] = field(default_factory=list)
    kept: Arrays = field(default_factory=dict)


def run(
    implementation: Implementation, trainer: Any, config: Config, steps: range, keep: int | None = None
) -> Trajectory:
    """Take these steps and record them, from the trainer's state with its zero scalars perturbed."""
    start = _recorded(implementation, trainer, config)
    if perturbed := drawn_data.perturbed_zeros(start, config.training.seed):
        start = start | perturbed
        implementation.restore(trainer, implementation.from_reference(start, config))
    found = Trajectory([start])
    for step in steps:
        if step == keep:
            found.kept = implementation.state(trainer)
        batches = drawn_data.batches(config, batches_before(config, step))
        found.losses.append(implementation.step(trainer, step, batches))
        found.states.append(_recorded(implementation, trainer, config))
    return found


def updates(
    implementation: Implementation, trainer: Any, config: Config, step: int, state: Mapping[str, Array]
) -> list[Arrays]:
    """Repeat step ``step`` from ``state``: the states before each update of D, and the last one."""
    implementation.restore(trainer, implementation.from_reference(state, config))
    before: list[Arrays] = []
    batches = drawn_data.batches(
        config, batches_before(config, step), lambda: before.append(_recorded(implementation, trainer, config))
    )
    implementation.step(trainer, step, batches)
    return [*before[:: portions(config, step)], _recorded(implementation, trainer, config)]


def nudged(state: Mapping[str, Array], seed: int) -> Arrays:
    """A state whose floating-point values are moved by :data:`NUDGE` of themselves, up or down at random."""
    draws = Draws(seed)
    return {
        name: array * (1 + NUDGE * np.sign(draws.uniform(name, array.shape) - 0.5))
        if array.dtype.kind == "f"
        else array
        for name, array in state.items()
    }


def _recorded(implementation: Implementation, trainer: Any, config: Config) -> Arrays:
    return implementation.to_reference(implementation.state(trainer), config)
