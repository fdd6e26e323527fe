"""Both houses' trainers take a record's steps: from its weights, on its batches, latents and mixing weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

import tf_impl.checkpoints
import torch_impl.checkpoints
from common.config import checked
from common.moments import Moments
from common.schema import Config
from parity.convert import to_keras, to_torch
from parity.golden import draws
from parity.golden.networks import Arrays, fill, fill_port, port_values, values
from parity.golden.records import DCGANSetting, Record, SpecGANTrainingSetting
from tf_impl.trainer import Trainer as KerasTrainer
from torch_impl.trainer import Trainer as TorchTrainer

NETWORKS = ("generator", "discriminator")


class Replay(NamedTuple):
    """Which networks moved, one after the other, and the quantities of the record."""

    order: list[str]
    arrays: Arrays


def specgan_training(
    record: Record, name: str, setting: SpecGANTrainingSetting
) -> tuple[dict[str, Replay], Iterator[Arrays]]:
    """By framework ``G_loss``, ``D_loss`` and ``final/VARIABLE`` of a run in float64; and float32 runs without end.

    The float32 runs are torch's: samples of what rounding can do to this run. The first starts from the weights as
    drawn, each other one from the weights of the one before, nudged to neighbouring float32 numbers. Raises
    UnusableInput where the listed variables are not those of the networks.
    """
    fed, moments = draws.specgan_updates(setting), _moments(setting)
    config = _specgan_config(setting, "float64")
    ours = KerasTrainer(config, setting.loops, moments)
    fill(record, name, "G", ours.generator, setting.generator_variables, setting.seed)
    fill(record, name, "D", ours.discriminator, setting.discriminator_variables, setting.seed + 1)
    start = to_torch(_weights(tf_impl.checkpoints.state(ours)), config)
    played = {"Keras": _played(ours, fed)}
    played["Keras"].arrays.update(_finals(ours))

    def port(precision: str, weights: Arrays) -> Replay:
        trainer = TorchTrainer(_specgan_config(setting, precision), setting.loops, moments)
        torch_impl.checkpoints.restore(trainer, torch_impl.checkpoints.state(trainer) | weights)
        run = _played(trainer, fed)
        tf_impl.checkpoints.restore(ours, to_keras(torch_impl.checkpoints.state(trainer), config))
        run.arrays.update(_finals(ours))
        return run

    def rounded() -> Iterator[Arrays]:
        rs, weights = np.random.RandomState(setting.seed), start
        while True:
            yield port("float32", weights).arrays
            weights = {key: _nudged(value, rs) for key, value in weights.items()}

    played["torch"] = port("float64", start)
    return played, rounded()


def dcgan_training(record: Record, setting: DCGANSetting) -> dict[str, Arrays]:
    """By framework ``loss_D``, ``loss_G`` and ``final/PARAMETER`` of a run in float64.

    Keras counts no batches. Raises UnusableInput where the listed parameters are not those of the networks.
    """
    fed = draws.dcgan_updates(setting)
    config = _dcgan_config(setting)
    port = TorchTrainer(config, setting.steps)
    fill_port(record, "generator", port.generator, setting.generator_parameters, setting.seed)
    fill_port(record, "discriminator", port.discriminator, setting.discriminator_parameters, setting.seed + 1)
    start = to_keras(_weights(torch_impl.checkpoints.state(port)), config)
    played = {"torch": _stepped(port, fed) | _port_finals(port)}
    ours = KerasTrainer(config, setting.steps)
    tf_impl.checkpoints.restore(ours, tf_impl.checkpoints.state(ours) | start)
    losses = _stepped(ours, fed)
    torch_impl.checkpoints.restore(port, to_torch(tf_impl.checkpoints.state(ours), config))
    finals = {key: value for key, value in _port_finals(port).items() if not key.endswith("num_batches_tracked")}
    return {"Keras": losses | finals, **played}


def _played(trainer: Any, fed: draws.Fed) -> Replay:
    """Take all steps; the losses are those before each update is applied."""
    order: list[str] = []
    losses: dict[str, list[float]] = {"D_loss": [], "G_loss": []}
    move_discriminator, move_generator = trainer.update_discriminator, trainer.update_generator

    def keep(network: str, metrics: Mapping[str, Any]) -> Mapping[str, Any]:
        order.append(network)
        losses["D_loss"].append(float(metrics["d_loss"]))
        losses["G_loss"].append(float(metrics["g_loss"]))
        return metrics

    def update_discriminator(real: Any, z: Any, alpha: Any, lr: Any) -> Mapping[str, Any]:
        _, aside = trainer._slope(trainer._generated(z)[0])
        return keep("D", aside | move_discriminator(real, z, alpha, lr))

    def update_generator(z: Any, lr: Any) -> Mapping[str, Any]:
        turn = len(order) % len(fed.z)
        real, alpha = trainer.prepare(fed.real[turn]), trainer._tensor(fed.alpha[turn])
        _, aside = trainer._d_gradients(real, trainer._generated(z)[0], alpha)
        return keep("G", aside | move_generator(z, lr))

    trainer.draws = fed
    trainer.update_discriminator, trainer.update_generator = update_discriminator, update_generator
    batches = fed.batches()
    for step in range(trainer.steps):
        trainer.step(step, batches)
    return Replay(order, {key: np.array(taken) for key, taken in losses.items()})


def _stepped(trainer: Any, fed: draws.Fed) -> Arrays:
    """Take all steps, of one update of each network; the losses are those that the trainer reports."""
    trainer.draws = fed
    batches = fed.batches()
    taken = [trainer.step(step, batches) for step in range(trainer.steps)]
    losses = {"loss_D": "d_loss", "loss_G": "g_loss"}
    return {key: np.array([float(metrics[ours]) for metrics in taken]) for key, ours in losses.items()}


def _finals(trainer: KerasTrainer) -> Arrays:
    found = values("G", trainer.generator) | values("D", trainer.discriminator)
    return {f"final/{variable}": value for variable, value in found.items()}


def _port_finals(trainer: TorchTrainer) -> Arrays:
    found = port_values("G", trainer.generator) | port_values("D", trainer.discriminator)
    return {f"final/{parameter}": value for parameter, value in found.items()}


def _weights(state: Arrays) -> Arrays:
    """What a state says of the networks; each optimiser begins as its own house has it."""
    return {name: value for name, value in state.items() if name.partition("/")[0] in NETWORKS}


def _nudged(value: np.ndarray, rs: np.random.RandomState) -> np.ndarray:
    """Each float32 number one up, one down or as it is."""
    single = value.astype(np.float32)
    return np.nextafter(single, single + rs.randint(-1, 2, single.shape).astype(np.float32))


def _moments(setting: SpecGANTrainingSetting) -> Moments:
    mean, std = (moment.astype(np.float64) for moment in draws.specgan_moments(setting))
    return Moments(mean, np.square(std))


def _specgan_config(setting: SpecGANTrainingSetting, precision: str) -> Config:
    """The optimiser is the one that the loss recommends, as in ``train()`` of ``train_specgan.py``."""
    return _config({
        "model": {"system": "specgan", "nz": setting.latent, "dim": setting.dim},
        "loss": {"kind": setting.loss},
        "training": {
            "steps": setting.loops,
            "batch_size": setting.batch,
            "d_updates": setting.disc_nupdates,
            "precision": precision,
        },
    })  # fmt: skip


def _dcgan_config(setting: DCGANSetting) -> Config:
    return _config({
        "model": {"system": "dcgan", "nz": setting.latent, "ngf": setting.gf, "ndf": setting.df, "nc": setting.ch},
        "loss": {"kind": "dcgan"},
        "training": {"steps": setting.steps, "batch_size": setting.batch, "precision": "float64"},
    })  # fmt: skip


def _config(options: dict[str, Any]) -> Config:
    return checked(Config, options, "golden record")
