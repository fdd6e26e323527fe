"""What the DCGAN guide says of its networks, measured on dcgan and on stock torch layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.report.formats import count, error, shape
from parity.systems.claims.measured import Measure, Measured, truth, unless
from parity.systems.claims.stock import ELSEWHERE, batch, gap, hand_over
from parity.systems.claims.twins import AGREE, Twins, keras_float64, to_numpy, to_torch

SYSTEM = "dcgan"
# The guide's convolutions: inputs, outputs, stride, padding; each has kernel 4 and no bias.
G = ((100, 512, 1, 0), (512, 256, 2, 1), (256, 128, 2, 1), (128, 64, 2, 1), (64, 1, 2, 1))
D = ((1, 64, 2, 1), (64, 128, 2, 1), (128, 256, 2, 1), (256, 512, 2, 1), (512, 1, 1, 0))
SIZES = {"generator": [(512, 4), (256, 8), (128, 16), (64, 32), (1, 64)],
         "discriminator": [(64, 32), (128, 16), (256, 8), (512, 4), (1, 1)]}  # fmt: skip


def written(network: str) -> Any:
    """The network as the guide writes it, in stock torch."""
    from torch import nn

    layers: list[Any] = []
    if network == "generator":
        for index, (inputs, outputs, stride, padding) in enumerate(G):
            layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(True)] if index < 4 else [nn.Tanh()]
    else:
        for index, (inputs, outputs, stride, padding) in enumerate(D):
            layers.append(nn.Conv2d(inputs, outputs, 4, stride, padding, bias=False))
            layers += [nn.BatchNorm2d(outputs)] if 0 < index < 4 else []
            layers += [nn.LeakyReLU(0.2, inplace=True)] if index < 4 else []
    return nn.Sequential(*layers).double().eval()


def as_written(network: str) -> Measure:
    """The guide's code with our weights, against the Keras network's values."""

    def found(twins: Twins) -> Measured:
        twin = twins.get(network, SYSTEM)
        theirs = written(network)
        fits = hand_over([twin.exact], theirs)
        given = to_torch(twin.inputs)
        got = to_numpy(theirs(given[:, :, None, None] if network == "generator" else given)) if fits else np.empty(0)
        expected = twin.result if network == "generator" else twin.result[:, None, None, None]
        apart = gap(got, expected) if fits else ELSEWHERE
        numbers = sum(p.numel() for p in theirs.parameters()), _trainable(twin.reference)
        return Measured(
            truth(apart <= AGREE and numbers[0] == numbers[1]),
            f"the code as written, given our weights, is off from Keras's network by {error(apart)}; parameters:"
            f" {count(numbers[0])} in it, {count(numbers[1])} in Keras",
            f"按原文代码、使用同样权重，与 Keras 网络相差 {error(apart)}；参数量：原文 {count(numbers[0])}，Keras"
            f" {count(numbers[1])}",
        )

    return found


def _trainable(model: Any) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def sizes(network: str) -> Measure:
    """The sizes that the guide's comments give behind each convolution, in both frameworks."""

    def found(twins: Twins) -> Measured:
        twin = twins.get(network, SYSTEM)
        names = [name for name, values in twin.outputs.items() if values.ndim == 4 and not name.startswith("z_")]
        names = [name for name in names if not name.endswith(("_bn", "_relu", "_lrelu", "_tanh"))]
        keras = [(twin.outputs[name].shape[3], twin.outputs[name].shape[1]) for name in names]
        torch = [twin.port_shapes[name][1:3] for name in names]
        words = " → ".join(f"{channels}×{side}×{side}" for channels, side in torch)
        return Measured(truth(keras == torch == SIZES[network]), words, words)

    return found


def kinds(network: str, names: tuple[str, ...], counts: tuple[int, ...]) -> Measure:
    """How many layers of each class both networks have."""

    def found(twins: Twins) -> Measured:
        twin = twins.get(network, SYSTEM)
        keras_names = {"ConvTranspose2d": "Conv2DTranspose", "Conv2d": "Conv2D", "BatchNorm2d": "BatchNorm"}
        keras = tuple(len(twin.layers(keras_names.get(name, name))) for name in names)
        torch = tuple(len(twin.modules(name)) for name in names)
        words = ", ".join(f"{number} {name}" for number, name in zip(torch, names, strict=True))
        return Measured(truth(keras == torch == counts), words, words)

    return found


def pooled_gradient(twins: Twins) -> Measured:
    """Whether a gradient comes through pooling, as it does through a strided convolution."""
    from torch import nn

    shares = {}
    for name, layer in (("AvgPool2d", nn.AvgPool2d(2)), ("MaxPool2d", nn.MaxPool2d(2))):
        x = batch(twins, 4, 8, 16, 16).requires_grad_()
        layer(x).square().sum().backward()
        assert x.grad is not None
        shares[name] = float((x.grad != 0).double().mean()), sum(p.numel() for p in layer.parameters())
    words = ", ".join(f"{name} {share:.0%}" for name, (share, _) in shares.items())
    parameters = count(nn.Conv2d(8, 8, 4, 2, 1, bias=False).weight.numel())
    return Measured(
        truth(not any(share for share, _ in shares.values())),
        f"pooling is differentiable too; the gradient reaches, of its input: {words}. It has nothing to learn, though,"
        f" where a strided convolution 8 → 8 has {parameters} parameters",
        f"池化同样可微；梯度到达其输入的比例：{words}。但它没有可学习的参数，而步幅卷积 8 → 8 有 {parameters} 个",
    )


