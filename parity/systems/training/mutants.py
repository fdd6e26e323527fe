"""Trainers broken on purpose, one fault each: the rungs of training must catch them at the right place and by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.systems.training.implementations import Implementation, TorchTrainer
from shared_impl.config.schema import Config
from shared_impl.data.moments import Moments
from torch_impl.checkpoints import restore
from torch_impl.trainer import Inputs

Array = np.ndarray
Fault = Callable[[Implementation], Implementation]


@dataclass(frozen=True)
class TrainingMutant:
    """The port of ``pair`` (command-line words), given ``fault``, must fail ``rung`` at ``layer``, named ``kind``.

    ``layer`` is an array of the state in Keras's names, a loss or a kind of data; ``besides`` as in
    :class:`parity.systems.mutants.Mutant`.
    """

    name: str
    pair: str
    layer: str
    fault: Fault
    rung: str
    kind: str
    besides: frozenset[str] = frozenset()
    shows: str = ""


def configured(**sections: Mapping[str, Any]) -> Fault:
    """A fault: the port trains under another configuration, ``configured(optimizer={"beta1": 0.9})``."""

    def broken(implementation: Implementation) -> Implementation:
        def build(config: Config, steps: int, moments: Moments | None) -> Any:
            changed = {name: getattr(config, name).model_copy(update=fields) for name, fields in sections.items()}
            return implementation.build(config.model_copy(update=changed), steps, moments)

        return replace(implementation, build=build)

    return broken


def trained_by(trainer: Callable[[Config, int, Moments | None], Any]) -> Fault:
    """A fault: the port has another trainer."""
    return lambda implementation: replace(implementation, build=trainer)


def in_processes(trainer: str) -> Fault:
    """A fault: the port's other processes have another trainer, named ``MODULE:CLASS``."""
    return lambda implementation: replace(implementation, trainer=trainer)


class SwappedRates(TorchTrainer):
    """Gives each network the other's learning rate."""

    def joint_step(self, inputs: Inputs, lr_d: float, lr_g: float) -> dict[str, Tensor]:
        """One update of each, at the wrong rates."""
        return super().joint_step(inputs, lr_g, lr_d)


class ReusedMixing(TorchTrainer):
    """Mixes real and fake by the first update's weights in every update of a step."""

    def draw_inputs(self, step: int, update: int) -> Inputs:
        """The inputs of an update, with its fault."""
        return super().draw_inputs(step, update)._replace(alpha=super().draw_inputs(step, 0).alpha)


class NoiseForDAlone(TorchTrainer):
    """Has D judge G's fakes without instance noise when G learns."""

    def generator_step(self, inputs: Inputs, lr: float, made: Tensor | None = None) -> dict[str, Tensor]:
        """One update of G, by a D that sees more than it has learnt from."""
        return super().generator_step(inputs._replace(noise=torch.zeros_like(inputs.noise)), lr, made)


class LateSchedule(TorchTrainer):
    """Takes each learning rate one step late."""

    now = 0

    def step(self, step: int, batches: Iterator[dict[str, Array]]) -> dict[str, Tensor]:
        """The step's draws at the rate of the step before."""
        self.now = step
        return super().step(max(step - 1, 0), batches)

    def draw_inputs(self, step: int, update: int) -> Inputs:
        """The inputs of an update, with its fault."""
        return super().draw_inputs(self.now, update)


def forgets_average(implementation: Implementation) -> Implementation:
    """A port that saves the moving average and does not restore it."""

    def partly(trainer: Any, arrays: Mapping[str, Array]) -> None:
        kept = {name: tensor.clone() for name, tensor in trainer.ema.state_dict().items()}
        restore(trainer, arrays)
        trainer.ema.load_state_dict(kept)

    return replace(implementation, restore=partly)


def swaps_moments(implementation: Implementation) -> Implementation:
    """A port whose first and second moments are exchanged when a state is converted."""

    def converted(arrays: Mapping[str, Array], config: Config) -> dict[str, Array]:
        other = {"/m/": "/v/", "/v/": "/m/"}
        found = implementation.from_reference(arrays, config)
        places = {name: next((name.replace(a, b) for a, b in other.items() if a in name), name) for name in found}
        return {name: found[places[name]] for name in found}

    return replace(implementation, from_reference=converted)


def symmetric_window(implementation: Implementation) -> Implementation:
    """A port whose Hann window ends on a zero, as windows for filters do and those of spectra do not."""

    def log_magnitude(clips: Array, frame: int, hop: int) -> Array:
        window = torch.hann_window(frame, periodic=False, dtype=torch.float64)
        padded = torch.nn.functional.pad(torch.from_numpy(clips).double(), (0, frame - hop))
        transform = torch.stft(padded, frame, hop, window=window, center=False, return_complex=True)
        return torch.log(transform.abs() + 1e-6).mT.numpy()

    return replace(implementation, log_magnitude=log_magnitude)


STEPS = " training.steps=4"
LASTING = frozenset({"training"})
MUTANTS = [
    TrainingMutant(
        "epsilon's place", "dcgan.training optimizer.epsilon_place=torch" + STEPS, "discriminator/output/kernel",
        configured(optimizer={"epsilon_place": "tensorflow"}), "step", "optimizer-epsilon", LASTING,
    ),
    TrainingMutant(
        "rates swapped", "dcgan.training optimizer.lr_g=0.0004" + STEPS, "discriminator/output/kernel",
        trained_by(SwappedRates), "step", "learning-rate", LASTING,
    ),
    TrainingMutant(
        "mixing weights reused", "specgan.training training.d_updates=2" + STEPS, "penalty",
        trained_by(ReusedMixing), "step", "penalty", LASTING,
    ),
    TrainingMutant(
        "noise for D alone", "specgan.training training.instance_noise=0.3" + STEPS, "g_loss",
        trained_by(NoiseForDAlone), "step", "loss", LASTING,
    ),
    TrainingMutant(
        "schedule a step late", "dcgan.training optimizer.schedule=cosine" + STEPS, "discriminator/output/kernel",
        trained_by(LateSchedule), "training", "learning-rate",
    ),
    TrainingMutant(
        "average forgotten", "dcgan.training training.ema=0.9" + STEPS, "ema/upconv_0/kernel",
        forgets_average, "checkpoint", "checkpoint-incomplete",
    ),
    TrainingMutant(
        "moments swapped across", "dcgan.training" + STEPS, "state", swaps_moments, "checkpoint", "checkpoint-crossing"
    ),
    TrainingMutant("symmetric window", "specgan.training" + STEPS, "stft", symmetric_window, "data", "stft"),
    TrainingMutant(
        "gradients kept apart", "dcgan.training" + STEPS, "generator/upconv_0/kernel",
        in_processes("parity.systems.distribution.mutants:Unshared"), "distribution", "gradient-average",
    ),
]  # fmt: skip
