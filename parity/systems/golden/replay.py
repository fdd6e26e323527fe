"""Both implementations' trainers take a record's updates, on its weights, batches, latents and mixing weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from parity.systems.golden import draws
from parity.systems.golden.records import Record
from parity.systems.golden.results import relative_gap
from parity.systems.golden.settings import SpecGANTrainingSetting
from parity.systems.golden.specgan_forward import UPSAMPLINGS
from parity.systems.golden.weights import Arrays, assign_specgan, keras_name
from parity.systems.training.implementations import KERAS, TORCH, Implementation
from shared_impl.config.presets import checked
from shared_impl.config.schema import Config
from shared_impl.data.moments import Moments

NETWORKS = {"G": "generator", "D": "discriminator"}


class Replay(NamedTuple):
    """The network that each update moved, in order, and the record's quantities."""

    order: list[str]
    arrays: Arrays


def specgan_training(
    record: Record, name: str, setting: SpecGANTrainingSetting
) -> tuple[dict[str, Replay], Iterator[Arrays]]:
    """By framework ``G_loss``, ``D_loss`` and ``final/VARIABLE`` of a run in float64, and samples of float32 rounding.

    The samples, of which there is no end, are the distances of float32 runs from that run, as
    :func:`parity.systems.golden.results.relative_gap` measures them. The first is torch's and the second Keras's, from
    the weights as drawn. The others are torch's from weights moved to neighbouring float32 numbers: once, then twice,
    four, eight more times, and so on. A float32 sum of n products is the exact sum of products of numbers that are up
    to n roundings off (Higham 2002, section 3.1), and here n is in the hundreds.

    Variables that the networks do not keep (moving averages of the discriminator) have no ``final/``.
    Raises UnusableInput where the listed variables are not those of the networks.
    """
    start = drawn_weights(record, name, setting)
    exact = {implementation.name: run(implementation, setting, start, "float64") for implementation in (KERAS, TORCH)}

    def rounding(implementation: Implementation, weights: Arrays) -> Arrays:
        single = run(implementation, setting, weights, "float32").arrays
        double = exact[implementation.name].arrays
        return {key: relative_gap(single[key], double[key]) for key in double}

    def samples() -> Iterator[Arrays]:
        yield rounding(TORCH, start)
        yield rounding(KERAS, start)
        rs, weights = np.random.RandomState(setting.seed), start
        for doublings in count():
            for _ in range(2**doublings):
                weights = {key: _perturbed(value, rs) for key, value in weights.items()}
            yield rounding(TORCH, weights)

    return exact, samples()


def run(implementation: Implementation, setting: SpecGANTrainingSetting, weights: Arrays, precision: str) -> Replay:
    """All updates of a setting, in one implementation and precision, from ``weights`` under Keras's names."""
    config = _config(setting, precision)
    trainer = begin(implementation, config, weights, _moments(setting))
    order, losses = _take_steps(implementation, trainer, draws.specgan_updates(setting))
    end = implementation.to_reference(implementation.state(trainer), config)
    variables = [variable for variable, _ in setting.generator_variables + setting.discriminator_variables]
    names = {variable: f"{NETWORKS[variable.partition('/')[0]]}/{keras_name(variable)}" for variable in variables}
    return Replay(order, losses | {f"final/{variable}": end[name] for variable, name in names.items() if name in end})


def begin(implementation: Implementation, config: Config, weights: Arrays, moments: Moments | None) -> Any:
    """A trainer with these weights, under Keras's names; its optimisers are in the implementation's initial state."""
    trainer = implementation.build(config, config.training.steps or 0, moments)
    implementation.restore(trainer, implementation.state(trainer) | implementation.from_reference(weights, config))
    return trainer


def _take_steps(implementation: Implementation, trainer: Any, fed: draws.Fed) -> tuple[list[str], Arrays]:
    """Take all steps; both losses of each update are those before it is applied.

    The trainer reports the loss of the network that it moves. The other network's loss is computed here first, without
    the moving averages of batch normalisation taking part: the original runs its generator once per update.
    """
    order: list[str] = []
    losses: dict[str, list[float]] = {"D_loss": [], "G_loss": []}
    take_discriminator_step, take_generator_step = trainer.discriminator_step, trainer.generator_step

    def note(network: str, metrics: Mapping[str, Any]) -> Mapping[str, Any]:
        order.append(network)
        losses["D_loss"].append(float(metrics["d_loss"]))
        losses["G_loss"].append(float(metrics["g_loss"]))
        return metrics

    def discriminator_step(inputs: Any, lr: Any) -> Mapping[str, Any]:
        with _undone(implementation, trainer):
            other = take_generator_step(inputs, lr)
        return note("D", other | take_discriminator_step(inputs, lr))

    def generator_step(inputs: Any, lr: Any) -> Mapping[str, Any]:
        turn = len(order) % len(fed.z)
        d_inputs = inputs._replace(alpha=trainer.tensor(fed.alpha[turn]), images=trainer.prepare(fed.real[turn]))
        with _undone(implementation, trainer):
            other = take_discriminator_step(d_inputs, lr)
        return note("G", other | take_generator_step(inputs, lr))

    trainer.draws = fed
    trainer.discriminator_step, trainer.generator_step = discriminator_step, generator_step
    batches = fed.batches()
    for step in range(trainer.steps):
        trainer.step(step, batches)
    return order, {key: np.array(taken) for key, taken in losses.items()}


@contextmanager
def _undone(implementation: Implementation, trainer: Any) -> Iterator[None]:
    """The trainer's state is afterwards what it was before."""
    before = implementation.state(trainer)
    yield
    implementation.restore(trainer, before)


def drawn_weights(record: Record, name: str, setting: SpecGANTrainingSetting) -> Arrays:
    """Both networks' weights as README.md draws them, under Keras's names."""
    trainer = KERAS.build(_config(setting, "float64"), setting.loops, _moments(setting))
    assign_specgan(record, name, "G", trainer.generator, setting.generator_variables, setting.seed)
    assign_specgan(record, name, "D", trainer.discriminator, setting.discriminator_variables, setting.seed + 1)
    return network_weights(KERAS.state(trainer))


def network_weights(state: Arrays) -> Arrays:
    """The part of a training state that belongs to the networks."""
    return {name: value for name, value in state.items() if name.partition("/")[0] in NETWORKS.values()}


def _perturbed(value: np.ndarray, rs: np.random.RandomState) -> np.ndarray:
    """Each number in float32, moved to the next larger or smaller one or left as it is."""
    single = value.astype(np.float32)
    return np.nextafter(single, single + rs.randint(-1, 2, single.shape).astype(np.float32))


def _moments(setting: SpecGANTrainingSetting) -> Moments:
    mean, std = (moment.astype(np.float64) for moment in draws.specgan_moments(setting))
    return Moments(mean, np.square(std))


def _config(setting: SpecGANTrainingSetting, precision: str) -> Config:
    """The optimiser is the one that the loss recommends, as in ``train()`` of ``train_specgan.py``."""
    options = {
        "model": {
            "system": "specgan",
            "nz": setting.latent,
            "dim": setting.dim,
            "kernel_len": setting.kernel_len,
            "use_batchnorm": setting.use_bn,
            "upsample": UPSAMPLINGS.get(setting.upsample, setting.upsample),
        },
        "loss": {"kind": setting.loss},
        "training": {
            "steps": setting.loops,
            "batch_size": setting.batch,
            "d_updates": setting.disc_nupdates,
            "precision": precision,
        },
    }
    return checked(Config, options, "golden record")
