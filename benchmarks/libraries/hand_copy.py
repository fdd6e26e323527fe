"""Copies a Keras model's weights onto a torch module by order, kind and shape, without parity: for measuring truths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import keras
import numpy as np
import torch
from torch import nn

Signature = tuple[object, ...]


class CannotCopy(ValueError):
    """Weights of one side have no counterpart on the other."""


@dataclass
class Unit:
    """One layer's weights: in torch's layout on the Keras side, the tensors themselves on the torch side."""

    name: str
    signature: Signature
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    variables: dict[str, keras.Variable] = field(default_factory=dict)
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)


@contextmanager
def calls_recorded() -> Iterator[list[keras.Layer]]:
    """Layers in the order in which they are first called while a model is built."""
    called: list[keras.Layer] = []
    original = keras.Layer.__call__

    def call(layer: keras.Layer, *arguments: object, **named: object) -> object:
        if all(layer is not one for one in called):
            called.append(layer)
        return original(layer, *arguments, **named)

    keras.Layer.__call__ = call
    try:
        yield called
    finally:
        keras.Layer.__call__ = original


def build_in_order(build: Callable[[], keras.Model]) -> tuple[keras.Model, list[keras.Layer]]:
    """A model and its layers that hold weights, in the order in which its code calls them."""
    with calls_recorded() as called:
        model = build()
    held = {id(layer) for layer in model._flatten_layers()}
    return model, [layer for layer in called if id(layer) in held and _own_weights(layer)]


def _own_weights(layer: keras.Layer) -> list[keras.Variable]:
    return [v for v in layer._trainable_variables + layer._non_trainable_variables if "seed" not in v.path]


def reference_units(layers: list[keras.Layer]) -> list[Unit]:
    """The Keras layers' weights as torch would hold them."""
    units: list[Unit] = []
    for layer in layers:
        held = {v.path.split("/")[-1]: np.asarray(v.numpy()) for v in layer.weights if "seed" not in v.path}
        bias = {"bias": held["bias"]} if "bias" in held else {}
        if isinstance(layer, (keras.layers.SeparableConv2D, keras.layers.SeparableConv1D)):
            units.append(_kernel(layer.name, _depthwise(held["depthwise_kernel"])))
            units.append(_kernel(layer.name, np.moveaxis(held["pointwise_kernel"], (-1, -2), (0, 1)), bias))
        elif isinstance(layer, (keras.layers.DepthwiseConv2D, keras.layers.DepthwiseConv1D)):
            units.append(_kernel(layer.name, _depthwise(held["kernel"]), bias))
        elif isinstance(layer, (keras.layers.Conv2D, keras.layers.Conv1D)):
            units.append(_kernel(layer.name, np.moveaxis(held["kernel"], (-1, -2), (0, 1)), bias))
        elif isinstance(layer, keras.layers.Dense):
            units.append(_kernel(layer.name, held["kernel"].T, bias))
        elif isinstance(layer, keras.layers.BatchNormalization):
            n = len(held["moving_mean"])
            arrays = {"weight": held.get("gamma", np.ones(n)), "bias": held.get("beta", np.zeros(n))}
            arrays |= {"running_mean": held["moving_mean"], "running_var": held["moving_variance"]}
            units.append(Unit(layer.name, ("batch norm", n), arrays, {"running_mean": layer.moving_mean}))
        elif isinstance(layer, (keras.layers.LayerNormalization, keras.layers.GroupNormalization)):
            arrays = {"weight": held["gamma"], "bias": held["beta"]}
            units.append(Unit(layer.name, ("norm", len(held["gamma"])), arrays))
        elif isinstance(layer, keras.layers.Normalization):
            continue
        else:
            for name, value in held.items():
                units.append(Unit(f"{layer.name}.{name}", ("vector", value.size), {"weight": value.ravel()}))
    return units


def _depthwise(kernel: np.ndarray) -> np.ndarray:
    *spatial, channels, multiplier = kernel.shape
    return np.moveaxis(kernel, (-2, -1), (0, 1)).reshape(channels * multiplier, 1, *spatial)


def _kernel(name: str, value: np.ndarray, bias: dict[str, np.ndarray] | None = None) -> Unit:
    return Unit(name, _kernel_signature(value.shape), {"weight": value, **(bias or {})})


def _kernel_signature(shape: tuple[int, ...]) -> Signature:
    """Kernels of one tap are matrices: a convolution of 1x1 may stand for a dense layer."""
    return ("kernel", *shape[:2]) if all(n == 1 for n in shape[2:]) else ("kernel", *shape)


def port_units(port: nn.Module, first: tuple[str, ...] = (), executed: list[str] | None = None) -> list[Unit]:
    """The torch module's layers with weights, as registered (or executed), branches named ``first`` ahead of others."""
    modules = dict(port.named_modules())
    paths = list(modules) if executed is None else executed
    units: list[Unit] = []
    for path in paths:
        module = modules[path]
        tensors = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
        tensors.pop("num_batches_tracked", None)
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            units.append(Unit(path, _kernel_signature(tuple(module.weight.shape)), tensors=tensors))
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            units.append(Unit(path, ("batch norm", module.num_features), tensors=tensors))
        elif isinstance(module, (nn.LayerNorm, nn.GroupNorm)):
            units.append(Unit(path, ("norm", module.weight.numel()), tensors=tensors))
        else:
            for name, value in module.named_parameters(recurse=False):
                units.append(Unit(f"{path}.{name}", ("vector", value.numel()), tensors={"weight": value}))
    for pattern in first:
        units = _moved_ahead(units, pattern)
    return units


def _moved_ahead(units: list[Unit], pattern: str) -> list[Unit]:
    ordered: list[Unit] = []
    for unit in units:
        block = unit.name.split(pattern)[0]
        if pattern not in unit.name:
            ordered.append(unit)
            continue
        place = next((i for i, u in enumerate(ordered) if u.name.startswith(block) and pattern not in u.name), None)
        ordered.insert(len(ordered) if place is None else place, unit)
    return ordered


def copy(reference: list[Unit], port: list[Unit]) -> dict[str, keras.Variable]:
    """Write the reference's weights into the port's; returns moving means as ``{port's tensor: reference's variable}``.

    Raises:
        CannotCopy: kinds and shapes occur a different number of times, or a bias has no place to go.
    """
    waiting: dict[Signature, list[Unit]] = defaultdict(list)
    for unit in port:
        waiting[unit.signature].append(unit)
    written: dict[str, keras.Variable] = {}
    for unit in reference:
        if not waiting[unit.signature]:
            raise CannotCopy(f"{unit.name}: the port has no further layer of {unit.signature}")
        target = waiting[unit.signature].pop(0)
        written |= {f"{target.name}.{name}": variable for name, variable in unit.variables.items()}
        _write(unit, target)
    left = [unit.name for units in waiting.values() for unit in units]
    if left:
        raise CannotCopy(f"layers of the port without a counterpart: {', '.join(left)}")
    return written


def _write(unit: Unit, target: Unit) -> None:
    for name, value in unit.arrays.items():
        tensor = target.tensors.get(name)
        if tensor is None:
            constant = {"weight": 1.0, "running_var": 1.0}.get(name, 0.0)
            if not np.all(value == constant):
                raise CannotCopy(f"{unit.name}: {target.name} has no {name}")
            continue
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(value)).reshape(tensor.shape))
    for name in set(target.tensors) - set(unit.arrays):
        if name == "bias":
            with torch.no_grad():
                target.tensors[name].zero_()
