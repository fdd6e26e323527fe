"""Values of both sides of a chain: copies of weights, layers as a document writes them, ranges, options."""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np

from parity.systems.chains import AGREE, Twins, relative_error, run
from parity.systems.claims.measures.registry import BOTH, Figures, measure

WEIGHTED = ("Conv2DTranspose", "Conv2D", "Dense")


@measure("max(exact) <= AGREE")
def errors(twins: Twins, networks: list[str], ways: list[str], layers: Any = (), expected: Any = None) -> Figures:
    """Relative errors of whole networks, or of single layers of theirs, by way of copying weights.

    A list for each way (:data:`parity.systems.chains.WAYS`); output shapes ``keras`` and ``torch``, and
    ``sizes`` in torch without the batch.
    """
    found: Figures = {key: [] for key in ("keras", "torch", *ways)}
    for twin, layer in ((twins[name], layer) for name in networks for layer in layers or [""]):
        for way in ways:
            found[way].append(twin.error(way, layer))
        found["keras"].append(twin.outputs[layer].shape if layer else twin.result.shape)
        found["torch"].append(twin.port_shapes[layer] if layer else list(twin.port_shapes.values())[-1])
    sizes = [list(shape[1:]) for shape in found["torch"]]
    same = [(port[0], *port[2:], port[1]) if len(port) == 4 else port for port in found["torch"]] == found["keras"]
    equal = sum(value <= AGREE for value in found[ways[0]])
    return {**found, "sizes": sizes, "expected": expected, "same": same, "equal": equal, "number": len(sizes)}


@measure("low >= -1 and high <= 1", *BOTH)
def values(twins: Twins, networks: list[str]) -> Figures:
    """Ranges of each network's values on both sides, ``low`` and ``high`` of all, the reference's last activations.

    Of discriminators also the ``scores``, whether both sides have some ``outside`` [0, 1], and numbers of ``sigmoids``.
    """
    chains = [twins[name] for name in networks]
    keras, torch = [chain.result for chain in chains], [run(chain.exact, chain.inputs) for chain in chains]
    activations = [chain.layers("Activation") for chain in chains]
    return {
        "keras": [f"{one.min():.3f} … {one.max():.3f}" for one in keras],
        "torch": [f"{one.min():.3f} … {one.max():.3f}" for one in torch],
        "low": float(min(one.min() for one in keras + torch)),
        "high": float(max(one.max() for one in keras + torch)),
        "last": [own[-1].activation.__name__ for own in activations if own],
        "shapes": [one.shape for one in keras + torch],
        "scores": [one.ravel()[:2].tolist() for one in keras + torch],
        "outside": all(bool(((one < 0) | (one > 1)).any()) for one in keras + torch),
        "sigmoids": sum(len(chain.modules("Sigmoid")) for chain in chains)
        + sum("sigmoid" in name for chain in chains for name in chain.outputs),
    }


def stock_layers(listed: str) -> list[Any]:
    """Modules of torch.nn from calls as a document writes them: ``Conv2d(3, 64, 3, padding=1), LeakyReLU(0.2)``."""
    from torch import nn

    calls: list[Any] = ast.parse(f"[{listed}]", mode="eval").body.elts  # type: ignore[attr-defined]
    return [
        getattr(nn, call.func.id)(
            *map(ast.literal_eval, call.args), **{word.arg: ast.literal_eval(word.value) for word in call.keywords}
        )
        for call in calls
    ]


def _with_weights(modules: Any) -> list[Any]:
    parts = (part for module in modules for part in module.modules())
    return [part for part in parts if next(part.parameters(recurse=False), None) is not None]


def _copied(sources: list[Any], targets: list[Any]) -> bool:
    """Copy weights in order; False if they do not fit."""
    if len(sources) != len(targets):
        return False
    try:
        for source, target in zip(sources, targets, strict=True):
            target.load_state_dict(source.state_dict())
    except RuntimeError:  # torch's word for another shape or another set of weights
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


@measure("kinds == expected")
def convolution_as_dense(twins: Twins, networks: list[str], place: int, expected: list[str]) -> Figures:
    """The first (``place`` 0) or last (−1) layers of two networks; the first's convolution as a dense layer."""
    twin, other = (twins[name] for name in networks)
    layers = [one.layers(*WEIGHTED)[place] for one in (twin, other)]
    kernel, given = np.asarray(layers[0].kernel), twin.before(layers[0].name)
    if layers[0].name.startswith("upconv"):  # on one pixel; kernel [k, k, out, in]
        kernel = np.moveaxis(kernel, -1, 0)
    made = given.reshape(len(given), -1) @ kernel.reshape(given[0].size, -1)
    sigmoids, values = ["output_sigmoid" in one.outputs for one in (twin, other)], twin.outputs[layers[0].name]
    return {"kinds": [type(layer).__name__ for layer in layers], "kernel": layers[0].kernel_size[0],
            "error": relative_error(made.ravel(), values.ravel()), "sigmoids": sigmoids}  # fmt: skip
