"""Which layer of the networks holds each recorded variable, and networks that carry a record's drawn weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import torch

from parity.systems.golden import draws
from parity.systems.golden.records import Record
from parity.systems.golden.settings import Variables

Arrays = dict[str, np.ndarray]
Shape = tuple[int, ...]
TF1_SCOPES: list[tuple[type, str]] = [
    (keras.layers.Dense, "dense"),
    (keras.layers.Conv2D, "conv2d"),
    (keras.layers.Conv2DTranspose, "conv2d_transpose"),
    (keras.layers.BatchNormalization, "batch_normalization"),
]
BATCH_NORM = "batch_normalization"
RUNNING = {"moving_mean": "running_mean", "moving_variance": "running_var"}  # Keras's attribute, torch's buffer


@contextmanager
def keras_precision(dtype: str) -> Iterator[None]:
    """Within, Keras builds and computes in ``dtype``; its settings are restored afterwards."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def assign_specgan(
    record: Record, setting: str, prefix: str, network: keras.Model, listed: Variables, seed: int
) -> None:
    """Assign the drawn weights to ``network``, whose TF 1 variables begin with ``prefix``.

    Raises UnusableInput unless the ``listed`` variables are the network's.
    """
    places = _tf1_variables(prefix, network)
    _check_listed(record, setting, dict(listed), {variable: shape for variable, (_, _, shape) in places.items()})
    for variable, value in draws.specgan_weights(listed, seed):
        layer, slot, _ = places[variable]
        if getattr(layer, slot) is not None:
            getattr(layer, slot).assign(value)


def moving_averages(generator: keras.Model) -> Iterator[tuple[str, str, str]]:
    """Layer, Keras attribute and TF 1 name of every moving average."""
    for layer in generator.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for slot in RUNNING:
                yield layer.name, slot, f"G/{layer.name.removesuffix('_bn')}/{BATCH_NORM}/{slot}"


def keras_name(variable: str) -> str:
    """A TF 1 variable's layer and attribute in the Keras networks: ``G/upconv_0/conv2d/bias`` is ``upconv_0/bias``."""
    _, layer, scope, slot = variable.split("/")
    return f"{layer}_bn/{slot}" if scope == BATCH_NORM else f"{layer}/{slot}"


def _tf1_variables(prefix: str, network: keras.Model) -> dict[str, tuple[keras.Layer, str, Shape]]:
    """Layer, attribute and shape of each TF 1 variable."""
    places: dict[str, tuple[keras.Layer, str, Shape]] = {}
    for layer in network.layers:
        scope = next((scope for kind, scope in TF1_SCOPES if isinstance(layer, kind)), None)
        slots = {variable.name: tuple(variable.shape) for variable in layer.variables}
        if scope == BATCH_NORM:  # the original creates both even where nothing ever reads them
            slots |= dict.fromkeys(RUNNING, slots["gamma"])
        for slot, shape in slots.items():
            places[f"{prefix}/{layer.name.removesuffix('_bn')}/{scope}/{slot}"] = layer, slot, shape
    return places


def assign_dcgan(record: Record, network: str, module: torch.nn.Module, listed: Variables, seed: int) -> None:
    """Assign the drawn weights to ``module``; UnusableInput unless the ``listed`` parameters are the module's."""
    parameters = dict(module.named_parameters())
    names = {recorded: name for name, recorded in _recorded_names(module).items() if name in parameters}
    _check_listed(
        record, network, dict(listed), {recorded: tuple(parameters[name].shape) for recorded, name in names.items()}
    )
    with torch.no_grad():
        for recorded, value in draws.dcgan_weights(listed, seed):
            parameters[names[recorded]].copy_(torch.tensor(value))


def dcgan_state(prefix: str, module: torch.nn.Module) -> Arrays:
    """The state of ``module`` under the record's names."""
    names = _recorded_names(module)
    return {f"{prefix}/{names[name]}": value.numpy(force=True).copy() for name, value in module.state_dict().items()}


def _recorded_names(module: torch.nn.Module) -> dict[str, str]:
    """The record's name of each state: it numbers the layers of an unnamed chain that has no ``z_reshape``."""
    order = {name: i for i, name in enumerate(n for n, _ in module.named_children() if n != "z_reshape")}
    parts = ((name, *name.split(".")) for name in module.state_dict())
    return {name: f"{order[layer]}.{slot}" for name, layer, slot in parts}


def _check_listed(record: Record, where: str, listed: dict[str, Shape], expected: dict[str, Shape]) -> None:
    for name in [*listed, *expected]:
        if listed.get(name) != expected.get(name):
            got, wanted = listed.get(name, "not listed"), expected.get(name, "none such")
            raise record.unusable(
                ".json", f"{where}: variable {name} is {got}, the network of these settings has {wanted}"
            )
