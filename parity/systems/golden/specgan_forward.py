"""Judging ``specgan_forward``: both networks' outputs and the generator's moving averages."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch

import parity
import tf_impl
import torch_impl
from parity.numerics.difference import difference
from parity.numerics.tolerance import ROUNDING_LIMIT
from parity.systems.golden import draws
from parity.systems.golden.limits import LIMITS
from parity.systems.golden.not_judged import known_settings, unknown_quantities
from parity.systems.golden.records import Record
from parity.systems.golden.results import GoldenResult, judge
from parity.systems.golden.settings import SpecGANSetting
from parity.systems.golden.weights import RUNNING, Arrays, assign_specgan, keras_precision, moving_averages

IMAGE = 128
UPSAMPLINGS = {"nn": "nearest"}  # the original's names, where the implementations have others


def judge_record(record: Record) -> list[GoldenResult]:
    """Generator output, discriminator logits and moving averages of every setting."""
    settings, results = known_settings(record, SpecGANSetting)
    for name, setting in settings.items():
        record.expect({
            f"{name}/generator_output": (setting.batch, IMAGE, IMAGE, 1),
            f"{name}/discriminator_logits": (setting.batch,),
        })  # fmt: skip
    for name, setting in settings.items():
        results += _judge_setting(record, name, setting)
    return results


def _judge_setting(record: Record, name: str, setting: SpecGANSetting) -> list[GoldenResult]:
    computed, rounding = forward(record, name, setting)
    recorded = {key.removeprefix(f"{name}/") for key in record.keys if key.startswith(f"{name}/")}
    averages = {key for key in computed["Keras"] if key.startswith("after/")}
    wanted = [key for key in computed["Keras"] if key in recorded or (key in averages and setting.train)]
    record.expect({f"{name}/{key}": computed["Keras"][key].shape for key in wanted})
    results = unknown_quantities(record, name, recorded, computed["Keras"])
    for key in wanted:
        limit = max(LIMITS["forward"], ROUNDING_LIMIT * rounding[key])
        limit = LIMITS["moving-average"] if key in averages else limit
        arrays = {framework: quantities[key] for framework, quantities in computed.items()}
        results += judge((record.name, name, key), record.arrays[f"{name}/{key}"], arrays, limit)
    return results


def forward(record: Record, name: str, setting: SpecGANSetting) -> tuple[dict[str, Arrays], dict[str, float]]:
    """By framework ``generator_output``, ``discriminator_logits`` and every ``after/VARIABLE`` of the generator in
    float64, and by quantity the relative difference of Keras's own float32 from its float64.

    Images are NHWC as recorded. Raises UnusableInput where the listed variables are not those of the network.
    """
    z, x = draws.specgan_inputs(setting)
    with keras_precision("float32"):
        single = _run_keras(*_keras_networks(record, name, setting), z, x, setting.train)
    with keras_precision("float64"):
        z, x = z.astype(np.float64), x.astype(np.float64)
        generator, discriminator = _keras_networks(record, name, setting)
        torch_generator = torch_impl.SpecGANGenerator(**_generator_options(setting)).double().train(setting.train)
        torch_discriminator = torch_impl.SpecGANDiscriminator(**_options(setting)).double()
        parity.copy_to_torch(generator, torch_generator)
        parity.copy_to_torch(discriminator, torch_discriminator)
        double = _run_keras(generator, discriminator, z, x, setting.train)
    with torch.no_grad():
        port = {
            "generator_output": torch_generator(torch.tensor(z)).movedim(1, -1).numpy(),
            "discriminator_logits": torch_discriminator(torch.tensor(x).movedim(-1, 1)).numpy(),
        }
    for layer, slot, variable in moving_averages(generator):
        port[f"after/{variable}"] = getattr(torch_generator.get_submodule(layer), RUNNING[slot]).numpy()
    rounding = {key: difference(single[key], double[key]).relative for key in double}
    return {"Keras": double, "torch": port}, rounding


def _options(setting: SpecGANSetting) -> dict[str, Any]:
    return {"dim": setting.dim, "kernel_len": setting.kernel_len, "use_batchnorm": setting.use_bn}


def _generator_options(setting: SpecGANSetting) -> dict[str, Any]:
    upsample = UPSAMPLINGS.get(setting.upsample, setting.upsample)
    return _options(setting) | {"nz": setting.latent, "upsample": upsample}


def _keras_networks(record: Record, name: str, setting: SpecGANSetting) -> tuple[keras.Model, keras.Model]:
    generator = tf_impl.SpecGANGenerator(**_generator_options(setting))
    discriminator = tf_impl.SpecGANDiscriminator(**_options(setting))
    assign_specgan(record, name, "G", generator, setting.generator_variables, setting.seed)
    assign_specgan(record, name, "D", discriminator, setting.discriminator_variables, setting.seed + 1)
    return generator, discriminator


def _run_keras(generator: keras.Model, discriminator: keras.Model, z: np.ndarray, x: np.ndarray, train: bool) -> Arrays:
    outputs = {
        "generator_output": generator(z, training=train).numpy(),
        "discriminator_logits": discriminator(x, training=True).numpy(),
    }
    averages = {
        f"after/{variable}": getattr(generator.get_layer(layer), slot).numpy()
        for layer, slot, variable in moving_averages(generator)
    }
    return outputs | averages
