"""Both implementations' trainers take a record's steps: from its weights, on its batches, latents and mixing weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from parity.systems.golden import draws
from parity.systems.golden.networks import Arrays, fill, fill_port, port_values
from parity.systems.golden.records import DCGANSetting, Record, SpecGANTrainingSetting
from parity.systems.golden.results import relative_gap
from parity.systems.training.implementations import KERAS, TORCH, Implementation
from shared_impl.config.presets import checked
from shared_impl.config.schema import Config
from shared_impl.data.moments import Moments

NETWORKS = {"G": "generator", "D": "discriminator"}


class Replay(NamedTuple):
    """Which networks moved, one after the other, and the quantities of the record."""

    order: list[str]
    arrays: Arrays


def specgan_training(
    record: Record, name: str, setting: SpecGANTrainingSetting
) -> tuple[dict[str, Replay], Iterator[Arrays]]:
    """By framework ``G_loss``, ``D_loss`` and ``final/VARIABLE`` of a run in float64; and, without end, how far float32
    runs are from it, as :func:`parity.systems.golden.results.relative_gap` has it: samples of what rounding can do.

    Of these the first is torch's and the second Keras's, both from the weights as drawn. The others are torch's from
    weights moved to neighbouring float32 numbers, once, then twice, four, eight times more, and so on: a float32 sum of
    n products is the exact one of numbers that are up to n roundings off (Higham 2002, section 3.1), and here n is in
    the hundreds. Raises UnusableInput where the listed variables are not those of the networks.
    """
    fed, moments = draws.specgan_updates(setting), _moments(setting)
    drawn = KERAS.build(_specgan_config(setting, "float64"), setting.loops, moments)
    fill(record, name, "G", drawn.generator, setting.generator_variables, setting.seed)
    fill(record, name, "D", drawn.discriminator, setting.discriminator_variables, setting.seed + 1)
    start = _weights(KERAS.state(drawn))
    variables = [variable for variable, _ in setting.generator_variables + setting.discriminator_variables]

    def run(implementation: Implementation, precision: str, weights: Arrays) -> Replay:
        config = _specgan_config(setting, precision)
        trainer = _begun(implementation, config, weights, moments)
        order, losses = _played(trainer, fed)
        left = implementation.to_reference(implementation.state(trainer), config)
        return Replay(order, losses | {f"final/{variable}": left[_ours(variable)] for variable in variables})

    played = {implementation.name: run(implementation, "float64", start) for implementation in (KERAS, TORCH)}

    def gaps(implementation: Implementation, weights: Arrays) -> Arrays:
        single, exact = run(implementation, "float32", weights).arrays, played[implementation.name].arrays
        return {key: relative_gap(single[key], exact[key]) for key in exact}

    def rounded() -> Iterator[Arrays]:
        yield gaps(TORCH, start)
        yield gaps(KERAS, start)
        rs, weights = np.random.RandomState(setting.seed), start
        for doublings in count():
            for _ in range(2**doublings):
                weights = {key: _nudged(value, rs) for key, value in weights.items()}
            yield gaps(TORCH, weights)

    return played, rounded()


def dcgan_training(record: Record, setting: DCGANSetting) -> dict[str, Arrays]:
    """By framework ``loss_D``, ``loss_G`` and ``final/PARAMETER`` of a run in float64.

    Keras counts no batches. Raises UnusableInput where the listed parameters are not those of the networks.
    """
    fed, config = draws.dcgan_updates(setting), _dcgan_config(setting)
    port = TORCH.build(config, setting.steps, None)
    fill_port(record, "generator", port.generator, setting.generator_parameters, setting.seed)
    fill_port(record, "discriminator", port.discriminator, setting.discriminator_parameters, setting.seed + 1)
    ours = _begun(KERAS, config, _weights(TORCH.to_reference(TORCH.state(port), config)), None)
    losses = {"Keras": _stepped(ours, fed), "torch": _stepped(port, fed)}
    finals = {"torch": _port_finals(port)}
    TORCH.restore(port, TORCH.from_reference(KERAS.state(ours), config))
    finals["Keras"] = {k: v for k, v in _port_finals(port).items() if not k.endswith("num_batches_tracked")}
    return {framework: losses[framework] | finals[framework] for framework in losses}


def _begun(implementation: Implementation, config: Config, weights: Arrays, moments: Moments | None) -> Any:
    """A trainer with the weights of Keras's names; its optimisers begin as the implementation has it."""
    trainer = implementation.build(config, config.training.steps or 0, moments)
    implementation.restore(trainer, implementation.state(trainer) | implementation.from_reference(weights, config))
    return trainer


def _played(trainer: Any, fed: draws.Fed) -> tuple[list[str], Arrays]:
    """Take all steps; the losses are those before each update is applied."""
    order: list[str] = []
    losses: dict[str, list[float]] = {"D_loss": [], "G_loss": []}
    move_discriminator, move_generator = trainer.update_discriminator, trainer.update_generator

    def keep(network: str, metrics: Mapping[str, Any]) -> Mapping[str, Any]:
        order.append(network)
        losses["D_loss"].append(float(metrics["d_loss"]))
        losses["G_loss"].append(float(metrics["g_loss"]))
        return metrics

    def update_discriminator(real: Any, drawn: Any, lr: Any) -> Mapping[str, Any]:
        _, aside = trainer._slope(trainer._generated(drawn), drawn)
        return keep("D", aside | move_discriminator(real, drawn, lr))

    def update_generator(drawn: Any, lr: Any) -> Mapping[str, Any]:
        turn = len(order) % len(fed.z)
        given = drawn._replace(alpha=trainer._tensor(fed.alpha[turn]))
        _, aside = trainer._d_loss(trainer.prepare(fed.real[turn]), trainer._generated(drawn), given)
        return keep("G", aside | move_generator(drawn, lr))

    trainer.draws = fed
    trainer.update_discriminator, trainer.update_generator = update_discriminator, update_generator
    batches = fed.batches()
    for step in range(trainer.steps):
        trainer.step(step, batches)
    return order, {key: np.array(taken) for key, taken in losses.items()}


def _stepped(trainer: Any, fed: draws.Fed) -> Arrays:
    """Take all steps, of one update of each network; the losses are those that the trainer reports."""
    trainer.draws = fed
    batches = fed.batches()
    taken = [trainer.step(step, batches) for step in range(trainer.steps)]
    losses = {"loss_D": "d_loss", "loss_G": "g_loss"}
    return {key: np.array([float(metrics[ours]) for metrics in taken]) for key, ours in losses.items()}


def _port_finals(trainer: Any) -> Arrays:
    found = port_values("G", trainer.generator) | port_values("D", trainer.discriminator)
    return {f"final/{parameter}": value for parameter, value in found.items()}


def _ours(variable: str) -> str:
    """A TF 1 variable's name in a training state."""
    network, layer, _, slot = variable.split("/")
    return f"{NETWORKS[network]}/{layer}/{slot}"


def _weights(state: Arrays) -> Arrays:
    """What a state says of the networks."""
    return {name: value for name, value in state.items() if name.partition("/")[0] in NETWORKS.values()}


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
