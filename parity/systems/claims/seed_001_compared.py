"""What the DCGAN experiments log says of its networks beside the paper's, measured on upsample_dcgan and dcgan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from parity.numerics.difference import difference
from parity.report.formats import error
from parity.systems.claims.measured import Measure, Measured, truth, unless
from parity.systems.claims.seed_001_networks import SYSTEM
from parity.systems.claims.stock import batch, gap
from parity.systems.claims.twins import AGREE, Twin, Twins

CONVOLUTIONS = ("Conv2D", "Conv2DTranspose", "Dense")
BATCHES = 10


def initial_layer(twins: Twins) -> Measured:
    """A transposed convolution of one pixel, and the same kernel as a dense layer."""
    dc, up = twins.get("generator", "dcgan"), twins.get("generator", SYSTEM)
    first = [twin.layers(*CONVOLUTIONS)[0] for twin in (dc, up)]
    kernel = np.asarray(first[0].kernel)  # [4, 4, 8g, nz]
    dense = (dc.inputs @ kernel.reshape(-1, kernel.shape[-1]).T).reshape(-1, *kernel.shape[:3])
    apart = gap(dense, dc.outputs["upconv_0"])
    kinds = [type(layer).__name__ for layer in first]
    return Measured(
        "false" if kinds != ["Conv2DTranspose", "Dense"] else unless(apart <= AGREE, "conditional"),
        f"{kinds[0]} and {kinds[1]}: another layer but the same function, as a dense layer of the same kernel gives the"
        f" transposed convolution's values within {error(apart)}; the bias and the missing batch norm differ",
        f"{kinds[0]} 与 {kinds[1]}：层不同而函数相同，同一卷积核的全连接层给出转置卷积的数值，相差 {error(apart)}；"
        "差别在于偏置和缺少批归一化",
    )


def resize_mode(twins: Twins) -> Measured:
    """What ``Upsample(scale_factor=2)`` does, and how far bilinear images are from its own."""
    from torch import nn

    mode = nn.Upsample(scale_factor=2).mode
    nearest, bilinear = (twins.get("generator", SYSTEM, ngf=8, upsample=word) for word in ("nearest", "bilinear"))
    x = batch(twins, 2, 3, 4, 4)
    doubled = [nn.Upsample(scale_factor=2, mode=word)(x).numpy() for word in ("bilinear", "nearest")]
    layer = gap(doubled[0], doubled[1])
    image = difference(bilinear.result, nearest.result).relative
    return Measured(
        truth(mode == "bilinear"),
        f"Upsample(scale_factor=2) is {mode}: bilinear differs from it by {error(layer)} in one layer, by"
        f" {error(image)}"
        " in G's images under the same weights (both are options here, exact to"
        f" {error(bilinear.error(bilinear.exact))})",
        f"Upsample(scale_factor=2) 为 {mode}：与 bilinear 单层相差 {error(layer)}，同样权重下 G 的图像相差"
        f" {error(image)}"
        f"（此处两者均可选，精确到 {error(bilinear.error(bilinear.exact))}）",
    )


def slopes(twins: Twins) -> Measured:
    """Hidden activations of both generators."""
    dc = {type(layer).__name__ for layer in twins.get("generator", "dcgan").layers("ReLU", "LeakyReLU")}
    up = {round(float(layer.negative_slope), 9) for layer in twins.get("generator", SYSTEM).layers("ReLU", "LeakyReLU")}
    words = f"dcgan: {', '.join(sorted(dc))}; {SYSTEM}: LeakyReLU {sorted(up)}"
    return Measured(truth(dc == {"ReLU"} and up == {0.2}), words, words)


def last_activations(twins: Twins) -> Measured:
    """Last activations of both generators, and the range of their values."""
    found = [twins.get("generator", implementation) for implementation in ("dcgan", SYSTEM)]
    names = [twin.layers("Activation")[-1].activation.__name__ for twin in found]
    spans = [f"{twin.result.min():.3f} … {twin.result.max():.3f}" for twin in found]
    words = "; ".join(f"{name}, {span}" for name, span in zip(names, spans, strict=True))
    return Measured(truth(names == ["tanh", "tanh"]), words, words)


def normalised(network: str, wanted: Sequence[str]) -> Measure:
    """Which layers with weights have a batch norm behind them, in both systems; ``wanted`` lack one."""

    def found(twins: Twins) -> Measured:
        told, lacking = [], []
        for implementation in ("dcgan", SYSTEM):
            twin = twins.get(network, implementation)
            names = [layer.name for layer in twin.layers(*CONVOLUTIONS)]
            norms = {layer.name.removesuffix("_bn") for layer in twin.layers("BatchNorm")}
            lacking.append([name for name in names if name not in norms])
            told.append((implementation, len(norms), len(names), ", ".join(lacking[-1])))
        return Measured(
            truth(lacking[1] == list(wanted)),
            "; ".join(
                f"{implementation}: {some} of {every} layers, not {names}"
                for implementation, some, every, names in told
            ),
            "；".join(
                f"{implementation}：{every} 层中 {some} 层，{names} 没有" for implementation, some, every, names in told
            ),
        )

    return found


def kernel_sizes(network: str) -> Measure:
    """Kernel sizes of both systems."""

    def found(twins: Twins) -> Measured:
        sizes = {implementation: {n for layer in twins.get(network, implementation).layers("Conv2D", "Conv2DTranspose")
                         for n in layer.kernel_size} for implementation in ("dcgan", SYSTEM)}  # fmt: skip
        words = "; ".join(
            f"{implementation}: {', '.join(f'{n}×{n}' for n in sorted(found))}"
            for implementation, found in sizes.items()
        )
        return Measured(truth(list(sizes.values()) == [{4}, {3}]), words, words)

    return found


def flow(network: str, kinds: dict[str, list[str]]) -> Measure:
    """Layers with weights in order, and the sizes that they make."""

    def found(twins: Twins) -> Measured:
        got, told = {}, []
        for implementation in kinds:
            twin = twins.get(network, implementation)
            got[implementation] = [type(layer).__name__ for layer in twin.layers(*CONVOLUTIONS)]
            sides = [
                values.shape[1]
                for name, values in twin.outputs.items()
                if values.ndim == 4 and "conv" in name and not name.endswith("_pad")
            ]
            told.append(
                f"{implementation}: {_counted(got[implementation])}, {' → '.join(map(str, dict.fromkeys(sides)))}"
            )
        return Measured(truth(got == kinds), "; ".join(told), "；".join(told))

    return found


def _counted(names: list[str]) -> str:
    return " + ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))


def running(twins: Twins) -> list[dict[str, float]]:
    """Running means under torch's reading and under Keras's after one and ten batches of mean 3, and their noise."""
    import torch

    told = []
    own = Twin(SYSTEM, "UpsampleDCGANGenerator", twins.seed, ngf=2)
    for momentum in (own.exact.get_submodule("upconv_0_bn").momentum, 1 - 0.8, 0.1):
        norm = torch.nn.BatchNorm2d(4096, momentum=momentum).double()
        means = []
        for place in range(BATCHES):
            norm(3 + batch(twins, 16, 4096, 1, 1, place=place))
            assert norm.running_mean is not None
            means.append(norm.running_mean.clone())
        told.append(
            {
                "momentum": momentum,
                "first": float(means[0].mean()),
                "last": float(means[-1].mean()),
                "noise": float(means[-1].std()),
            }
        )
    return told


def momentum(twins: Twins) -> Measured:
    """What 0.8 means in either convention."""
    torch_reading, keras_reading, default = running(twins)
    own = Twin(SYSTEM, "UpsampleDCGANGenerator", twins.seed, ngf=2)
    keras = own.layers("BatchNorm")[0].momentum
    told = [f"{row['first']:.3f}, {row['last']:.3f}" for row in (torch_reading, keras_reading, default)]
    new = torch_reading["momentum"]
    return Measured(
        unless(abs(new - 0.8) < 1e-12 and abs(keras - 0.2) < 1e-12, "false"),
        f"in torch 0.8 weighs the new batch, so it is Keras's {keras:.1f}, and the default is 0.1, not 0.9. Running"
        " mean"
        f" after one and ten batches of mean 3: {told[0]}; read as Keras's 0.8: {told[1]}; by default: {told[2]}",
        f"torch 的 0.8 是新批次的权重，即 Keras 的 {keras:.1f}，默认值是 0.1 而非 0.9。均值为 3 的数据经一批、"
        "十批后的滑动均值："
        f"{told[0]}；按 Keras 的 0.8 理解：{told[1]}；默认：{told[2]}",
    )


def adaptation(twins: Twins) -> Measured:
    """How fast running statistics follow, and what that costs."""
    torch_reading, keras_reading, default = running(twins)
    faster = torch_reading["first"] > keras_reading["first"] > default["first"]
    shares = [f"{row['first'] / 3:.0%}" for row in (torch_reading, keras_reading, default)]
    noises = [f"{row['noise'] / default['noise']:.1f}×" for row in (torch_reading, keras_reading)]
    return Measured(
        truth(faster),
        f"of the way after one batch: {shares[0]} as torch has it, {shares[1]} read as Keras's, {shares[2]} by default;"
        f" the price: {noises[0]} and {noises[1]} the default's noise after ten",
        f"一批之后走过的比例：torch 的含义 {shares[0]}，按 Keras 理解 {shares[1]}，默认 {shares[2]}；"
        f"代价：十批之后噪声为默认的 {noises[0]} 与 {noises[1]}",
    )


def final_layer(twins: Twins) -> Measured:
    """The classic discriminator's last convolution as a dense layer on its flattened features."""
    dc, up = (twins.get("discriminator", implementation) for implementation in ("dcgan", SYSTEM))
    last = [twin.layers(*CONVOLUTIONS)[-1] for twin in (dc, up)]
    features = dc.outputs["downconv_3_lrelu"]
    kernel = np.asarray(last[0].kernel)
    apart = gap(features.reshape(len(features), -1) @ kernel.reshape(-1), dc.outputs["squeeze"])
    squashed = ["output_sigmoid" in twin.outputs for twin in (dc, up)]
    kinds = [type(layer).__name__ for layer in last]
    return Measured(
        "false" if squashed != [False, True] else unless(kinds[0] != "Dense", "conditional"),
        f"the classic one ends in a {last[0].kernel_size[0]}×{last[0].kernel_size[1]} {kinds[0]}, which is a dense"
        " layer"
        f" on flattened features within {error(apart)}; sigmoid: {squashed[0]} and {squashed[1]}",
        f"经典版以 {last[0].kernel_size[0]}×{last[0].kernel_size[1]} {kinds[0]} 结束，等于展平特征上的全连接层，"
        f"相差 {error(apart)}；sigmoid：{'有' if squashed[0] else '无'}与{'有' if squashed[1] else '无'}",
    )


