"""Both implementations' networks, in float64, carrying a record's weights, and what they make of its inputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import torch

import parity
import tf_impl
import torch_impl
from parity.numerics.difference import difference
from parity.systems.golden import draws
from parity.systems.golden.records import DCGANSetting, Record, SpecGANSetting, Variables

Arrays = dict[str, np.ndarray]
IMAGE = 128
UPSAMPLINGS = {"nn": "nearest"}  # the original's word for it, where it is not ours
SCOPES: list[tuple[type, str]] = [
    (keras.layers.Dense, "dense"),
    (keras.layers.Conv2D, "conv2d"),
    (keras.layers.Conv2DTranspose, "conv2d_transpose"),
    (keras.layers.BatchNormalization, "batch_normalization"),
]
RUNNING = {"moving_mean": "running_mean", "moving_variance": "running_var"}


@contextmanager
def keras_precision(dtype: str) -> Iterator[None]:
    """Keras builds and computes in ``dtype`` within; its settings are put back afterwards."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def specgan_forward(record: Record, name: str, setting: SpecGANSetting) -> tuple[dict[str, Arrays], dict[str, float]]:
    """By framework ``generator_output``, ``discriminator_logits`` and every ``after/VARIABLE`` of the generator, and
    by quantity how far Keras's own float32 is from its float64, over the largest value.

    Images are NHWC as recorded. Raises UnusableInput where the listed variables are not those of the network.
    """
    z, x = draws.specgan_inputs(setting)
    with keras_precision("float32"):
        single = _run(*_keras_networks(record, name, setting), z, x, setting.train)
    with keras_precision("float64"):
        z, x = z.astype(np.float64), x.astype(np.float64)
        generator, discriminator = _keras_networks(record, name, setting)
        port_g = torch_impl.SpecGANGenerator(**_options(setting), **_wider(setting)).double().train(setting.train)
        port_d = torch_impl.SpecGANDiscriminator(**_options(setting)).double()
        parity.copy_to_torch(generator, port_g)
        parity.copy_to_torch(discriminator, port_d)
        ours = _run(generator, discriminator, z, x, setting.train)
    with torch.no_grad():
        port = {
            "generator_output": port_g(torch.tensor(z)).movedim(1, -1).numpy(),
            "discriminator_logits": port_d(torch.tensor(x).movedim(-1, 1)).numpy(),
        }
    for layer, slot, key in _running(generator):
        port[key] = getattr(port_g.get_submodule(layer), RUNNING[slot]).numpy()
    rounding = {key: difference(single[key], ours[key]).relative for key in ours}
    return {"Keras": ours, "torch": port}, rounding


def _options(setting: SpecGANSetting) -> dict[str, Any]:
    return {"dim": setting.dim, "kernel_len": setting.kernel_len, "use_batchnorm": setting.use_bn}


def _wider(setting: SpecGANSetting) -> dict[str, Any]:
    return {"nz": setting.latent, "upsample": UPSAMPLINGS.get(setting.upsample, setting.upsample)}


def _keras_networks(record: Record, name: str, setting: SpecGANSetting) -> tuple[keras.Model, keras.Model]:
    generator = tf_impl.SpecGANGenerator(**_options(setting), **_wider(setting))
    discriminator = tf_impl.SpecGANDiscriminator(**_options(setting))
    fill(record, name, "G", generator, setting.generator_variables, setting.seed)
    fill(record, name, "D", discriminator, setting.discriminator_variables, setting.seed + 1)
    return generator, discriminator


def _run(generator: keras.Model, discriminator: keras.Model, z: np.ndarray, x: np.ndarray, train: bool) -> Arrays:
    made = {
        "generator_output": generator(z, training=train).numpy(),
        "discriminator_logits": discriminator(x, training=True).numpy(),
    }
    return made | {key: getattr(generator.get_layer(layer), slot).numpy() for layer, slot, key in _running(generator)}


def _running(generator: keras.Model) -> Iterator[tuple[str, str, str]]:
    """Layer, attribute and recorded key of every moving average."""
    for layer in generator.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            scope = layer.name.removesuffix("_bn")
            yield from ((layer.name, slot, f"after/G/{scope}/batch_normalization/{slot}") for slot in RUNNING)


