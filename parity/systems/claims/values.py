"""Claims about values: padding, channel order, normalisation, initial weights."""

from __future__ import annotations

import inspect

import numpy as np

from parity.numerics.difference import difference
from parity.report.formats import error, shape
from parity.systems.claims.measured import Measured, Truth, both_sides, truth
from parity.systems.claims.structure import OPTIONS
from parity.systems.claims.twins import AGREE, Twin, Twins, keras_float64, to_numpy, to_torch


def layer(twin: Twin, name: str, expected: tuple[int, int, int]) -> Measured:
    """One convolution: its output against ``expected`` (height, width, channels), its values as the check-list pads."""
    got, port = twin.outputs[name].shape, twin.port_shapes[name]
    shapes = got[1:] == expected and port[1:] == (expected[2], *expected[:2])
    direct = twin.layer_error(twin.direct, name)
    mirrored, exact = twin.layer_error(twin.mirrored, name, flipped=True), twin.layer_error(twin.exact, name)
    verdict: Truth = "false" if not shapes else "true" if direct <= AGREE else "conditional"
    return Measured(
        verdict,
        f"shapes {shape(got)} and {shape(port)}; values with this padding off by {error(direct)} (copied mirrored:"
        f" {error(mirrored)}), with SAME's amounts by {error(exact)}",
        f"形状 {shape(got)} 与 {shape(port)}；按此填充数值相差 {error(direct)}（镜像复制：{error(mirrored)}），"
        f"按 SAME 的填充量相差 {error(exact)}",
    )


def padding(twins: Twins) -> Measured:
    """Both networks in the padding of the check-list: copied directly and mirrored."""
    g, d = twins.generator, twins.discriminator
    direct = g.error(g.direct), d.error(d.direct)
    mirrored = g.error(g.mirrored, flipped=True), d.error(d.mirrored, flipped=True)
    exact = g.error(g.exact), d.error(d.exact)
    return Measured(
        truth(max(direct) <= AGREE),
        f"equal shapes, unequal values: G off by {error(direct[0])}, D by {error(direct[1])}; kernels and images"
        f" flipped: {error(mirrored[0])} and {error(mirrored[1])}; SAME's own amounts: {error(exact[0])} and"
        f" {error(exact[1])}",
        f"形状相同，数值不同：G 相差 {error(direct[0])}，D 相差 {error(direct[1])}；卷积核与图像翻转后："
        f"{error(mirrored[0])} 与 {error(mirrored[1])}；按 SAME 的填充量：{error(exact[0])} 与 {error(exact[1])}",
    )


def channel_order(twin: Twin) -> Measured:
    """A network with its dense features reordered, and with them as they are."""
    plain, ordered = twin.error(twin.port(ordered=False)), twin.error(twin.exact)
    verdict: Truth = "true" if plain <= AGREE else "conditional" if ordered <= AGREE else "false"
    return Measured(
        verdict,
        f"only if the dense features are reordered from (h, w, c) to (c, h, w): {error(ordered)}; as they are:"
        f" {error(plain)}",
        f"仅当全连接层的特征从 (h, w, c) 重排为 (c, h, w) 时：{error(ordered)}；不重排：{error(plain)}",
    )


def score(twin: Twin, names: list[str]) -> Measured:
    """How many layers keep their values in the padding of the check-list."""
    errors = [twin.layer_error(twin.direct, name) for name in names]
    equal = sum(value <= AGREE for value in errors)
    return Measured(
        truth(equal == len(names)),
        f"{equal} of {len(names)} layers give equal values with the paddings listed (off by {error(min(errors))} to"
        f" {error(max(errors))})",
        f"按所列填充，{len(names)} 层中有 {equal} 层数值相同（相差 {error(min(errors))} 至 {error(max(errors))}）",
    )


def overall(twins: Twins) -> Measured:
    """Whether anything deviates at all."""
    deviations = padding(twins), initial_weights(twins), norm_modes(twins)
    return Measured(
        truth(all(found.verdict == "true" for found in deviations)),
        "deviations: padding alignment, initial weights, the discriminator's batch norm (each measured above)",
        "存在偏差：填充对齐、初始权重、判别器的批归一化（均已在上文实测）",
    )


def only_syntax(twins: Twins) -> Measured:
    """Whether the padding of the check-list leaves values alone."""
    g = twins.generator
    direct = g.error(g.direct)
    return Measured(
        truth(direct <= AGREE),
        f"the padding listed changes values: G off by {error(direct)}",
        f"所列填充改变了数值：G 相差 {error(direct)}",
    )


def output_range(twins: Twins) -> Measured:
    """Smallest and largest value of the generator."""
    g = twins.generator
    sides = g.result, to_numpy(g.exact(to_torch(g.inputs)))
    spans = [(float(values.min()), float(values.max())) for values in sides]
    return both_sides(
        all(low >= -1 and high <= 1 for low, high in spans), *(f"{low:.3f} … {high:.3f}" for low, high in spans)
    )


def logits(twins: Twins) -> Measured:
    """The discriminator's scores and whether anything squashes them."""
    d = twins.discriminator
    sides = d.result, to_numpy(d.exact(to_torch(d.inputs)))
    outside = all(((values < 0) | (values > 1)).any() for values in sides)
    sigmoids = len(d.modules("Sigmoid")) + sum("sigmoid" in layer.name for layer in d.reference.layers)
    holds = outside and not sigmoids and all(values.ndim == 1 for values in sides)
    return both_sides(holds, *(f"{shape(values.shape)}, {', '.join(f'{v:.3f}' for v in values)}" for values in sides))


