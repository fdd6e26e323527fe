"""What the review says of spectral, batch and layer normalisation, measured on small layers of both frameworks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from parity.report.formats import error
from parity.systems.claims.measured import Measured, truth, unless
from parity.systems.claims.seed_004_networks import BASELINE, IMPROVED, inside, port
from parity.systems.claims.stock import batch, gap
from parity.systems.claims.twins import AGREE, Twins, keras_float64, to_numpy

CHANNELS = 8


def largest(kernel: Any) -> float:
    """The largest singular value of a kernel ``[out, …]`` as a matrix."""
    return float(np.linalg.svd(kernel.detach().numpy().reshape(len(kernel), -1), compute_uv=False)[0])


def bounded(twins: Twins) -> Measured:
    """Largest singular values of the discriminator's kernels, stored and normalised."""
    d = port("discriminator", BASELINE, "model.ndf=4").eval()
    found = inside(d, "ParametrizedSpectralConv2D")
    stored = [largest(layer.parametrizations.weight.original) for layer in found]
    used = [largest(layer.weight) for layer in found]
    ranges = [f"{min(values):.3f} … {max(values):.3f}" for values in (stored, used)]
    return Measured(
        truth(len(found) == 6 and max(abs(value - 1) for value in used) < 0.2),
        f"{len(found)} convolutions: largest singular values of the stored kernels {ranges[0]}, of those used"
        f" {ranges[1]}",
        f"{len(found)} 个卷积：存储的卷积核最大奇异值 {ranges[0]}，实际使用的 {ranges[1]}",
    )


def stock_layer(twins: Twins) -> Measured:
    """Keras's stock wrapper and both implementations' layers: gradient by the kernel, and the kernel after a call."""
    import tensorflow as tf
    from keras.layers import Dense, SpectralNormalization

    from tf_impl.spectral import SpectralDense
    from torch_impl.spectral import SpectralDense as TorchDense

    x, kernel = batch(twins, 5, 6).numpy(), batch(twins, 6, CHANNELS, place=1).numpy()
    theirs, told = _torch_gradient(TorchDense, x, kernel), []
    for wrapped in (True, False):
        with keras_float64():
            layer: Any = SpectralNormalization(Dense(CHANNELS)) if wrapped else SpectralDense(CHANNELS)
            layer.build((None, 6))
            inner = layer.layer if wrapped else layer
            inner.kernel.assign(kernel)
            for _ in range(50):  # both have found the largest singular value
                layer(x, training=True) if not wrapped else _iterated(layer, inner, kernel, x)
            inner.kernel.assign(kernel)
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(layer(x, training=True)))
            gradient = np.asarray(tape.gradient(loss, inner.kernel.value))
            moved = gap(np.asarray(inner.kernel), kernel)
        told.append((gap(gradient, theirs), moved))
    (away, moved), (own, kept) = told
    return Measured(
        "false" if own > 1e-6 else unless(away > 1e-6, "conditional"),
        f"only by torch's formula: keras.layers.SpectralNormalization overwrites its kernel at each call in training"
        f" (by {error(moved)}) and its gradient, which ignores σ, is off from torch's by {error(away)}; ours by"
        f" {error(own)},"
        f" its kernel moves by {error(kept)}",
        f"须按 torch 的公式：keras.layers.SpectralNormalization 训练时每次调用都改写卷积核（{error(moved)}），"
        "其梯度忽略 σ，与 torch"
        f" 相差 {error(away)}；我们的相差 {error(own)}，卷积核变化 {error(kept)}",
    )


def _iterated(layer: Any, inner: Any, kernel: np.ndarray, x: np.ndarray) -> None:
    inner.kernel.assign(kernel)
    layer(x, training=True)


