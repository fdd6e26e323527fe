"""A pair of trainers of the project: one configuration, narrowed, trained in both frameworks. Imports no framework.

Training is an algorithm, not a width: networks are made narrow and batches small, unless an override says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parity.systems.training.registry import TRAINING
from parity.verdict import UnusableInput
from shared_impl.config.presets import ConfigError, load
from shared_impl.config.schema import Config

if TYPE_CHECKING:
    from parity.verdict import Verdict

STEPS = 20
BRIEF = 6  # steps of a variant, half of them once more after a resumption
# The most that a run here has of each; enough for batch statistics, several updates of D, and every layer.
SIZES = {"model.nz": 16, "model.dim": 2, "model.ngf": 8, "model.ndf": 8, "training.d_updates": 2}
COMPARED = {"float32": "float64"}  # after some steps float32 is chaotic: 2e-2 apart after 20 with the same formulas


@dataclass(frozen=True)
class TrainingPair:
    """Both trainers of one configuration.

    ``brief`` pairs take fewer steps, and resume in the trainers that ran to the end; those with a moving average
    resume in fresh trainers, except for growing networks (tests/implementations/test_growing.py stops those).
    ``registered``: whether the name alone selects the pair.
    """

    name: str
    system: str
    preset: str
    overrides: tuple[str, ...] = ()
    network: str = "training"
    mirrored: bool = False
    rungs: tuple[str, ...] = TRAINING
    brief: bool = False
    registered: bool = False

    @property
    def is_variant(self) -> bool:
        """Whether the pair is an option rather than the recommended configuration."""
        return ":" in self.name

    def config(self, seed: int = 0) -> Config:
        """The configuration, narrowed, in float64 unless it asks for bfloat16.

        Raises UnusableInput for an invalid configuration.
        """
        overridden = {override.partition("=")[0].strip() for override in self.overrides}
        try:
            asked = load(self.preset, self.overrides)
            settings = {"training.seed": seed, "training.steps": BRIEF if self.brief else STEPS} | _narrowing(asked)
            own = [f"{name}={value}" for name, value in settings.items() if name not in overridden]
            precision = f"training.precision={COMPARED.get(asked.training.precision, asked.training.precision)}"
            return load(self.preset, [*self.overrides, *own, precision])
        except ConfigError as error:
            raise UnusableInput(str(error)) from error

    def verify(
        self,
        *,
        rungs: Iterable[str] | None = None,
        seed: int = 0,
        progress: Callable[[str], None] | None = None,
    ) -> Verdict:
        """This pair's verdict."""
        from parity.systems.training.verification import verify_training

        config = self.config(seed)
        averaged = config.training.ema is not None and not config.model.stages
        fresh = averaged or not self.brief
        verdict = verify_training(config, rungs=rungs or self.rungs, name=self.name, progress=progress, fresh=fresh)
        verdict.command = " ".join(["parity verify", *self.arguments, *([f"--seed {seed}"] if seed else [])])
        return verdict

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command-line words that select this pair."""
        return (self.name,) if self.registered else (f"{self.preset}.{self.network}", *self.overrides)


def _narrowing(asked: Config) -> dict[str, object]:
    """The settings that narrow a configuration: sizes and batch."""
    portions = asked.training.accumulation
    found: dict[str, object] = {"training.batch_size": max(4, 2 * portions)}
    for name, most in SIZES.items():
        section, _, field = name.partition(".")
        value = getattr(getattr(asked, section), field, 0)
        if value > most:
            found[name] = most
    return found