def every_activation(twins: Twins) -> Measured:
    """Activations behind the discriminator's layers."""
    d = twins.get("discriminator", SYSTEM)
    convolutions, activations = len(d.layers("Conv2D")), len(d.layers("LeakyReLU"))
    return Measured(
        unless(activations < convolutions, "conditional"),
        f"behind {activations} of {convolutions} convolutions, as in the guide's own code: the last gives the logit",
        f"{convolutions} 个卷积中 {activations} 个之后有，与其代码一致：最后一个给出 logit",
    )


def sparse(twins: Twins) -> Measured:
    """Share of the discriminator's hidden units without a gradient, with ReLU and with LeakyReLU."""
    d = twins.get("discriminator", SYSTEM)
    zeros = float(np.mean([np.mean(d.outputs[f"downconv_{index}" + "_bn" * bool(index)] <= 0) for index in range(4)]))
    slope = float(d.layers("LeakyReLU")[0].negative_slope)
    return Measured(
        truth(slope > 0 and zeros > 0),
        f"{zeros:.1%} of D's hidden units are not positive: ReLU lets no gradient back through them, LeakyReLU"
        f" {slope:.2g} of it",
        f"D 的隐藏单元中 {zeros:.1%} 不为正：ReLU 不让梯度通过，LeakyReLU 让 {slope:.2g} 倍通过",
    )


def norm_defaults(twins: Twins) -> Measured:
    """Stock batch norms of both frameworks after one batch, and the implementation's own."""
    import keras
    from torch import nn

    x = 2 + 0.05 * batch(twins, 4, 8, 3, 3)
    stock = nn.BatchNorm2d(8).double()
    expected = to_numpy(stock(x)), stock.running_var.numpy()  # type: ignore[union-attr]
    own = twins.get("generator", SYSTEM).layers("BatchNorm")[0]
    told = []
    with keras_float64():
        for layer in (keras.layers.BatchNormalization(), type(own)(momentum=own.momentum, epsilon=own.epsilon)):
            values = np.asarray(layer(to_numpy(x), training=True))
            told.append((gap(values, expected[0]), gap(np.asarray(layer.moving_variance), expected[1])))
    settings = f"eps {own.epsilon:g}, Keras momentum {own.momentum:g}"
    return Measured(
        "false" if max(told[1]) > AGREE else unless(max(told[0]) > AGREE, "conditional"),
        f"only spelled out ({settings}, unbiased variance): stock Keras (eps 1e-3, 0.99, biased) is off by"
        f" {error(told[0][0])} in values of small variance, by {error(told[0][1])} in the running variance; ours by"
        f" {error(told[1][0])} and {error(told[1][1])}",
        f"须显式写出（{settings}，无偏方差）：Keras 默认层（eps 1e-3、0.99、有偏）在小方差时数值相差"
        f" {error(told[0][0])}，"
        f"滑动方差相差 {error(told[0][1])}；我们的层相差 {error(told[1][0])} 与 {error(told[1][1])}",
    )


def one_logit(twins: Twins) -> Measured:
    """The discriminator's output, and whether anything squashes it."""
    d = twins.get("discriminator", SYSTEM)
    theirs = tuple(written("discriminator")(to_torch(d.inputs)).shape)
    holds = theirs[1:] == (1, 1, 1) and d.result.ndim == 1 and not d.modules("Sigmoid")
    return Measured(
        truth(holds),
        f"as written {shape(theirs)}, which the loop's view(-1) makes [N]; here {shape(d.result.shape)}, no sigmoid",
        f"按原文为 {shape(theirs)}，由循环中的 view(-1) 变为 [N]；此处 {shape(d.result.shape)}，无 sigmoid",
    )


def initial(twins: Twins) -> Measured:
    """Spread of the written networks' fresh kernels, beside the paper's distribution."""
    import torch

    from torch_impl import DCGANGenerator

    told = []
    with torch.random.fork_rng():
        torch.manual_seed(twins.seed)
        for network in (written("generator"), DCGANGenerator(), DCGANGenerator(init="framework")):
            spreads = [float(p.detach().std()) for p in network.parameters() if p.ndim > 1]
            told.append((min(spreads), max(spreads)))
    words = [f"{low:.4f} … {high:.4f}" for low, high in told]
    paper = abs(told[0][0] / 0.02 - 1) < 0.05 and abs(told[0][1] / 0.02 - 1) < 0.05
    return Measured(
        truth(paper),
        f"its code draws nothing itself: kernels of G spread by {words[0]}, torch's default. The paper's N(0, 0.02),"
        " our"
        f" default, gives {words[1]}; init=framework {words[2]}",
        f"其代码没有初始化：G 的卷积核标准差 {words[0]}，即 torch 默认。论文的 N(0, 0.02)（我们的默认）为 {words[1]}；"
        f"init=framework 为 {words[2]}",
    )


def output_range(twins: Twins) -> Measured:
    """Smallest and largest value of the generator, and what becomes of black and white pixels."""
    g = twins.get("generator", SYSTEM)
    low, high = float(g.result.min()), float(g.result.max())
    ends = [(value / 255 - 0.5) / 0.5 for value in (0, 255)]
    apart = max(abs((value / 255 - 0.5) / 0.5 - (value / 127.5 - 1)) for value in range(256))
    return Measured(
        truth(low >= -1 and high <= 1 and ends == [-1, 1] and apart <= AGREE),
        f"G: {low:.3f} … {high:.3f}; (value − 0.5) / 0.5 maps pixels to {ends}, off from ours (x / 127.5 − 1) by"
        f" {error(apart)}",
        f"G：{low:.3f} … {high:.3f}；(value − 0.5) / 0.5 把像素映射到 {ends}，与我们的 x / 127.5 − 1 相差"
        f" {error(apart)}",
    )