def fill(record: Record, name: str, prefix: str, network: keras.Model, listed: Variables, seed: int) -> None:
    """Give ``network`` the drawn weights of its TF 1 variables; UnusableInput if they are not those listed."""
    places = _places(prefix, network)
    _compare(record, name, dict(listed), {variable: shape for variable, (_, _, shape) in places.items()})
    for variable, value in draws.specgan_weights(listed, seed):
        layer, slot, _ = places[variable]
        if getattr(layer, slot) is not None:
            getattr(layer, slot).assign(value)


def _places(prefix: str, network: keras.Model) -> dict[str, tuple[keras.Layer, str, tuple[int, ...]]]:
    """Layer, attribute and shape of each TF 1 variable."""
    places: dict[str, tuple[keras.Layer, str, tuple[int, ...]]] = {}
    for layer in network.layers:
        scope = next((scope for kind, scope in SCOPES if isinstance(layer, kind)), None)
        slots = {variable.name: tuple(variable.shape) for variable in layer.variables}
        if scope == "batch_normalization":  # the original creates both even where nothing ever reads them
            slots |= dict.fromkeys(RUNNING, slots["gamma"])
        for slot, shape in slots.items():
            places[f"{prefix}/{layer.name.removesuffix('_bn')}/{scope}/{slot}"] = layer, slot, shape
    return places


def dcgan_first_forward(record: Record, setting: DCGANSetting) -> dict[str, Arrays]:
    """By framework: ``first_fake``, NCHW as recorded, and ``first_logits``, D's on the first real batch.

    Raises UnusableInput where the listed parameters are not those of the network.
    """
    real, noise = draws.dcgan_inputs(setting)
    port_g = torch_impl.DCGANGenerator(setting.latent, setting.gf, setting.ch).double()
    port_d = torch_impl.DCGANDiscriminator(setting.df, setting.ch).double()
    fill_port(record, "generator", port_g, setting.generator_parameters, setting.seed)
    fill_port(record, "discriminator", port_d, setting.discriminator_parameters, setting.seed + 1)
    with keras_precision("float64"):
        generator = tf_impl.DCGANGenerator(setting.latent, setting.gf, setting.ch)
        discriminator = tf_impl.DCGANDiscriminator(setting.df, setting.ch)
        parity.copy_to_keras(port_g, generator)
        parity.copy_to_keras(port_d, discriminator)
        fake = generator(noise[:, :, 0, 0], training=True).numpy()
        logits = discriminator(np.moveaxis(real, 1, -1), training=True).numpy()
    with torch.no_grad():
        port = {"first_fake": port_g(torch.tensor(noise)).numpy(), "first_logits": port_d(torch.tensor(real)).numpy()}
    return {"Keras": {"first_fake": np.moveaxis(fake, -1, 1), "first_logits": logits}, "torch": port}


def fill_port(record: Record, network: str, module: torch.nn.Module, listed: Variables, seed: int) -> None:
    """Give ``module`` the drawn weights of its parameters; UnusableInput if they are not those listed."""
    ours = dict(module.named_parameters())
    numbers = {number: name for name, number in _numbers(module).items() if name in ours}
    _compare(record, network, dict(listed), {number: tuple(ours[name].shape) for number, name in numbers.items()})
    with torch.no_grad():
        for number, value in draws.dcgan_weights(listed, seed):
            ours[numbers[number]].copy_(torch.tensor(value))


def port_values(prefix: str, module: torch.nn.Module) -> Arrays:
    """The state of ``module``, by the record's names."""
    numbers = _numbers(module)
    return {f"{prefix}/{numbers[name]}": value.numpy(force=True).copy() for name, value in module.state_dict().items()}


def _numbers(module: torch.nn.Module) -> dict[str, str]:
    """The record's name of each state: it numbers the layers of an unnamed chain, without our reshapes."""
    order = {name: i for i, name in enumerate(n for n, _ in module.named_children() if n != "z_reshape")}
    parts = ((name, *name.split(".")) for name in module.state_dict())
    return {name: f"{order[layer]}.{slot}" for name, layer, slot in parts}


def _compare(
    record: Record, where: str, listed: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]]
) -> None:
    for name in [*listed, *expected]:
        if listed.get(name) != expected.get(name):
            got, wanted = listed.get(name, "not listed"), expected.get(name, "none such")
            raise record.unusable(
                ".json", f"{where}: variable {name} is {got}, the network of these settings has {wanted}"
            )
