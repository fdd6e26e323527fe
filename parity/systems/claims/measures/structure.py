"""Shapes, layers and parameters of both sides of a chain.

Networks are named as in ``specgan generator dim=4``, layers by torch's classes or by a regular expression for names.
"""

from __future__ import annotations

import inspect
import re
from itertools import groupby
from typing import Any

import numpy as np

from parity.report.formats import setting as written
from parity.systems.chains import Twins, run, to_torch
from parity.systems.claims.measures.registry import BOTH, Figures, measure

KERAS = {"ConvTranspose2d": "Conv2DTranspose", "Conv2d": "Conv2D", "Linear": "Dense", "BatchNorm2d": "BatchNorm",
         "Tanh": "Activation"}  # fmt: skip
SETTINGS = {"kernel": ("kernel_size", "kernel_size"), "stride": ("strides", "stride")}  # in Keras, in torch


@measure("keras == torch == kinds", *BOTH)
def layer_counts(twins: Twins, networks: list[str], kinds: dict[str, int]) -> Figures:
    """How many layers there are of each class in all networks: ``keras`` and ``torch``, {class: number}."""
    chains = [twins[name] for name in networks]
    keras = {kind: sum(len(chain.layers(KERAS.get(kind, kind))) for chain in chains) for kind in kinds}
    return {"keras": keras, "torch": {kind: sum(len(chain.modules(kind)) for chain in chains) for kind in kinds}}


@measure("keras == torch == expected", *BOTH)
def layer_settings(twins: Twins, networks: list[str], kinds: list[str], setting: str, expected: list[str]) -> Figures:
    """A setting of all layers of these classes in order, equal neighbours counted: ``keras`` and ``torch``.

    ``setting`` is ``kernel``, ``stride``, ``channels`` (in → out) or ``activation`` (its name, and its slope).
    """
    chains = [twins[name] for name in networks]
    keras = [layer for chain in chains for layer in chain.layers(*(KERAS.get(kind, kind) for kind in kinds))]
    torch = [module for chain in chains for module in chain.modules(*kinds)]
    return {"keras": counted([_setting(layer, setting, 0) for layer in keras]),
            "torch": counted([_setting(module, setting, 1) for module in torch])}  # fmt: skip


def _setting(layer: Any, setting: str, side: int) -> str:
    if setting == "activation":
        name = getattr(layer, "activation", type(layer)).__name__.lower()
        return f"{name} {layer.negative_slope:.9g}" if getattr(layer, "negative_slope", 0) else name
    if setting == "channels" and side:
        return f"{layer.in_channels}→{layer.out_channels}"
    if setting == "channels":
        return f"{layer.kernel.shape[-1 if 'Transpose' in type(layer).__name__ else -2]}→{layer.filters}"
    return written(getattr(layer, SETTINGS[setting][side]))


def counted(values: list[str]) -> list[str]:
    """Equal neighbours as one: ``["4 × relu", "tanh"]``."""
    runs = [(value, len(list(group))) for value, group in groupby(values)]
    return [f"{number} × {value}" if number > 1 else value for value, number in runs]


@measure(
    "unequal == 0 and sizes == expected", "Keras: {keras:→}; PyTorch: {torch:→}", "Keras：{keras:→}；PyTorch：{torch:→}"
)
def shapes(twins: Twins, networks: list[str], layers: str = "(?!input$).*", expected: Any = None) -> Figures:
    """Output shapes of layers by name, and of ``input``: ``keras``, ``torch``, ``sizes`` in torch without the batch.

    ``unequal`` counts those that differ in more than the place of the channels. By network: ``names`` and ``kinds``
    (classes of Keras) of the layers, their ``sides`` (heights), those ``unnormed``, and the images' relative ``error``.
    """
    found: Figures = {key: [] for key in ("keras", "torch", "names", "kinds", "sides", "unnormed")}
    for twin in map(twins.__getitem__, networks):
        own = {"input": twin.inputs.shape} | {name: values.shape for name, values in twin.outputs.items()}
        port = {"input": tuple(to_torch(twin.inputs).shape)} | twin.port_shapes
        names = [name for name in own if re.fullmatch(layers, name)]
        weighted = [layer for layer in twin.reference.layers if layer.weights and layer.name in names]
        found["keras"] += [own[name] for name in names]
        found["torch"] += [port.get(name, ()) for name in names]
        found["names"].append(names)
        found["kinds"].append(counted([type(layer).__name__ for layer in weighted]))
        found["sides"].append([own[name][1] for name in names if len(own[name]) == 4])
        found["unnormed"].append([name for name in names if not name.endswith("_bn") and f"{name}_bn" not in own])
    sizes = [list(port[1:]) for port in found["torch"]]
    return {
        **found,
        "number": [len(names) for names in found["names"]],
        "normed": [len(names) - len(lacking) for names, lacking in zip(found["names"], found["unnormed"], strict=True)],
        "unequal": sum(_channels_last(port) != own for own, port in zip(found["keras"], found["torch"], strict=True)),
        "sizes": sizes,
        "expected": sizes if expected is None else expected,
        "error": max(twins[name].error() for name in networks),
    }


def _channels_last(port: tuple[int, ...]) -> tuple[int, ...]:
    return (port[0], *port[2:], port[1]) if len(port) == 4 else port


@measure("keras == torch == expected", "Keras: {keras:,}; PyTorch: {torch:,}", "Keras：{keras:,}；PyTorch：{torch:,}")
def parameter_counts(twins: Twins, networks: list[str], expected: list[int]) -> Figures:
    """Parameters of each network; layers that have some on each side, and torch's ``tensors``."""
    keras = [twins[name].reference for name in networks]
    torch = [twins[name].exact for name in networks]
    own = [
        [part for part in port.modules() if next(part.parameters(recurse=False), None) is not None] for port in torch
    ]
    return {
        "keras": [model.count_params() for model in keras],
        "torch": [sum(p.numel() for p in port.parameters()) for port in torch],
        "keras_layers": [sum(bool(layer.weights) for layer in model.layers) for model in keras],
        "torch_layers": [len(parts) for parts in own],
        "tensors": [len(list(port.parameters())) for port in torch],
    }


@measure("fields[0] > fields[1]")
def receptive_fields(twins: Twins, networks: list[str], layers: int) -> Figures:
    """Pixels a side that one output of the first so many convolutions depends on, by network."""
    fields = []
    for name in networks:
        size, jump = 1, 1
        for layer in twins[name].layers("Conv2D")[:layers]:
            size, jump = size + (layer.kernel_size[0] - 1) * jump, jump * layer.strides[0]
        fields.append(size)
    return {"fields": fields}


@measure("values == [expected]", "{option}={values} in {n} constructors", "{n} 个构造函数中 {option}={values}")
def constructor_default(twins: Twins, networks: list[str], option: str, expected: Any) -> Figures:
    """The default of an option in every constructor that has it."""
    classes = [type(side) for name in networks for side in (twins[name].reference, twins[name].exact)]
    found = [inspect.signature(cls).parameters for cls in classes]
    defaults = [own[option].default for own in found if option in own]
    return {"values": list(dict.fromkeys(defaults)), "n": len(defaults)}


@measure("error == 0")
def latent_forms(twins: Twins, network: str) -> Figures:
    """The reference's input, and how far the port's images of latents ``[N, nz]`` and ``[N, nz, 1, 1]`` are apart."""
    twin = twins[network]
    flat, tall = run(twin.exact, twin.inputs), run(twin.exact, twin.inputs[:, None, None])
    return {"keras": twin.reference.input_shape, "error": float(np.abs(tall - flat).max())}
