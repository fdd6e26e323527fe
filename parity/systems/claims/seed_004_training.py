"""What the review of a conditional DCGAN says of training and evaluation, measured on conditional_dcgan's presets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from parity.report.formats import error
from parity.systems.claims.measured import Measured, truth, unless
from parity.systems.claims.seed_004_networks import BASELINE, IMPROVED, port
from parity.systems.claims.stock import batch, gap
from parity.systems.claims.twins import AGREE, Twins, to_numpy
from shared_impl.config.presets import load

PORTIONS = 4


def rates(twins: Twins) -> Measured:
    """The improved preset's optimiser."""
    cfg = load(IMPROVED).optimizer
    got = (cfg.lr_g, cfg.lr_d, cfg.beta1, cfg.beta2)
    words = f"G {got[0]:g}, D {got[1]:g}, β {got[2]}, {got[3]}"
    return Measured(truth(got == (1e-4, 4e-4, 0.0, 0.9)), f"preset {IMPROVED}: {words}", f"预设 {IMPROVED}：{words}")


def accumulated(twins: Twins) -> Measured:
    """Gradients of four portions averaged against those of the whole batch, without and with batch norm."""
    import torch
    from torch import nn

    x = 1 + batch(twins, 8 * PORTIONS, 3, 8, 8)
    told = []
    for norm in (False, True):
        layers = [nn.Conv2d(3, 8, 4, 2, 1), *([nn.BatchNorm2d(8)] if norm else []), nn.LeakyReLU(0.2), nn.Flatten()]
        network = nn.Sequential(*layers, nn.Linear(8 * 16, 1)).double()
        for place, parameter in enumerate(network.parameters()):
            parameter.data = batch(twins, *parameter.shape, place=place) / 8
        found = []
        for portions in (1, PORTIONS):
            network.zero_grad()
            for part in x.chunk(portions):
                (nn.functional.softplus(network(part)).mean() / portions).backward()
            found.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]).numpy())
        told.append(gap(found[1], found[0]))
    cfg = load(IMPROVED).training
    return Measured(
        "false" if told[0] > AGREE else unless(told[1] > AGREE, "conditional"),
        f"true without batch norm: {cfg.accumulation} portions give the gradient of the whole batch within"
        f" {error(told[0])};"
        f" with it each portion is normalised by itself, and the gradient is off by {error(told[1])}",
        f"没有批归一化时成立：{cfg.accumulation} 份的平均梯度与整批相差 {error(told[0])}；"
        "有批归一化时每份按自身统计量归一化，梯度相差"
        f" {error(told[1])}",
    )


def averaged(twins: Twins) -> Measured:
    """The listing's moving average of a generator against ours, and what it leaves out."""
    import torch

    from torch_impl.trainer import Trainer

    small = ("model.image_size=32", "model.attention_at=[16]", "model.attention_d=[8]")
    network, ours = (port("generator", IMPROVED, *small) for _ in range(2))
    shadow = {name: p.data.clone() for name, p in network.named_parameters()}
    for place in range(3):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(batch(twins, *parameter.shape, place=place).float())
            network.train()(batch(twins, 4, 8, place=place).float(), torch.zeros(4, dtype=torch.long))
            Trainer._average(SimpleNamespace(generator=network), ours, 0.999)  # type: ignore[arg-type]
        shadow = {name: 0.999 * shadow[name] + (1 - 0.999) * p.data for name, p in network.named_parameters()}
    apart = max(gap(p.detach().numpy(), shadow[name].numpy()) for name, p in ours.named_parameters())
    buffers = [name for name, _ in network.named_buffers() if name.endswith(("running_mean", "running_var"))]
    kept = all(bool((a == b).all()) for a, b in zip(ours.buffers(), network.buffers(), strict=True))
    rounding = 1e-6  # float32, three sums: a few times 2^-24
    return Measured(
        "false" if apart > rounding else unless(bool(buffers), "conditional"),
        f"after three steps parameters are ours within {error(apart)} (float32), but {len(buffers)} running statistics"
        " of"
        f" batch norm are no parameters and have no place in it; ours copies them: {kept}",
        f"三步之后参数与我们的相差 {error(apart)}（float32），但批归一化的 {len(buffers)} 个滑动统计量不是参数，"
        "未被包含；"
        f"我们会复制它们：{'是' if kept else '否'}",
    )


