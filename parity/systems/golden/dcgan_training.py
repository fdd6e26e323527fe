"""Judging ``dcgan_training``: the first forward passes, the losses of every step, and both networks' final states."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import parity
import tf_impl
import torch_impl
from parity.systems.golden import draws
from parity.systems.golden.limits import LIMITS
from parity.systems.golden.not_judged import unknown_quantities
from parity.systems.golden.records import Record, UnknownOption
from parity.systems.golden.replay import begin, network_weights
from parity.systems.golden.results import GoldenResult, judge, not_judged
from parity.systems.golden.settings import DCGANSetting
from parity.systems.golden.weights import Arrays, assign_dcgan, dcgan_state, keras_precision
from parity.systems.training.implementations import KERAS, TORCH
from shared_impl.config.presets import checked
from shared_impl.config.schema import Config


def judge_record(record: Record) -> list[GoldenResult]:
    """Every quantity."""
    try:
        setting = record.setting(DCGANSetting, record.settings)
    except UnknownOption as error:
        return [not_judged((record.name, "", ""), str(error))]
    forward = {"first_fake": (setting.batch, setting.ch, 64, 64), "first_logits": (setting.batch,)}
    record.expect(forward | dict.fromkeys(("loss_D", "loss_G"), (setting.steps,)))
    computed = replay(record, setting)
    shapes = {key: array.shape for arrays in computed.values() for key, array in arrays.items()}
    record.expect(shapes)
    results = unknown_quantities(record, "", record.keys, shapes)
    for key in shapes:
        arrays = {framework: found[key] for framework, found in computed.items() if key in found}
        limit = LIMITS["float64" if key in forward else "float64 training"]
        results += judge((record.name, "", key), record.arrays[key], arrays, limit)
    return results


def replay(record: Record, setting: DCGANSetting) -> dict[str, Arrays]:
    """By framework every quantity of the record, in float64; Keras counts no batches.

    Raises UnusableInput where the listed parameters are not those of the networks.
    """
    forward, trained = first_forward(record, setting), train(record, setting)
    return {framework: forward[framework] | trained[framework] for framework in forward}


def first_forward(record: Record, setting: DCGANSetting) -> dict[str, Arrays]:
    """By framework ``first_fake``, NCHW as recorded, and ``first_logits``, D's on the first real batch."""
    real, noise = draws.dcgan_inputs(setting)
    torch_generator = torch_impl.DCGANGenerator(setting.latent, setting.gf, setting.ch).double()
    torch_discriminator = torch_impl.DCGANDiscriminator(setting.df, setting.ch).double()
    _assign(record, setting, torch_generator, torch_discriminator)
    with keras_precision("float64"):
        generator = tf_impl.DCGANGenerator(setting.latent, setting.gf, setting.ch)
        discriminator = tf_impl.DCGANDiscriminator(setting.df, setting.ch)
        parity.copy_to_keras(torch_generator, generator)
        parity.copy_to_keras(torch_discriminator, discriminator)
        fake = generator(noise[:, :, 0, 0], training=True).numpy()
        logits = discriminator(np.moveaxis(real, 1, -1), training=True).numpy()
    with torch.no_grad():
        port = {
            "first_fake": torch_generator(torch.tensor(noise)).numpy(),
            "first_logits": torch_discriminator(torch.tensor(real)).numpy(),
        }
    return {"Keras": {"first_fake": np.moveaxis(fake, -1, 1), "first_logits": logits}, "torch": port}


def train(record: Record, setting: DCGANSetting) -> dict[str, Arrays]:
    """By framework ``loss_D``, ``loss_G`` and ``final/PARAMETER`` of a run."""
    fed, config = draws.dcgan_updates(setting), _config(setting)
    port = TORCH.build(config, setting.steps, None)
    _assign(record, setting, port.generator, port.discriminator)
    start = network_weights(TORCH.to_reference(TORCH.state(port), config))
    reference = begin(KERAS, config, start, None)
    losses = {"Keras": _losses(reference, fed), "torch": _losses(port, fed)}
    finals = {"torch": _final_state(port)}
    TORCH.restore(port, TORCH.from_reference(KERAS.state(reference), config))
    finals["Keras"] = {k: v for k, v in _final_state(port).items() if not k.endswith("num_batches_tracked")}
    return {framework: losses[framework] | finals[framework] for framework in losses}


def _assign(record: Record, setting: DCGANSetting, generator: torch.nn.Module, discriminator: torch.nn.Module) -> None:
    assign_dcgan(record, "generator", generator, setting.generator_parameters, setting.seed)
    assign_dcgan(record, "discriminator", discriminator, setting.discriminator_parameters, setting.seed + 1)


def _losses(trainer: Any, fed: draws.Fed) -> Arrays:
    """Take all steps, of one update of each network; the losses are those that the trainer reports."""
    trainer.draws = fed
    batches = fed.batches()
    taken = [trainer.step(step, batches) for step in range(trainer.steps)]
    names = {"loss_D": "d_loss", "loss_G": "g_loss"}
    return {key: np.array([float(metrics[name]) for metrics in taken]) for key, name in names.items()}


def _final_state(trainer: Any) -> Arrays:
    found = dcgan_state("G", trainer.generator) | dcgan_state("D", trainer.discriminator)
    return {f"final/{parameter}": value for parameter, value in found.items()}


def _config(setting: DCGANSetting) -> Config:
    options = {
        "model": {"system": "dcgan", "nz": setting.latent, "ngf": setting.gf, "ndf": setting.df, "nc": setting.ch},
        "loss": {"kind": "dcgan"},
        "training": {"steps": setting.steps, "batch_size": setting.batch, "precision": "float64"},
    }
    return checked(Config, options, "golden record")