def _torch_gradient(kind: Any, x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    import torch

    layer = kind(6, CHANNELS).double()
    original = layer.parametrizations.weight.original
    original.data = torch.from_numpy(kernel.T.copy())
    layer.bias.data.zero_()
    for _ in range(50):
        layer.train()(torch.from_numpy(x))
    layer(torch.from_numpy(x)).square().sum().backward()
    return original.grad.numpy().T


def _behind(twins: Twins, norm: Callable[[Any], Any] | None, scale: float) -> np.ndarray:
    """A convolution whose kernel is ``scale`` times as large, with a normalisation behind it."""
    from torch import nn

    conv = nn.Conv2d(4, CHANNELS, 4, 2, 1, bias=False).double()
    conv.weight.data = scale * batch(twins, *conv.weight.shape) / 8
    made = conv(batch(twins, 8, 4, 16, 16, place=1))
    return (made if norm is None else norm(nn)(made)).detach().numpy()


def _undone(twins: Twins, norm: Callable[[Any], Any] | None) -> float:
    """What a kernel ten times as large changes behind a normalisation."""
    return gap(_behind(twins, norm, 10.0), _behind(twins, norm, 1.0))


def conflict(twins: Twins) -> Measured:
    """What a tenfold kernel changes with batch norm behind it, and how much each way lets a layer amplify."""
    import torch
    from torch import nn

    alone, normed = _undone(twins, None), _undone(twins, lambda nn: nn.BatchNorm2d(CHANNELS).double())
    kernel = batch(twins, CHANNELS, 4, 4, 4)
    kernel = kernel / largest(kernel)
    x, step = (0.1 * batch(twins, 8, 4, 16, 16, place=place) for place in (1, 2))
    gains = []
    for scale, norm in ((1, None), (1, True), (10, True)):
        conv = nn.Conv2d(4, CHANNELS, 4, 2, 1, bias=False).double()
        conv.weight.data = scale * kernel
        made = nn.Sequential(conv, *([nn.BatchNorm2d(CHANNELS, momentum=1.0).double()] if norm else []))
        made(x)  # running statistics become the batch's
        made.eval()
        with torch.no_grad():
            gains.append(float((made(x + 1e-6 * step) - made(x)).norm() / (1e-6 * step).norm()))
    return Measured(
        truth(normed < 1e-3 < alone),
        f"a kernel ten times as large changes the values by {error(alone)} of their size, with batch norm behind it by"
        f" {error(normed)}: σ is divided away again. Amplification of a small step: {gains[0]:.3g} with spectral norm,"
        f" {gains[1]:.3g} with batch norm behind it, {gains[2]:.3g} even at ten times the kernel",
        f"卷积核放大十倍，数值变化为其大小的 {error(alone)} 倍；其后有批归一化时仅 {error(normed)}：σ 又被除掉。"
        "对微小变化的放大："
        f"仅谱归一化 {gains[0]:.3g}，其后加批归一化 {gains[1]:.3g}，卷积核放大十倍时仍为 {gains[2]:.3g}",
    )


def layer_norm_instead(twins: Twins) -> Measured:
    """Whether the alternative that the review offers keeps what spectral normalisation bounds."""
    alone, normed = _undone(twins, None), _undone(twins, lambda nn: nn.GroupNorm(1, CHANNELS).double())
    return Measured(
        truth(normed > 1e-3),
        "it divides by a deviation as batch norm does: a kernel ten times as large changes the values by"
        f" {error(normed)}"
        f" of their size ({error(alone)} without it), so σ is lost again",
        f"它与批归一化一样除以标准差：卷积核放大十倍，数值仅变化 {error(normed)}（无归一化时 {error(alone)}），σ"
        " 同样丢失",
    )


def layer_norm(twins: Twins) -> Measured:
    """GroupNorm of one group against LayerNorm over channels and pixels."""
    from torch import nn

    x = batch(twins, 3, CHANNELS, 5, 6)
    group, layer = nn.GroupNorm(1, CHANNELS).double(), nn.LayerNorm([CHANNELS, 5, 6]).double()
    apart = gap(group(x).detach().numpy(), layer(x).detach().numpy())
    numbers = [sum(p.numel() for p in module.parameters()) for module in (group, layer)]
    return Measured(
        "false" if apart > AGREE else unless(numbers[0] != numbers[1], "conditional"),
        f"fresh ones differ by {error(apart)}; scale and shift are {numbers[0]} numbers, one pair a channel, where"
        " LayerNorm"
        f" has {numbers[1]}",
        f"初始时相差 {error(apart)}；缩放与平移为每通道一对，共 {numbers[0]} 个数，LayerNorm 为 {numbers[1]} 个",
    )


def removed(twins: Twins) -> Measured:
    """Batch norms of the improved discriminator, and the biases that come instead."""
    d = port("discriminator", IMPROVED)
    norms, convolutions = inside(d, "BatchNorm2d"), inside(d, "ParametrizedSpectralConv2D")
    biases = sum(layer.bias is not None for layer in convolutions)
    return Measured(
        truth(not norms and biases == len(convolutions) == 7),
        f"batch norms: {len(norms)}; {len(convolutions)} spectrally normalised convolutions, {biases} with bias",
        f"批归一化 {len(norms)} 个；谱归一化卷积 {len(convolutions)} 个，其中 {biases} 个有偏置",
    )


def downsampled(twins: Twins) -> Measured:
    """The border of a constant image halved by torch's pooling, by Keras's SAME, and by our Keras network."""
    import keras
    from torch import nn

    from tf_impl.conditional_dcgan import _half

    ones = batch(twins, 1, 1, 8, 8) * 0 + 1
    noise = batch(twins, 2, 3, 8, 8)
    pool = nn.AvgPool2d(3, 2, 1)
    with keras_float64():
        same = keras.layers.AveragePooling2D(3, 2, "same")
        border = [float(np.asarray(side)[0, 0, 0, 0]) for side in (to_numpy(pool(ones)), same(to_numpy(ones)))]
        apart = gap(np.asarray(same(to_numpy(noise))), to_numpy(pool(noise)))
        own = gap(np.asarray(_half(1, keras.ops.convert_to_tensor(to_numpy(noise)))), to_numpy(pool(noise)))
    return Measured(
        "false" if own > AGREE else unless(apart > AGREE, "conditional"),
        f"torch counts the zeros around the image in its means: the corner of a constant 1 becomes {border[0]:.3f},"
        " with"
        f" Keras's SAME {border[1]:.3f}, whose windows also begin one pixel later; on noise SAME is off by"
        f" {error(apart)},"
        f" our Keras network by {error(own)}",
        f"torch 把图像周围的零计入平均：常数 1 的角落变为 {border[0]:.3f}，Keras 的 SAME 为 {border[1]:.3f}，"
        "且窗口晚一个像素开始；"
        f"对噪声 SAME 相差 {error(apart)}，我们的 Keras 网络相差 {error(own)}",
    )


def scales(twins: Twins) -> Measured:
    """Scores of three discriminators on three sizes of the image."""
    import torch

    d = port("discriminator", BASELINE, "model.scales=3", "model.image_size=128").eval()
    with torch.no_grad():
        scores = d(batch(twins, 2, 3, 128, 128).float(), torch.tensor([0, 1]))
    judges = len(list(name for name, _ in d.named_children() if name.startswith("scale_")))
    return Measured(
        truth(scores.shape == (2, 3) and judges == 3),
        f"scales=3: {judges} discriminators, scores {list(scores.shape)} of two images",
        f"scales=3：{judges} 个判别器，两幅图像的评分 {list(scores.shape)}",
    )
