"""A training update whose result differs, and what it takes to explain it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from parity.numerics.difference import TINY
from parity.systems.training.noise import owner
from shared_impl.config.schema import Config
from shared_impl.training.schedules import learning_rates

Array = np.ndarray
Arrays = dict[str, Array]

# The share of a difference that its explanation may leave. Settings are solved for from float64 differences: the right
# one leaves far less, a wrong one most of it.
REST = 1e-3


class Cause(NamedTuple):
    """The cause of a difference: its kind, what the port does, and the fix."""

    kind: str
    message: str
    fix: str


@dataclass(frozen=True)
class Case:
    """``name`` differs after update ``update`` (from 1) of its network, in step ``step`` (from 0).

    States before and after it, on both sides, in Keras's names and layout.
    """

    config: Config
    steps: int
    step: int
    name: str
    before: Arrays
    expected: Arrays
    port_before: Arrays
    got: Arrays

    @property
    def scope(self) -> str:
        """``d_optimizer``, ``discriminator``, ``ema`` and so on."""
        return self.name.partition("/")[0]

    @property
    def optimizer(self) -> str:
        """The optimiser that updates the array's network."""
        return "d_optimizer" if owner(self.name).startswith("discriminator") else "g_optimizer"

    @property
    def parameter(self) -> str:
        """``layer/parameter``."""
        return owner(self.name).partition("/")[2]

    @property
    def update(self) -> int:
        """The number of this update of the optimiser, from 1."""
        return int(self.expected[f"{self.optimizer}/updates"])

    @property
    def rate(self) -> float:
        """The learning rate of this update."""
        return learning_rates(self.config.optimizer, self.step, self.steps)[self.optimizer == "g_optimizer"]

    def slot(self, kind: str) -> str:
        """The name of the parameter's slot."""
        return f"{self.optimizer}/{kind}/{self.parameter}"


def solved(target: Array, direction: Array, wanted: float) -> float | None:
    """The factor by which ``direction`` gives ``target``; None if there is none, or if ``wanted`` does it as well."""
    size = float(np.sum(direction * direction))
    if not np.isfinite(size) or size < TINY or not np.isfinite(target).all():
        return None
    factor = float(np.sum(target * direction)) / size
    return factor if explains(target, factor * direction, wanted * direction) else None


def explains(target: Array, found: Array, usual: Array) -> bool:
    """Whether ``found`` explains the difference between ``target`` and ``usual`` (see :data:`REST`)."""
    return bool(np.linalg.norm(target - found) < REST * np.linalg.norm(target - usual))
