"""The runs in one process that an engine is held against: of its own framework's trainer, exact and from weights moved
by rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any

import tensorflow as tf

from parity.systems import frameworks
from parity.systems.distribution.device_runs import Job
from parity.systems.distribution.unsynchronised import slice_statistics
from parity.systems.training import lockstep
from parity.systems.training.context import TrainerStopped, TrainingContext
from parity.systems.training.implementations import KERAS, TORCH, Implementation
from parity.systems.training.lockstep import Arrays, Trajectory
from parity.verdict import UnusableInput, first_line
from shared_impl.config.schema import Config
from shared_impl.data.moments import Moments

STOCK = {implementation.trainer: implementation for implementation in (KERAS, TORCH)}


@dataclass(frozen=True)
class OneProcess:
    """Both runs, over the steps that engines take."""

    exact: Trajectory
    nudged: Trajectory


class OwnProcesses:
    """One process of each framework, run when it is first asked for.

    It runs the very trainer that the processes of an engine run, and so an engine is never blamed for what that trainer
    does otherwise than the other framework's, or than the port whose single steps other rungs judge.
    """

    def __init__(self, context: TrainingContext, job: Job) -> None:
        self.context, self.job = context, job
        self._found: dict[str, OneProcess] = {}

    def implementation(self, framework: str) -> Implementation:
        """The implementation of this framework."""
        return self.context.port if framework == "torch" else self.context.reference

    def run(self, framework: str) -> OneProcess:
        """The framework's runs in one process.

        Raises TrainerStopped if the port's fails, UnusableInput if the reference's does.
        """
        if framework not in self._found:
            self._found[framework] = self._run(self.implementation(framework))
        return self._found[framework]

    def normalised_apart(self, framework: str, slices: int) -> Arrays:
        """The state after the first steps of one process whose batch norm takes so many parts of a batch separately."""
        own = _built_as_engines_do(self.implementation(framework))
        with _operation_by_operation():
            trainer = slice_statistics(self._build(own), slices)
            return lockstep.run(own, trainer, self.context.config, range(self.job.first_steps)).states[-1]

    def _run(self, asked: Implementation) -> OneProcess:
        context, own = self.context, _built_as_engines_do(asked)
        if own is asked and own is context.reference:
            return OneProcess(context.expected, context.nudged)
        steps = range(self.job.first_steps + 1)
        if own is asked:
            trainer, exact = context.trainer(own), context.got
        else:
            try:
                trainer = self._build(own)
                exact = lockstep.run(own, trainer, context.config, steps)
            except Exception as error:
                kind = UnusableInput if asked is context.reference else TrainerStopped
                raise kind(f"{own.trainer} does not train in one process: {first_line(error)}") from error
        start = lockstep.nudged(exact.states[0], context.config.training.seed)
        own.restore(trainer, own.from_reference(start, context.config))
        return OneProcess(exact, lockstep.run(own, trainer, context.config, steps))

    def _build(self, own: Implementation) -> Any:
        return own.build(self.context.config, self.context.steps, self.context.moments)


def _built_as_engines_do(implementation: Implementation) -> Implementation:
    """The implementation with the trainer that its engines' processes build; itself if that is its own."""
    stock = STOCK.get(implementation.trainer)
    build = stock.build if stock is not None else partial(_build, implementation.trainer)
    return implementation if implementation.build is build else replace(implementation, build=build)


def _build(name: str, config: Config, steps: int, moments: Moments | None) -> Any:
    """A trainer of the class ``MODULE:CLASS``, on the CPU."""
    module, _, kind = name.partition(":")
    distribution = config.distribution.model_copy(update={"devices": "cpu"})
    with tf.device("CPU"):
        trainer = getattr(import_module(module), kind)
        return trainer(config.model_copy(update={"distribution": distribution}), steps, moments)


@contextmanager
def _operation_by_operation() -> Iterator[None]:
    """TensorFlow traces nothing within: that takes longer than so few steps do."""
    frameworks.trace(False)
    try:
        yield
    finally:
        frameworks.trace(True)