def one_channel(twins: Twins) -> Measured:
    """A generator of three channels."""
    g = twins.get("generator", dim=4, nc=3)
    gap = g.error(g.exact)
    works = g.result.shape[1:] == (128, 128, 3) and gap <= AGREE
    return Measured(
        "conditional" if works else "true",
        f"1 is the default, not a must: nc=3 gives {shape(g.result.shape)} in both frameworks, equal to {error(gap)}",
        f"1 只是默认值，并非必须：nc=3 在两个框架中得到 {shape(g.result.shape)}，相差 {error(gap)}",
    )


def norm_modes(twins: Twins) -> Measured:
    """The discriminator's batch norm in evaluation mode: its own, and the stock one."""
    from torch.nn import BatchNorm2d

    d = twins.get("discriminator", dim=4, use_batchnorm=True)
    port = d.port()
    exact = d.error(port)
    for name in [name for name, module in port.named_modules() if isinstance(module, BatchNorm2d)]:
        own = port.get_submodule(name)
        stock = BatchNorm2d(own.num_features, eps=own.eps).double().eval()
        stock.weight, stock.bias = own.weight, own.bias
        setattr(port, name, stock)
    usual = d.error(port)
    moving = [variable for layer in d.layers("BatchNorm") for variable in layer.weights if "moving" in variable.name]
    verdict: Truth = "false" if exact > AGREE else "true" if usual <= AGREE else "conditional"
    return Measured(
        verdict,
        f"true of the generator only: the original's discriminator always uses batch statistics and keeps"
        f" {len(moving)} moving averages; a stock BatchNorm2d in eval() is off by {error(usual)}, one without running"
        f" statistics by {error(exact)}",
        f"只对生成器成立：原版判别器始终使用批统计量，保存 {len(moving)} 个滑动平均；标准 BatchNorm2d 在 eval() 下相差"
        f" {error(usual)}，不保留统计量时相差 {error(exact)}",
    )


def completeness(twins: Twins) -> Measured:
    """Options that the check-list's constructor lacks, and what they change."""
    with keras_float64():
        options = set(inspect.signature(type(twins.generator.reference)).parameters) - {*OPTIONS, "init"}
    images = {mode: twins.get("generator", dim=4, upsample=mode).result for mode in ("nearest", "linear", "cubic")}
    gaps = {mode: difference(images[mode], images["nearest"]).relative for mode in ("linear", "cubic")}
    words = ", ".join(f"{mode} {error(gap)}" for mode, gap in gaps.items())
    return Measured(
        truth(not options and max(gaps.values()) <= AGREE),
        f"its constructor lacks {', '.join(sorted(options))}; under equal weights the original's images differ from"
        f" those of nearest by: {words}",
        f"其构造函数缺少 {'、'.join(sorted(options))}；同样权重下，原版的图像与 nearest 相比相差：{words}",
    )


def initial_weights(twins: Twins) -> Measured:
    """Spread of freshly drawn kernels in both ways of drawing them."""
    import keras

    import tf_impl.specgan

    keras.utils.set_random_seed(twins.seed)
    spreads = {}
    for kind in ("glorot", "normal"):
        network = tf_impl.specgan.SpecGANGenerator(init=kind)
        kernels = [layer.kernel for layer in network.layers if hasattr(layer, "kernel")]
        spreads[kind] = [float(np.asarray(kernel).std()) for kernel in kernels]
    apart = max(abs(a / b - 1) for a, b in zip(spreads["glorot"], spreads["normal"], strict=True))
    words = {kind: f"{min(found):.4f} … {max(found):.4f}" for kind, found in spreads.items()}
    return Measured(
        truth(apart < 0.05),
        f"the original keeps its layers' default, Glorot uniform: kernels spread by {words['glorot']}; the DCGAN way"
        f" by {words['normal']}",
        f"原版使用层的默认值 Glorot 均匀分布：卷积核标准差 {words['glorot']}；DCGAN 方式为 {words['normal']}",
    )


def loss(twins: Twins) -> Measured:
    """Cross-entropy with logits against cross-entropy of their sigmoid."""
    from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

    d = twins.discriminator
    logits = d.exact(to_torch(d.inputs)).detach()
    ones = logits * 0 + 1
    gap = float(abs(binary_cross_entropy_with_logits(logits, ones) - binary_cross_entropy(logits.sigmoid(), ones)))
    return Measured(
        truth(gap <= AGREE),
        f"equal to cross-entropy of their sigmoid within {error(gap)}; Wasserstein losses take them raw",
        f"与先取 sigmoid 的交叉熵相差 {error(gap)}；Wasserstein 损失直接使用",
    )


def latent_distribution(twins: Twins) -> Measured:
    """Latents drawn as in the example and as in the original."""
    rng = np.random.RandomState(twins.seed)
    normal, uniform = rng.standard_normal(100_000), rng.uniform(-1, 1, 100_000)
    beyond = float((np.abs(normal) > 1).mean())
    figures = f"{normal.std():.3f}", f"{uniform.std():.3f}", f"{beyond:.0%}"
    return Measured(
        truth(beyond == 0),
        f"the original draws from U(−1, 1): standard deviation {figures[1]}, randn's is {figures[0]}; {figures[2]} of"
        " randn's values never occur there",
        f"原版从 U(−1, 1) 采样：标准差 {figures[1]}，randn 为 {figures[0]}；"
        f"randn 有 {figures[2]} 的取值在原版中不会出现",
    )
