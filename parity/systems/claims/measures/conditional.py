"""The conditional DCGAN's networks, which are no chains: torch's modules of a preset, narrow or at full width."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from parity.systems.chains import Twins, drawn, to_numpy
from parity.systems.claims.measures.registry import Figures, measure
from parity.systems.claims.measures.settings import configuration

__all__ = ["NARROW", "SPECTRAL", "full", "inside", "keras_attention", "listing", "network", "parameters", "sides"]

NARROW = "model.ngf=1 model.ndf=1 model.nz=8"  # 32 channels at 4x4: the depth and every size stay
SPECTRAL = "ParametrizedSpectralConv2D"


def network(kind: str, preset: str) -> Any:
    """A narrow torch network of a preset with its overrides, freshly drawn."""
    import torch_impl

    own, _, overrides = preset.partition(" ")
    return drawn(lambda: torch_impl.build(configuration(f"{own} {NARROW} {overrides}").model, kind))


@cache
def full(kind: str, preset: str) -> Any:
    """A network of a preset at full width, without values."""
    import torch

    import torch_impl

    with torch.device("meta"):
        return torch_impl.build(configuration(preset).model, kind)


def inside(module: Any, *kinds: str) -> list[Any]:
    """A network's modules of these classes, in their order."""
    return [part for part in module.modules() if type(part).__name__ in kinds]


def parameters(module: Any) -> int:
    """How many parameters a module has."""
    return sum(p.numel() for p in module.parameters())


def sides(kind: str, preset: str, module: str) -> list[int]:
    """Output heights of a narrow network's modules of a class, in their order."""
    import torch

    built, size, found = network(kind, preset).eval(), configuration(preset).model.side, list[int]()
    for part in inside(built, module):
        part.register_forward_hook(lambda part, _, out: found.append(out.shape[-1]))
    with torch.no_grad():
        built(torch.zeros((1, 8) if kind == "generator" else (1, 3, size, size)), torch.tensor([0]))
    return found


@measure("counts == modules", "{counts}")
def module_counts(twins: Twins, kind: str, preset: str, modules: dict[str, int]) -> Figures:
    """How many modules of each class a torch network has; how many spectrally normalised ones have a bias."""
    built = network(kind, preset)
    biases = sum(layer.bias is not None for layer in inside(built, SPECTRAL))
    return {"counts": {name: len(inside(built, name)) for name in modules}, "biases": biases}


def keras_attention(layer: Any, images: Any) -> np.ndarray:
    """What Keras's self-attention, given the weights of torch's, makes of NCHW images: NHWC values."""
    from tf_impl.attention import SelfAttention

    state = {name: value.numpy() for name, value in layer.state_dict().items()}
    keras = SelfAttention(layer.value.out_channels, dtype="float64")
    keras.build(to_numpy(images).shape)
    keras.gamma.assign(state["gamma"])
    for name in ("query", "key", "value"):
        convolution = getattr(keras, name)
        convolution.kernel.assign(state[f"{name}.weight"].transpose(2, 3, 1, 0))
        convolution.bias.assign(state[f"{name}.bias"])
    return np.asarray(keras(to_numpy(images)))


def listing(kind: str) -> Any:
    """The layers with parameters of the improved networks as listed, narrow; spectral norm has none of its own."""
    import torch
    from torch import nn

    def up(inputs: int, outputs: int) -> list[Any]:
        return [nn.ConvTranspose2d(inputs, outputs, 4, bias=False), nn.BatchNorm2d(outputs)]

    def attention(channels: int) -> list[Any]:
        query, key = (nn.Conv2d(channels, max(channels // 8, 1), 1) for _ in range(2))
        return [query, key, nn.Conv2d(channels, channels, 1), nn.ParameterList([torch.zeros(1)])]

    if kind == "generator":
        body = [layer for sizes in ((8 + 128, 32), (32, 16), (16, 8), (8, 4), (4, 2), (2, 1)) for layer in up(*sizes)]
        last = nn.ConvTranspose2d(1, 3, 4, bias=False)
        return nn.ModuleList([nn.Embedding(6, 128), *body, *attention(8), *attention(2), last])
    body = [nn.Conv2d(*sizes, 4) for sizes in ((4, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (32, 1))]
    return nn.ModuleList([nn.Embedding(6, 128), nn.Linear(128, 256 * 256), *body, *attention(4)])
