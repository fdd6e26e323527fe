"""What the rungs of training share: two trainers of one configuration, run side by side once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from parity.checks.climbing import Stopped
from parity.systems.training import drawn_data, lockstep, trajectories
from parity.systems.training.first_difference import First, first
from parity.systems.training.implementations import KERAS, TORCH, Implementation
from parity.systems.training.lockstep import Trajectory
from parity.systems.training.network_causes import may_follow_from_networks, network_findings
from parity.systems.training.noise import cancelled, owner
from parity.systems.training.trajectories import Series
from parity.verdict import Finding, UnusableInput, first_line
from shared_impl.config.schema import Config
from shared_impl.data.moments import Moments


class TrainerStopped(Stopped):
    """The port's trainer raised an error; the text says which."""

    layer = "trainer"


WIDTHS = ("nz", "dim", "ngf", "ndf")
RESUMED = 5  # steps that a run takes after it has been stopped and resumed


@dataclass
class ReferenceRuns:
    """The reference's trainer under a configuration and its two runs, made on first use and once for all ports."""

    config: Config
    implementation: Implementation = KERAS

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
        """Spectrogram moments of the drawn clips, measured by the reference; None for images."""
        return drawn_data.moments(self.config, self.implementation.log_magnitude)

    @cached_property
    def trainer(self) -> Any:
        """The reference's trainer."""
        return self.implementation.build(self.config, self.steps, self.moments)

    @cached_property
    def expected(self) -> Trajectory:
        """The reference's run.

        Raises UnusableInput if it fails.
        """
        try:
            return lockstep.run(self.implementation, self.trainer, self.config, range(self.steps), keep=self.stop)
        except Exception as error:
            raise UnusableInput(f"the reference does not train: {first_line(error)}") from error

    @cached_property
    def nudged(self) -> Trajectory:
        """The reference's run from weights moved by rounding."""
        start = lockstep.nudged(self.expected.states[0], self.config.training.seed)
        self.implementation.restore(self.trainer, start)
        return lockstep.run(self.implementation, self.trainer, self.config, range(self.steps))


@dataclass
class TrainingContext:
    """A port's trainer beside the reference's, under one configuration in float64 (or bfloat16).

    A run that was stopped is resumed by a ``fresh`` trainer, as in another process, or by the trainer that ran to the
    end: an array that is not restored has its initial value in the former, its last value in the latter.
    """

    reference_runs: ReferenceRuns
    port: Implementation = TORCH
    fresh: bool = True
    _expected: Trajectory | None = field(default=None, init=False)
    _got: Trajectory | Stopped | None = field(default=None, init=False)

    @property
    def config(self) -> Config:
        """The configuration."""
        return self.reference_runs.config

    @property
    def reference(self) -> Implementation:
        """The implementation that the port is compared with."""
        return self.reference_runs.implementation

    @property
    def steps(self) -> int:
        """How many steps are taken."""
        return self.reference_runs.steps

    @property
    def stop(self) -> int:
        """The step after which a run is stopped and resumed."""
        return self.reference_runs.stop

    @property
    def moments(self) -> Moments | None:
        """Spectrogram moments of the drawn clips; None for images."""
        return self.reference_runs.moments

    @property
    def expected(self) -> Trajectory:
        """The reference's run; UnusableInput if it fails."""
        if self._expected is None:
            self._expected = self.reference_runs.expected
        return self._expected

    @property
    def got(self) -> Trajectory:
        """The port's run; :class:`TrainerStopped` if it fails."""
        if self._got is None:
            try:
                trainer = self.trainer(self.port)
                self._got = lockstep.run(self.port, trainer, self.config, range(self.steps), keep=self.stop)
            except Exception as error:
                self._got = TrainerStopped(f"the port does not train to its end: {first_line(error)}")
                raise self._got from error
        if isinstance(self._got, Stopped):
            raise self._got
        return self._got

    @property
    def nudged(self) -> Trajectory:
        """The reference's run from weights moved by rounding."""
        return self.reference_runs.nudged

    def run(self, implementation: Implementation) -> Trajectory:
        """That implementation's run."""
        return self.expected if implementation is self.reference else self.got

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
        """Arrays that rounding alone moves as far as training does, or that training does not move, each with the known
        reason.
        """
        reasons = cancelled(self.config)
        return {
            name: reasons[owner(name)]
            for name, series in self.states.items()
            if owner(name) in reasons and (series.blurred(self.steps) or not series.moved[-1])
        }

    @property
    def trained(self) -> bool:
        """Whether any rung has compared training runs."""
        return self._expected is not None

    @property
    def port_trains(self) -> bool:
        """Whether the port's run comes to its end; it is made if no rung has."""
        try:
            return bool(self.got)
        except Stopped:
            return False

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
        """The arrays whose training differs from rounding."""
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

    @cached_property
    def causes(self) -> list[Finding]:
        """The findings on the first difference: those on the networks where these differ, and its own otherwise."""
        if self.first is None:
            return []
        own = self.first.finding
        found = network_findings(self, own.rung) if may_follow_from_networks(own) else []
        if not found:
            return [own]
        when = f"step {self.first.step}" if self.first.step else "the start"
        message = f"{found[0].message}; training first shows it at {when}: {self.first.name}"
        return [replace(found[0], message=message), *found[1:]]

    def build(self, implementation: Implementation) -> Any:
        """A fresh trainer."""
        return implementation.build(self.config, self.steps, self.moments)

    def updates(self, implementation: Implementation, step: int) -> list[lockstep.Arrays]:
        """The states before each update of D in step ``step`` (from 0), and the one after it."""
        return lockstep.updates(
            implementation, self.trainer(implementation), self.config, step, self.run(implementation).states[step]
        )

    def trainer(self, implementation: Implementation) -> Any:
        """The implementation's trainer, built once."""
        return self.reference_runs.trainer if implementation is self.reference else self._port_trainer

    @cached_property
    def _port_trainer(self) -> Any:
        return self.build(self.port)
