"""What the review of a conditional DCGAN says of its networks, measured on conditional_dcgan."""

from __future__ import annotations

from functools import cache
from typing import Any

from parity.report.formats import count, shape
from parity.systems.claims.measured import Measure, Measured, both_sides, truth, unless
from parity.systems.claims.stock import batch
from parity.systems.claims.twins import Twins
from shared_impl.config.presets import load

NARROW = ("model.ngf=1", "model.ndf=1", "model.nz=8")  # 32 channels at 4x4: the depth and every size stay
BASELINE, IMPROVED = "conditional_dcgan", "conditional_dcgan_improved"
# The improved generator as listed: the side behind each of its layers, attention where it stands.
LISTED = ("conv", "conv", "conv", "attention", "conv", "conv", "attention", "conv", "conv")


def port(network: str, preset: str = BASELINE, *overrides: str) -> Any:
    """A narrow torch network of a preset, freshly drawn."""
    import torch

    import torch_impl

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch_impl.build(load(preset, [*NARROW, *overrides]).model, network)


@cache
def full(network: str, preset: str) -> Any:
    """A network of a preset at full width, without values."""
    import torch

    import torch_impl

    with torch.device("meta"):
        return torch_impl.build(load(preset).model, network)


def inside(network: Any, *kinds: str) -> list[Any]:
    """A network's modules of these classes, in their order."""
    return [module for module in network.modules() if type(module).__name__ in kinds]


def sides(network: Any, inputs: Any, *kinds: str) -> list[tuple[str, int]]:
    """Class and output side of every module of these classes in one run."""
    import torch

    seen: list[tuple[str, int]] = []
    hooks = [
        module.register_forward_hook(lambda module, _, out: seen.append((type(module).__name__, out.shape[-1])))
        for module in inside(network, *kinds)
    ]
    with torch.no_grad():
        network.eval()(*inputs)
    for hook in hooks:
        hook.remove()
    return seen


def latents(twins: Twins) -> tuple[Any, Any]:
    """Two latents and classes for a narrow generator."""
    import torch

    return batch(twins, 2, 8).float(), torch.tensor([0, 5])


def embedded(twins: Twins) -> Measured:
    """Embeddings of both networks in both frameworks."""
    import tf_impl

    numbers = []
    for network in ("generator", "discriminator"):
        keras = tf_impl.build(load(BASELINE, NARROW).model, network)
        embeddings = [layer for layer in keras._flatten_layers() if type(layer).__name__ == "Embedding"]
        numbers.append((len(embeddings), len(inside(port(network), "Embedding"))))
    keras_side, torch_side = zip(*numbers, strict=True)
    return both_sides(keras_side == torch_side == (1, 1), *(f"G {g}, D {d}" for g, d in (keras_side, torch_side)))


def concatenated(twins: Twins) -> Measured:
    """Inputs of the generator's first convolution."""
    model = load(BASELINE).model
    first = inside(port("generator"), "ConvTranspose2d")[0].in_channels
    return Measured(
        truth(first == 8 + model.embedding),  # type: ignore[union-attr]
        f"its first layer sees {first} numbers with 8 latents: noise, then an embedding of {first - 8}",
        f"隐向量 8 维时第一层的输入为 {first} 个数：噪声之后接 {first - 8} 维嵌入",
    )


def injected(twins: Twins) -> Measured:
    """Inputs of the discriminator's first convolution."""
    first = inside(port("discriminator"), "ParametrizedSpectralConv2D")[0].in_channels
    return Measured(
        truth(first == 4), f"its first layer sees {first} channels: 3 + 1", f"第一层的输入为 {first} 个通道：3 + 1"
    )


def present(network: str, wanted: dict[str, int], preset: str = BASELINE) -> Measure:
    """How many modules of each class a network has."""

    def found(twins: Twins) -> Measured:
        built = port(network, preset)
        numbers = {kind: len(inside(built, kind)) for kind in wanted}
        words = ", ".join(f"{number} {kind.removeprefix('Parametrized')}" for kind, number in numbers.items())
        return Measured(truth(numbers == wanted), words, words)

    return found


def depth(twins: Twins) -> Measured:
    """The generator's transposed convolutions and the sides that they make."""
    found = sides(port("generator"), latents(twins), "ConvTranspose2d")
    path = " → ".join(str(side) for _, side in found)
    return Measured(
        "false" if found[-1][1] != 256 else unless(len(found) != 6, "conditional"),
        f"{len(found)} transposed convolutions: the first makes 4×4, {len(found) - 1} double it: {path}",
        f"{len(found)} 个转置卷积：第一个得到 4×4，其后 {len(found) - 1} 个逐次加倍：{path}",
    )


def huge(twins: Twins) -> Measured:
    """Numbers of the discriminator's embedding, and their share of it."""
    d = full("discriminator", BASELINE)
    (embedding,) = inside(d, "Embedding")
    own, every = embedding.weight.numel(), sum(p.numel() for p in d.parameters())
    return Measured(
        "false" if embedding.weight.shape[1] != 65_536 else unless(own / every < 0.1, "conditional"),
        f"{count(embedding.weight.shape[1])} numbers for each of {embedding.weight.shape[0]} classes: {count(own)}"
        f" parameters, {own / every:.2%} of D's {count(every)}",
        f"{embedding.weight.shape[0]} 个类别各 {count(embedding.weight.shape[1])} 个数：{count(own)} 个参数，占 D 的"
        f" {count(every)} 个的 {own / every:.2%}",
    )


