"""The conditional DCGAN's networks, which are no chains: torch's modules of a preset, narrow or at full width."""

from __future__ import annotations

from functools import cache
from typing import Any

from parity.systems.chains import Twins
from parity.systems.claims.measures.attention import listed_attention
from parity.systems.claims.measures.registry import Figures, measure
from parity.systems.claims.measures.settings import configuration

NARROW = "model.ngf=1 model.ndf=1 model.nz=8"  # 32 channels at 4x4: the depth and every size stay
SPECTRAL = "ParametrizedSpectralConv2D"


def network(kind: str, preset: str) -> Any:
    """A narrow torch network of a preset with its overrides, freshly drawn."""
    import torch

    import torch_impl

    own, _, overrides = preset.partition(" ")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch_impl.build(configuration(f"{own} {NARROW} {overrides}").model, kind)


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


@measure("counts == modules", "{counts}", "{counts}")
def module_counts(twins: Twins, kind: str, preset: str, modules: dict[str, int]) -> Figures:
    """How many modules of each class a torch network has; how many spectrally normalised ones have a bias."""
    built = network(kind, preset)
    biases = sum(layer.bias is not None for layer in inside(built, SPECTRAL))
    return {"counts": {name: len(inside(built, name)) for name in modules}, "biases": biases}


@measure("found == sides", "{words}", "{words}")
def module_sides(twins: Twins, kind: str, preset: str, module: str, sides: list[int]) -> Figures:
    """Output heights of the modules of a class in one run, two latents or images and their classes."""
    found = _sides(twins, kind, preset, module)
    words = [f"{side}×{side}" for side in found]
    return {"found": found, "number": len(found), "doubling": len(found) - 1, "words": words}


def _sides(twins: Twins, kind: str, preset: str, module: str) -> list[int]:
    import torch

    built, found = network(kind, preset).eval(), list[int]()
    size = configuration(preset).model.side
    shape = (2, 8) if kind == "generator" else (1, 3, size, size)
    for part in inside(built, module):
        part.register_forward_hook(lambda part, _, out: found.append(out.shape[-1]))
    with torch.no_grad():
        built(twins.batch(*shape).float(), torch.tensor([0, 5][: shape[0]]))
    return found


@measure("listed[place] == own[place] == stated")
def attention_sides(twins: Twins, preset: str, layers: list[str], place: int, stated: int) -> Figures:
    """The side behind which the ``layers`` listed attend to themselves, ours, and the weights' MiB at another side."""
    side, listed = 2, []
    for kind in layers:
        side = side * 2 if kind == "conv" else side
        listed += [side] if kind == "attention" else []
    own = _sides(twins, "generator", preset, "SelfAttention")
    return {"listed": listed, "own": own, "at": listed[place], "ours": own[place], "memory": stated**4 * 4 // 2**20}


@measure("keras == torch == [1, 1]")
def embeddings(twins: Twins, preset: str) -> Figures:
    """Embeddings of generator and discriminator on both sides."""
    import tf_impl

    found: Figures = {"keras": [], "torch": []}
    for kind in ("generator", "discriminator"):
        keras = tf_impl.build(configuration(f"{preset} {NARROW}").model, kind)
        found["keras"].append(sum(type(layer).__name__ == "Embedding" for layer in keras._flatten_layers()))
        found["torch"].append(len(inside(network(kind, preset), "Embedding")))
    return found


@measure(
    "own == listed",
    "at width 1 the listing has {listed:,} parameters, ours {own:,}; at full width {every:,}",
    "宽度为 1 时原文有 {listed:,} 个参数，我们的 {own:,} 个；全宽时 {every:,} 个",
)
def listing_parameters(twins: Twins, kind: str, preset: str) -> Figures:
    """Parameters of the improved networks as listed, in stock torch, against ours, both narrow; ours at full width."""
    own, listed = parameters(network(kind, preset)), parameters(_listing(kind))
    return {"own": own, "listed": listed, "every": parameters(full(kind, preset))}


def _listing(kind: str) -> Any:
    """The improved networks as listed, at the width of :data:`NARROW`."""
    from torch import nn
    from torch.nn.utils.parametrizations import spectral_norm

    def up(inputs: int, outputs: int, stride: int) -> list[Any]:
        transposed = nn.ConvTranspose2d(inputs, outputs, 4, stride, stride - 1, bias=False)
        return [transposed, nn.BatchNorm2d(outputs), nn.ReLU(True)]

    def down(inputs: int, outputs: int) -> list[Any]:
        return [spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2, True)]

    if kind == "generator":
        body = [*up(8 + 128, 32, 1), *up(32, 16, 2), *up(16, 8, 2), listed_attention(8), *up(8, 4, 2), *up(4, 2, 2)]
        body += [listed_attention(2), *up(2, 1, 2), nn.ConvTranspose2d(1, 3, 4, 2, 1, bias=False), nn.Tanh()]
        return nn.ModuleList([nn.Embedding(6, 128), *body])
    label = [nn.Embedding(6, 128), nn.Linear(128, 256 * 256), nn.LeakyReLU(0.2)]
    body = [*down(4, 1), *down(1, 2), *down(2, 4), listed_attention(4), *down(4, 8), *down(8, 16), *down(16, 32)]
    return nn.ModuleList([*label, *body, spectral_norm(nn.Conv2d(32, 1, 4, 1, 0))])
