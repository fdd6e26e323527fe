"""Claims about the code around the networks, and about how they compare with a DCGAN."""

from __future__ import annotations

import inspect
import re
from typing import Any

from parity.report.formats import error
from parity.systems.claims.measured import Measured, truth
from parity.systems.claims.twins import AGREE, Twins, to_torch

IMPLEMENTATIONS = ("dcgan", "specgan")
NETWORKS = ("generator", "discriminator")


def kernels(twins: Twins) -> Measured:
    """Kernel sizes of DCGAN and SpecGAN."""
    sizes = {implementation: {tuple(layer.kernel_size) for network in NETWORKS
                     for layer in twins.get(network, implementation).layers("Conv2D", "Conv2DTranspose")}
             for implementation in IMPLEMENTATIONS}  # fmt: skip
    words = "; ".join(
        f"{implementation}: {', '.join(f'{a}×{b}' for a, b in sorted(found))}"
        for implementation, found in sizes.items()
    )
    return Measured(truth(sizes == {"dcgan": {(4, 4)}, "specgan": {(5, 5)}}), words, words)


def receptive_field(twins: Twins) -> Measured:
    """Receptive fields of both discriminators, from their kernels and strides."""
    fields = {}
    for implementation in IMPLEMENTATIONS:
        size, jump = 1, 1
        for layer in twins.get("discriminator", implementation).layers("Conv2D"):
            size, jump = size + (layer.kernel_size[0] - 1) * jump, jump * layer.strides[0]
        fields[implementation] = size
    words = f"DCGAN {fields['dcgan']}, SpecGAN {fields['specgan']}"
    return Measured(
        truth(fields["specgan"] > fields["dcgan"]),
        f"five convolutions of the discriminators see {words} pixels a side",
        f"判别器五个卷积的感受野边长（像素）：{words}",
    )


def colour(twins: Twins) -> Measured:
    """A DCGAN of three channels."""
    spec, dc = (twins.get("generator", implementation).result.shape[-1] for implementation in ("specgan", "dcgan"))
    colour = twins.get("generator", "dcgan", ngf=4, nc=3)
    gap = colour.error(colour.exact)
    works = colour.result.shape[-1] == 3 and gap <= AGREE and spec == 1
    return Measured(
        "conditional" if works else "false",
        f"a setting of either network: defaults {dc} and {spec} here; a DCGAN with nc=3 agrees to {error(gap)}",
        f"两种网络都可设置：此处默认 {dc} 与 {spec}；nc=3 的 DCGAN 相差 {error(gap)}",
    )


def norms(twins: Twins) -> Measured:
    """Batch norms that both systems have by default."""
    numbers = {
        implementation: sum(len(twins.get(network, implementation).layers("BatchNorm")) for network in NETWORKS)
        for implementation in IMPLEMENTATIONS
    }
    words = f"DCGAN {numbers['dcgan']}, SpecGAN {numbers['specgan']}"
    return Measured(
        truth(numbers["dcgan"] > 0 and numbers["specgan"] == 0),
        f"batch norms by default: {words}",
        f"默认的批归一化层数：{words}",
    )


def depth(twins: Twins) -> Measured:
    """Transposed convolutions and image sizes of both generators."""
    g, dc = twins.generator, twins.get("generator", "dcgan")
    numbers = [len(twin.layers("Conv2DTranspose")) for twin in (g, dc)]
    sides = [twin.result.shape[1] for twin in (g, dc)]
    return Measured(
        "conditional" if numbers == [5, 5] and sides == [128, 64] else "false",
        f"SpecGAN's {numbers[0]} start from a dense 4×4 and reach {sides[0]}; the classic DCGAN's {numbers[1]} reach"
        f" {sides[1]}: only a sixth would make 128",
        f"SpecGAN 的 {numbers[0]} 层从全连接的 4×4 开始，达到 {sides[0]}；"
        f"经典 DCGAN 的 {numbers[1]} 层只达到 {sides[1]}：加上第六层才有 128",
    )


def module(twins: Twins) -> Measured:
    """Whether the ports are modules whose layers exist before their first run."""
    from torch import nn

    modules = [twin.exact for twin in twins.both]
    numbers = [len(list(module.parameters())) for module in modules]
    return Measured(
        truth(all(isinstance(module, nn.Module) for module in modules) and numbers == [12, 12]),
        f"both are; parameters registered by __init__: {numbers[0]} and {numbers[1]}",
        f"两个网络都是；__init__ 中注册的参数：{numbers[0]} 与 {numbers[1]} 个",
    )


def device(twins: Twins) -> Measured:
    """A move to another device."""
    port = twins.get("generator", dim=4, use_batchnorm=True).port().to("meta")
    tensors = [*port.parameters(), *port.buffers()]
    left = sum(tensor.device.type != "meta" for tensor in tensors)
    return Measured(
        truth(not left),
        f"{len(tensors)} parameters and buffers moved, {left} left behind",
        f"移动了 {len(tensors)} 个参数与缓冲区，遗漏 {left} 个",
    )


def apply_initialiser(twins: Twins) -> Measured:
    """Kernels after a DCGAN's weights_init."""
    from torch import Generator, Tensor, nn

    generator = Generator().manual_seed(twins.seed)
    port = twins.get("generator", dim=16).port()

    def weights_init(module: Any) -> None:
        if isinstance(getattr(module, "weight", None), Tensor):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)

    port.apply(weights_init)
    spreads = [
        float(p.detach().std()) for name, p in port.named_parameters() if name.endswith("weight") and p.numel() > 1000
    ]
    words = f"{min(spreads):.4f} … {max(spreads):.4f}"
    return Measured(
        truth(all(abs(spread / 0.02 - 1) < 0.1 for spread in spreads)),
        f"standard deviations after it: {words}",
        f"应用后的标准差：{words}",
    )


def documentation(twins: Twins) -> Measured:
    """Docstrings, line references and shapes in the port's source."""
    module = inspect.getmodule(type(twins.generator.exact))
    assert module is not None
    source = inspect.getsource(module)
    public = [cls for _, cls in inspect.getmembers(module, inspect.isclass) if cls.__module__ == module.__name__]
    with_words = sum(bool(cls.__doc__) for cls in public)
    lines, shapes = len(re.findall(r"\blines? \d+", source)), len(re.findall(r"# \[B", source))
    return Measured(
        truth(with_words == len(public) and lines > 0 and shapes > 0),
        f"in this port: {with_words} of {len(public)} classes documented, {lines} line references, {shapes} shapes",
        f"本移植中：{len(public)} 个类中 {with_words} 个有文档，{lines} 处行号引用，{shapes} 处形状注释",
    )


def no_features(twins: Twins) -> Measured:
    """An input form that only the port takes."""
    g = twins.generator
    taken = g.exact(to_torch(g.inputs)[:, :, None, None]).shape[0] == len(g.inputs)
    return Measured(
        truth(not taken),
        "latents of shape [N, 100, 1, 1], a choice of channels and DCGAN weights are additions of the port",
        "[N, 100, 1, 1] 形式的隐向量、可选通道数、DCGAN 初始化均为移植版所添加",
    )


def usage(twins: Twins) -> Measured:
    """Shapes that the example gives."""
    import torch

    g, d = twins.generator, twins.discriminator
    with torch.no_grad():
        images = g.exact(torch.randn(16, 100, dtype=torch.float64))
        scores = d.exact(images)
    got = list(images.shape), list(scores.shape)
    return Measured(
        truth(got == ([16, 1, 128, 128], [16])), f"PyTorch: {got[0]}, {got[1]}", f"PyTorch：{got[0]}、{got[1]}"
    )