def scheduled(twins: Twins) -> Measured:
    """The schedules that a run may have, and the baseline's."""
    from shared_impl.training.schedules import REMAINING

    own = load(BASELINE).optimizer.schedule
    return Measured(
        unless(own == "fixed", "conditional"),
        f"optimizer.schedule is one of {', '.join(REMAINING)}; the preset's is {own}",
        f"optimizer.schedule 可选 {'、'.join(REMAINING)}；预设为 {own}",
    )


def balanced(twins: Twins) -> Measured:
    """How often each class of an uneven source is shown in one epoch."""
    from shared_impl.data.classes import Balanced

    classes = np.repeat(np.arange(3), (10, 3, 7))
    shown = Balanced(classes, twins.seed)
    counts = np.bincount([classes[shown(0, place)] for place in range(len(shown))]).tolist()
    holds = load(BASELINE).data.balance and counts == [10, 10, 10]
    return Measured(
        truth(holds),
        f"data.balance={load(BASELINE).data.balance}: classes of 10, 3 and 7 examples are shown {counts} times an"
        " epoch",
        f"data.balance={load(BASELINE).data.balance}：各有 10、3、7 个样本的类别每个 epoch 显示 {counts} 次",
    )


def augmented(twins: Twins) -> Measured:
    """Flips, rotation and jitter in both implementations on the same numbers."""
    import tensorflow as tf

    from shared_impl.data.augmentation import AUGMENTATION
    from tf_impl.augmentation import augment as tf_augment
    from torch_impl.augmentation import augment

    cfg = load(BASELINE).data
    images, numbers = batch(twins, 4, 3, 16, 16).tanh(), (batch(twins, 4, AUGMENTATION).tanh() + 1) / 2
    got = to_numpy(augment(cfg, images, numbers))
    other = np.asarray(tf_augment(cfg, tf.constant(to_numpy(images)), tf.constant(numbers.numpy())))
    changed, apart = gap(got, to_numpy(images)), gap(other, got)
    return Measured(
        truth(changed > AGREE >= apart),
        f"flip={cfg.flip}, rotate={cfg.rotate:g}, jitter={cfg.jitter:g} change images by {error(changed)}; both implementations"
        f" agree within {error(apart)}",
        f"flip={cfg.flip}、rotate={cfg.rotate:g}、jitter={cfg.jitter:g} 使图像改变 {error(changed)}；两边相差"
        f" {error(apart)}",
    )


def initial(twins: Twins) -> Measured:
    """Spread of a fresh generator's kernels."""
    network = port("generator", BASELINE, "model.ngf=8")
    spreads = [float(p.detach().std()) for p in network.parameters() if p.ndim == 4 and p.numel() > 5000]
    words = f"{min(spreads):.4f} … {max(spreads):.4f}"
    return Measured(
        truth(max(abs(value / 0.02 - 1) for value in spreads) < 0.05),
        f"init={load(BASELINE).model.init}, N(0, 0.02): kernels spread by {words}",
        f"init={load(BASELINE).model.init}，N(0, 0.02)：卷积核标准差 {words}",
    )


def frechet(twins: Twins) -> Measured:
    """The listing's distance of two normal distributions against the symmetric form of the same."""
    rng = np.random.RandomState(twins.seed)
    real, fake = rng.standard_normal((500, 6)), 0.5 + 1.5 * rng.standard_normal((500, 6))
    (m1, s1), (m2, s2) = ((x.mean(0), np.cov(x, rowvar=False)) for x in (real, fake))

    def listed(m1: Any, s1: Any, m2: Any, s2: Any) -> float:
        roots = np.sqrt(np.linalg.eigvals(s1 @ s2).astype(complex)).real  # the trace of its matrix root
        return float((m1 - m2) @ (m1 - m2) + np.trace(s1 + s2) - 2 * roots.sum())

    values, vectors = np.linalg.eigh(s1)
    root = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    expected = float(
        (m1 - m2) @ (m1 - m2) + np.trace(s1 + s2) - 2 * np.sqrt(np.linalg.eigvalsh(root @ s2 @ root)).sum()
    )
    apart = abs(listed(m1, s1, m2, s2) - expected)
    same = abs(listed(m1, s1, m1, s1))
    return Measured(
        truth(apart < 1e-9 and same < 1e-9),
        f"the formula is the Fréchet distance within {error(apart)}, of a distribution to itself {error(same)}; scores"
        " are"
        " comparable only with the original Inception weights, of which none are part of this project",
        f"该公式即 Fréchet 距离，相差 {error(apart)}，分布与自身的距离 {error(same)}；只有用原版 Inception"
        " 权重才可比较，本项目不含这些权重",
    )
