"""Proof of a conversion: both implementations take one more step in float64 and end in equal states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity.numerics.difference import TINY
from parity.systems.conversion.states import Arrays, check_finite, group_of, trained
from parity.systems.training.implementations import KERAS, TORCH, Implementation
from parity.systems.training.noise import cancelled, owner
from shared_impl.config.schema import Config
from shared_impl.draws import Draws

Array = np.ndarray

SAME = 1e-8
SAME_BECAUSE = "float64 rounding stays below 1e-11 even where Adam has only begun, a part left behind shows above 1e-5"
# As little as a step can do with: batch statistics need two samples.
SMALL = {"precision": "float64", "batch_size": 2, "accumulation": 1, "d_updates": 1, "stage_batches": ()}


@dataclass(frozen=True)
class Proof:
    """The largest difference after the step, relative to the largest value of its kind, and the kind."""

    apart: float
    where: str

    @property
    def passed(self) -> bool:
        """Whether both implementations ended in equal states."""
        return self.apart <= SAME


def prove(states: Mapping[str, Arrays], config: Config, step: int) -> Proof:
    """Take one step from the states of ``tensorflow`` and ``torch``, on the same drawn batch, and compare.

    Parameters that the loss does not depend on are excluded: their gradient is rounding, which Adam amplifies.

    Raises CheckpointError if a state holds NaN or infinity.
    """
    check_finite(states["tensorflow"], "the state")
    config = config.model_copy(update={"training": config.training.model_copy(update=SMALL)})
    metrics, arrays = zip(
        _step(KERAS, states["tensorflow"], config, step), _step(TORCH, states["torch"], config, step), strict=True
    )
    found = {"losses": _apart(*metrics, names=metrics[0])}
    noise = cancelled(config)
    for group in dict.fromkeys(map(group_of, arrays[0])):
        compared = (name for name in arrays[0] if group_of(name) == group and owner(name) not in noise)
        found[group or "updates"] = _apart(*arrays, names=compared)
    where = max(found, key=lambda name: found[name])
    return Proof(found[where], where)


def _step(
    implementation: Implementation, arrays: Arrays, config: Config, step: int
) -> tuple[Mapping[str, float], Arrays]:
    """The metrics of the step and the state after it, in Keras's names and layout."""
    trainer = implementation.build(config, 2 * (step + 1), None)  # no schedule has come to its end there
    implementation.restore(trainer, {name: array for name, array in arrays.items() if trained(name)})
    draws, side = Draws(config.training.seed), config.model.side
    images = 256 * draws.uniform("proof", (config.training.batch_size, side, side, config.model.nc))
    labels = max(config.model.labels, 1) * draws.uniform("proof classes", (config.training.batch_size,))
    batch: Arrays = {"x": images.astype(np.uint8), "label": labels.astype(np.int64)}
    metrics = implementation.step(trainer, step, iter([batch]))
    return metrics, implementation.to_reference(implementation.state(trainer), config)


def _apart(one: Mapping[str, Any], other: Mapping[str, Any], names: Iterable[str]) -> float:
    names = list(names)
    gap = max(float(np.max(np.abs(np.subtract(one[name], other[name])))) for name in names)
    apart = gap / max(*(float(np.max(np.abs(one[name]))) for name in names), TINY)
    return apart if np.isfinite(apart) else np.inf
