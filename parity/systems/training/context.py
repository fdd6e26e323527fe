"""What the rungs of training share: two trainers of one configuration, run side by side once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from parity.checks.climbing import Stopped
from parity.systems.training import drawn_data, lockstep, trajectories
from parity.systems.training.first_difference import First, first
from parity.systems.training.implementations import KERAS, TORCH, Implementation
from parity.systems.training.lockstep import Trajectory
from parity.systems.training.noise import cancelled, owner
from parity.systems.training.trajectories import Series
from parity.verdict import UnusableInput, first_line
from shared_impl.config.schema import Config
from shared_impl.data.moments import Moments

WIDTHS = ("nz", "dim", "ngf", "ndf")
RESUMED = 5  # steps that a run takes after it has been stopped and resumed


@dataclass
class TrainingContext:
    """A configuration in float64 (or bfloat16), and the implementations that train it for ``training.steps`` steps.

    A run that was stopped is resumed by a ``fresh`` trainer, as in another process, or by the one that ran on to the
    end: what is not restored is of the beginning there, of the end here.
    """

    config: Config
    reference: Implementation = KERAS
    port: Implementation = TORCH
    fresh: bool = True
    trainers: dict[str, Any] = field(default_factory=dict, init=False)

    @property
    def steps(self) -> int:
        """How many steps are taken."""
        assert self.config.training.steps is not None
        return self.config.training.steps

    @property
    def stop(self) -> int:
        """The step after which a run is stopped and resumed."""
        return max(self.steps - RESUMED, self.steps // 2)

    @cached_property
    def moments(self) -> Moments | None:
        """Of the drawn clips, measured once, by the reference."""
        return drawn_data.moments(self.config, self.reference.log_magnitude)

    @cached_property
    def expected(self) -> Trajectory:
        """The reference's run.

        Raises UnusableInput if it does not come to its end.
        """
        try:
            return self._taken(self.reference)
        except Exception as error:
            raise UnusableInput(f"the reference does not train: {first_line(error)}") from error

    @cached_property
    def got(self) -> Trajectory:
        """The port's run; :class:`Stopped` if it does not come to its end."""
        try:
            return self._taken(self.port)
        except Exception as error:
            raise Stopped(f"the port does not train to its end: {first_line(error)}") from error

    def run(self, implementation: Implementation) -> Trajectory:
        """That implementation's run."""
        return self.expected if implementation is self.reference else self.got

    @cached_property
    def nudged(self) -> Trajectory:
        """The reference's run from weights moved by rounding."""
        trainer = self.trainer(self.reference)
        start = lockstep.nudged(self.expected.states[0], self.config.training.seed)
        self.reference.restore(trainer, start)
        return lockstep.run(self.reference, trainer, self.config, range(self.steps))

    @cached_property
    def losses(self) -> dict[str, Series]:
        """Distances of the losses, a step each."""
        return trajectories.losses(self.expected.losses, self.got.losses, self.nudged.losses)

    @cached_property
    def states(self) -> dict[str, Series]:
        """Distances of every array of the state, index 0 being the start."""
        return trajectories.states(self.expected.states, self.got.states, self.nudged.states)

    @cached_property
    def noise(self) -> dict[str, str]:
        """Arrays that rounding alone moves as far as training does, or that stay where they are, for a known reason."""
        reasons = cancelled(self.config)
        return {
            name: reasons[owner(name)]
            for name, series in self.states.items()
            if owner(name) in reasons and (series.blurred(self.steps) or not series.moved[-1])
        }

    @property
    def ran(self) -> bool:
        """Whether any rung has trained."""
        return "expected" in vars(self)

    @property
    def stopped(self) -> bool:
        """Whether the port did not come to the end of its run."""
        return "got" not in vars(self)

    @property
    def exact(self) -> bool:
        """Whether everything is computed in float64."""
        return self.config.training.precision == "float64"

    @property
    def conditions(self) -> str:
        """What is trained, in one line."""
        sizes = ", ".join(
            f"{name}={getattr(self.config.model, name)}" for name in WIDTHS if hasattr(self.config.model, name)
        )
        return f"{sizes}, batch {self.config.training.batch_size}, {self.config.training.precision}"

    @property
    def judged(self) -> dict[str, Series]:
        """The arrays that can be told from rounding."""
        return {
            name: series
            for name, series in self.states.items()
            if name not in self.noise and not series.blurred(self.steps)
        }

    @cached_property
    def lacking(self) -> list[str]:
        """Arrays of the state that one side alone has."""
        return sorted(self.expected.states[0].keys() ^ self.got.states[0].keys())

    @cached_property
    def first(self) -> First | None:
        """The first thing that differs, if anything does."""
        return first(self)

    def build(self, implementation: Implementation) -> Any:
        """A fresh trainer."""
        return implementation.build(self.config, self.steps, self.moments)

    def updates(self, implementation: Implementation, step: int) -> list[lockstep.Arrays]:
        """The states before each update of D in step ``step`` (from 0), and the one after it."""
        return lockstep.updates(
            implementation, self.trainer(implementation), self.config, step, self.run(implementation).states[step]
        )

    def _taken(self, implementation: Implementation) -> Trajectory:
        return lockstep.run(
            implementation, self.trainer(implementation), self.config, range(self.steps), keep=self.stop
        )

    def trainer(self, implementation: Implementation) -> Any:
        """The implementation's trainer, built once."""
        if implementation.name not in self.trainers:
            self.trainers[implementation.name] = self.build(implementation)
        return self.trainers[implementation.name]
