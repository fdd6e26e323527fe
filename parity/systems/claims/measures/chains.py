"""Both sides of a chain: shapes, layers, parameters, values under copied weights, layers as a document writes them.

Networks are named as in ``specgan generator dim=4``, layers by torch's classes or by a regular expression for names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from parity.report.formats import setting as written
from parity.systems.chains import AGREE, Twins, relative_error, run, to_torch
from parity.systems.claims.measures.registry import BOTH, Figures, measure
from parity.systems.claims.wording import evaluate

KERAS = {"ConvTranspose2d": "Conv2DTranspose", "Conv2d": "Conv2D", "Linear": "Dense", "BatchNorm2d": "BatchNorm",
         "Tanh": "Activation"}  # fmt: skip
CONVOLUTIONS = ("ConvTranspose2d", "Conv2d")
SETTINGS = {"kernel": ("kernel_size", "kernel_size"), "stride": ("strides", "stride")}  # in Keras, in torch


@measure("keras == torch == kinds", *BOTH)
def layer_counts(twins: Twins, networks: list[str], kinds: dict[str, int]) -> Figures:
    """How many layers there are of each class in all networks: ``keras`` and ``torch``, {class: number}."""
    chains = [twins[name] for name in networks]
    keras = {kind: sum(len(chain.layers(KERAS.get(kind, kind))) for chain in chains) for kind in kinds}
    return {"keras": keras, "torch": {kind: sum(len(chain.modules(kind)) for chain in chains) for kind in kinds}}


@measure("keras == torch == expected", *BOTH)
def layer_settings(
    twins: Twins, networks: list[str], setting: str, expected: list[str], kinds: Sequence[str] = CONVOLUTIONS
) -> Figures:
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
def outputs(
    twins: Twins, networks: list[str], layers: str = "(?!input$).+", ways: Any = (), expected: Any = None
) -> Figures:
    """Output shapes of layers by name, of ``input``, or of whole networks, whose name is empty.

    ``keras``, ``torch``, ``sizes`` (torch's without the batch); ``unequal`` counts those that differ in more than the
    place of the channels. By network: ``number``, ``names`` and ``kinds`` (classes of Keras) of the layers, their
    ``sides`` (heights), how many are ``normed``, those ``unnormed``. For each of the ``ways`` of copying weights
    (:data:`parity.systems.chains.WAYS`) the relative errors of these outputs, and how many are ``equal`` in the first.
    """
    found: Figures = {key: [] for key in ("keras", "torch", "names", "kinds", "sides", "unnormed", *ways)}
    for twin in map(twins.__getitem__, networks):
        own = {"input": twin.inputs} | twin.outputs | {"": twin.result}
        port = {"input": tuple(to_torch(twin.inputs).shape)} | twin.port_shapes
        port[""] = list(port.values())[-1]
        names = [name for name in own if re.fullmatch(layers, name)]
        weighted = [layer for layer in twin.reference.layers if layer.weights and layer.name in names]
        found["keras"] += [own[name].shape for name in names]
        found["torch"] += [port.get(name, ()) for name in names]
        found["names"].append(names)
        found["kinds"].append(counted([type(layer).__name__ for layer in weighted]))
        found["sides"].append([own[name].shape[1] for name in names if own[name].ndim == 4])
        found["unnormed"].append([name for name in names if not name.endswith("_bn") and f"{name}_bn" not in own])
        for way in ways:
            found[way] += [twin.error(way, name) for name in names]
    last = [(*shape[:1], *shape[2:], *shape[1:2]) if len(shape) == 4 else shape for shape in found["torch"]]
    sizes = [list(shape[1:]) for shape in found["torch"]]
    return {
        **found,
        "number": [len(names) for names in found["names"]],
        "normed": [len(names) - len(lacking) for names, lacking in zip(found["names"], found["unnormed"], strict=True)],
        "unequal": sum(port != own for own, port in zip(found["keras"], last, strict=True)),
        "sizes": sizes,
        "expected": sizes if expected is None else expected,
        "error": max(twins[name].error() for name in networks),
        "equal": sum(error <= AGREE for way in ways[:1] for error in found[way]),
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


@measure("error == 0")
def latent_forms(twins: Twins, network: str) -> Figures:
    """The reference's input, and how far the port's images of latents ``[N, nz]`` and ``[N, nz, 1, 1]`` are apart."""
    twin = twins[network]
    flat, tall = run(twin.exact, twin.inputs), run(twin.exact, twin.inputs[:, None, None])
    return {"keras": twin.reference.input_shape, "error": float(np.abs(tall - flat).max())}


def stock_layers(listed: str) -> list[Any]:
    """Modules of torch.nn from calls as a document writes them: ``Conv2d(3, 64, 3, padding=1), LeakyReLU(0.2)``."""
    from torch import nn

    return evaluate(f"[{listed}]", vars(nn))


def _with_weights(modules: Any) -> list[Any]:
    parts = (part for module in modules for part in module.modules())
    return [part for part in parts if next(part.parameters(recurse=False), None) is not None]


def _copied(sources: list[Any], targets: list[Any]) -> bool:
    """Copy weights in order; False if they do not fit."""
    try:
        for source, target in zip(sources, targets, strict=True):
            target.load_state_dict(source.state_dict())
    except (RuntimeError, ValueError):  # torch's word for another shape or set of weights, zip's for another number
        return False
    return True


@measure(
    "size == expected and error <= AGREE",
    "{shape}; the stock torch layers, given our weights, are off from Keras's by {error}",
    "{shape}；标准 torch 层使用同样权重，与 Keras 相差 {error}",
)
def as_written(twins: Twins, network: str, part: str, layers: str, expected: list[int]) -> Figures:
    """Layers in stock torch, given the weights of a ``part`` of the port (a pattern), by the reference's values.

    Relative ``error``, infinite where a weight or the output has another shape; ``shape`` and ``size`` (without batch)
    of the port's output, ``made`` of the stock one; parameters of the stock layers (``stock``) and of the reference.
    """
    from torch import nn

    twin = twins[network]
    own = [name for name in twin.outputs if re.fullmatch(part, name)]
    given, wanted, module = twin.before(own[0]), twin.outputs[own[-1]], nn.Sequential(*stock_layers(layers))
    given = given[:, None, None] if given.ndim == 2 and isinstance(module[0], nn.ConvTranspose2d) else given
    children = [child for name, child in twin.exact.named_children() if re.fullmatch(part, name)]
    fits = _copied(_with_weights(children), _with_weights([module.double().eval()]))
    result = run(module, given) if fits else np.empty(0)
    trainable = [variable for name in own for variable in twin.reference.get_layer(name).trainable_variables]
    return {
        "error": relative_error(result.reshape(wanted.shape) if result.size == wanted.size else result, wanted),
        "shape": twin.port_shapes[own[-1]],
        "size": list(twin.port_shapes[own[-1]][1:]),
        "made": np.moveaxis(result, -1, 1).shape if result.ndim == 4 else result.shape,
        "stock": sum(p.numel() for p in module.parameters()),
        "own": sum(int(np.prod(variable.shape)) for variable in trainable),
        "sigmoids": len(twin.modules("Sigmoid")),
    }