def projected(twins: Twins) -> Measured:
    """Parameters of the label's way into the discriminator, before and after the proposed remedy."""
    before = sum(p.numel() for p in inside(full("discriminator", BASELINE), "Embedding")[0].parameters())
    planes = full("discriminator", IMPROVED).get_submodule("scale_0.label_planes")
    after = sum(p.numel() for p in planes.parameters())
    return Measured(
        truth(after < before),
        f"the embedding shrinks, but the dense layer 128 → 65,536 behind it makes the label's way {after / before:.1f}"
        f" times larger: {count(after)} parameters instead of {count(before)}",
        f"嵌入变小了，但其后的全连接层 128 → 65,536 使标签通路变为 {after / before:.1f} 倍：{count(after)} 个参数，原为"
        f" {count(before)}",
    )


def replicated(twins: Twins) -> Measured:
    """Parameters of an embedding repeated at every pixel, and what the first convolution then sees."""
    d = port("discriminator", BASELINE, "model.label=replicated")
    own = sum(p.numel() for p in d.get_submodule("scale_0.label_planes").parameters())
    first = inside(d, "ParametrizedSpectralConv2D")[0].in_channels
    return Measured(
        truth(own == 6 * 128),
        f"label=replicated: {count(own)} parameters; D's first layer sees {first} channels then",
        f"label=replicated：{count(own)} 个参数；D 第一层的输入变为 {first} 个通道",
    )


def auxiliary(twins: Twins) -> Measured:
    """Outputs of a discriminator with a classification head."""
    import torch

    d = port("discriminator", BASELINE, "model.label=auxiliary", "model.image_size=32").eval()
    with torch.no_grad():
        scores, classes = d(batch(twins, 2, 3, 32, 32).float())
    words = f"{shape(scores.shape)}, {shape(classes.shape)}"
    return Measured(truth(classes.shape[1] == 6), f"label=auxiliary gives {words}", f"label=auxiliary 的输出：{words}")


def listed(place: int, stated: int) -> Measure:
    """The side at which the listing puts its attention number ``place``, and where ours stands."""

    def found(twins: Twins) -> Measured:
        side, at = 2, []
        for kind in LISTED:
            side = side * 2 if kind == "conv" else side
            at += [side] if kind == "attention" else []
        ours = [side for _, side in sides(port("generator", IMPROVED), latents(twins), "SelfAttention")]
        holds = at[place] == ours[place] == stated
        matrix = stated**4 * 4 / 2**20
        return Measured(
            truth(holds),
            f"in the code it follows {at[place]}×{at[place]} features, where ours stands too"
            f" ({ours[place]}×{ours[place]});"
            f" at {stated}×{stated} its weights would take {matrix:,.0f} MiB a sample in float32",
            f"代码中它位于 {at[place]}×{at[place]} 的特征之后，我们的亦然（{ours[place]}×{ours[place]}）；若在"
            f" {stated}×{stated}，其权重每样本需 {matrix:,.0f} MiB（float32）",
        )

    return found


def attention_of_d(twins: Twins) -> Measured:
    """The side at which the improved discriminator attends to itself."""
    import torch

    images = batch(twins, 1, 3, 256, 256).float(), torch.tensor([1])
    found = sides(port("discriminator", IMPROVED), images, "SelfAttention")
    words = ", ".join(f"{side}×{side}" for _, side in found)
    return Measured(truth([side for _, side in found] == [32]), words, words)


def improved(network: str) -> Measure:
    """Parameters of the listing, in stock torch, against ours, both narrow; and ours at full width."""

    def found(twins: Twins) -> Measured:
        ours = sum(p.numel() for p in port(network, IMPROVED).parameters())
        theirs = sum(p.numel() for p in _listing(network).parameters())
        every = sum(p.numel() for p in full(network, IMPROVED).parameters())
        return Measured(
            truth(ours == theirs),
            f"at width 1 the listing has {count(theirs)} parameters, ours {count(ours)}; at full width {count(every)}",
            f"宽度为 1 时原文有 {count(theirs)} 个参数，我们的 {count(ours)} 个；全宽时 {count(every)} 个",
        )

    return found


def _listing(network: str) -> Any:
    """The improved networks as listed, at the width of :data:`NARROW`."""
    from torch import nn
    from torch.nn.utils.parametrizations import spectral_norm

    from parity.systems.claims.seed_004_attention import Written

    def up(inputs: int, outputs: int, stride: int) -> list[Any]:
        transposed = nn.ConvTranspose2d(inputs, outputs, 4, stride, stride - 1, bias=False)
        return [transposed, nn.BatchNorm2d(outputs), nn.ReLU(True)]

    def down(inputs: int, outputs: int) -> list[Any]:
        return [spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2, True)]

    if network == "generator":
        body = [*up(8 + 128, 32, 1), *up(32, 16, 2), *up(16, 8, 2), Written.build(8), *up(8, 4, 2), *up(4, 2, 2)]
        body += [Written.build(2), *up(2, 1, 2), nn.ConvTranspose2d(1, 3, 4, 2, 1, bias=False), nn.Tanh()]
        return nn.ModuleList([nn.Embedding(6, 128), *body])
    label = [nn.Embedding(6, 128), nn.Linear(128, 256 * 256), nn.LeakyReLU(0.2)]
    body = [*down(4, 1), *down(1, 2), *down(2, 4), Written.build(4), *down(4, 8), *down(8, 16), *down(16, 32)]
    return nn.ModuleList([*label, *body, spectral_norm(nn.Conv2d(32, 1, 4, 1, 0))])