def checkerboard(twins: Twins) -> Measured:
    """What each way of doubling makes of a constant image: the spread between the four phases of the pixels."""
    import torch
    from torch import nn

    spreads = []
    flat = torch.ones(1, 64, 8, 8, dtype=torch.float64)
    transposed = nn.Sequential(nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False))
    convolved = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(64, 32, 3, padding=1, bias=False))
    for doubling in (transposed, convolved):
        kernel = next(doubling.double().parameters())
        kernel.data = 0.02 * batch(twins, *kernel.shape)
        inner = doubling(flat)[..., 4:-4, 4:-4].detach()
        spreads.append(float(inner.std((2, 3)).mean() / inner.abs().mean()))
    return Measured(
        truth(spreads[1] < spreads[0]),
        f"from a constant image with N(0, 0.02) kernels: pixels spread by {error(spreads[0])} of their size behind a"
        f" transposed convolution, by {error(spreads[1])} behind upsampling and convolution",
        f"输入常数图像、卷积核取 N(0, 0.02)：转置卷积之后像素离散度为其大小的 {error(spreads[0])}，上采样加卷积之后为"
        f" {error(spreads[1])}",
    )


def gradient_flow(twins: Twins) -> Measured:
    """Share of inputs to which no gradient comes back."""
    from torch.nn import functional as F

    shares = []
    for function in (F.relu, lambda x: F.leaky_relu(x, 0.2)):
        x = batch(twins, 10_000).requires_grad_()
        function(x).sum().backward()
        shares.append(float((x.grad == 0).double().mean()))
    words = f"ReLU {shares[0]:.1%}, LeakyReLU {shares[1]:.1%}"
    return Measured(truth(shares[1] < shares[0]), f"no gradient comes back to: {words}", f"没有梯度传回的比例：{words}")
