"""What the DCGAN guide says of its training loop, measured on dcgan's configuration and losses."""

from __future__ import annotations

import math
from typing import Any

from parity.report.formats import count, error
from parity.systems.claims.measured import Measured, truth, unless
from parity.systems.claims.stock import batch, gap
from parity.systems.claims.twins import AGREE, Twins, to_torch
from shared_impl.config.presets import load
from shared_impl.config.training import total_steps

DIGITS = 60_000  # MNIST's training images


def resized(twins: Twins) -> Measured:
    """The size at which digits are learned from."""
    cfg = load("dcgan_digits")
    return Measured(
        truth(cfg.model.side == 64 and load("dcgan").training.batch_size == 128),
        f"images are resized to {cfg.model.side} ({cfg.data.resize}); batch {load('dcgan').training.batch_size}",
        f"图像缩放到 {cfg.model.side}（{cfg.data.resize}）；批次 {load('dcgan').training.batch_size}",
    )


def logits(twins: Twins) -> Measured:
    """Cross-entropy of a sigmoid against cross-entropy with logits, in float64 and where float32 saturates."""
    import torch
    from torch.nn import functional as F

    x = 3 * batch(twins, 1000)
    ones = torch.ones_like(x)
    apart = float((F.binary_cross_entropy(x.sigmoid(), ones) - F.binary_cross_entropy_with_logits(x, ones)).abs())
    far = torch.tensor([-120.0])
    ends = [float(F.binary_cross_entropy(far.sigmoid(), far * 0 + 1)),
            float(F.binary_cross_entropy_with_logits(far, far * 0 + 1))]  # fmt: skip
    return Measured(
        "false" if apart > AGREE else unless(ends[0] != ends[1], "conditional"),
        f"they differ by {error(apart)}; at a logit of −120 in float32 sigmoid and BCE give {ends[0]:g}, with logits"
        f" {ends[1]:g}",
        f"两者相差 {error(apart)}；float32 中 logit 为 −120 时，sigmoid 加 BCE 得 {ends[0]:g}，带 logit 的损失得"
        f" {ends[1]:g}",
    )


def passes(twins: Twins) -> Measured:
    """The discriminator's training scores on real and fake by themselves, and joined in one batch."""
    import torch

    d = twins.get("discriminator", "dcgan", ndf=8).port().train()
    real, fake = 0.5 + batch(twins, 8, 1, 64, 64), 0.3 * batch(twins, 8, 1, 64, 64, place=1)
    with torch.no_grad():
        apart = torch.cat([d(real), d(fake)])
        joint = d(torch.cat([real, fake]))
        d.eval()
        fixed = gap(d(torch.cat([real, fake])).numpy(), torch.cat([d(real), d(fake)]).numpy())
    away = gap(joint.numpy(), apart.numpy())
    return Measured(
        truth(away > AGREE >= fixed),
        f"and it matters: batch norm normalises each pass by its own statistics, one joint pass scores {error(away)}"
        f" apart (with fixed statistics {error(fixed)}); both implementations make separate passes",
        f"并且有影响：批归一化按每次前向自己的统计量，合并为一次前向时评分相差 {error(away)}（统计量固定时"
        f" {error(fixed)}）；"
        "两边都分别前向",
    )


def summed(twins: Twins) -> Measured:
    """The discriminator's loss as the sum of both halves, in both implementations."""
    import tensorflow as tf
    from torch.nn import functional as F

    from tf_impl import losses as tf_losses
    from torch_impl import losses as torch_losses

    cfg = load("dcgan").loss
    real, fake = batch(twins, 8), batch(twins, 8, place=1)
    entropy = F.binary_cross_entropy_with_logits
    expected = float(entropy(real, real * 0 + 1) + entropy(fake, fake * 0))
    got = (
        float(torch_losses.d_loss(cfg, real, fake)),
        float(tf_losses.d_loss(cfg, tf.constant(real.numpy()), tf.constant(fake.numpy()))),
    )
    apart = max(abs(value - expected) for value in got)
    halves = float(torch_losses.d_loss(load("specgan", ["loss.kind=dcgan"]).loss, real, fake)) / expected
    return Measured(
        truth(apart <= AGREE),
        f"both implementations' loss equals the sum within {error(apart)} (SpecGAN's original takes {halves:.2g} of it)",
        f"两边的损失与该和相差 {error(apart)}（SpecGAN 原版取其 {halves:.2g} 倍）",
    )


def slope(value: float, saturating: bool) -> float:
    """Size of the gradient that the generator's loss sends back at a fake's logit."""
    import torch
    from torch.nn import functional as F

    logit = torch.tensor([value], dtype=torch.float64, requires_grad=True)
    loss = -F.softplus(logit) if saturating else F.softplus(-logit)
    loss.sum().backward()
    assert logit.grad is not None
    return abs(float(logit.grad))


def strong_discriminator(twins: Twins) -> Measured:
    """The generator's gradient when the discriminator is sure of its fakes."""
    ours, minimax = slope(-10, False), slope(-10, True)
    return Measured(
        "conditional" if ours > 0.5 > minimax else truth(ours < 0.5),
        f"true of the minimax loss, log(1 − D(G(z))): its slope at a logit of −10 is {error(minimax)}; this loop's"
        " loss,"
        f" −log D(G(z)), keeps {ours:.5f} there",
        f"对极小极大损失 log(1 − D(G(z))) 成立：logit 为 −10 处斜率 {error(minimax)}；本循环的损失 −log D(G(z)) 仍为"
        f" {ours:.5f}",
    )


def generator_loss(twins: Twins) -> Measured:
    """The generator's loss against cross-entropy with the label of real images."""
    from torch.nn import functional as F

    from torch_impl import losses

    cfg = load("dcgan")
    fake = batch(twins, 8)
    apart = abs(float(losses.g_loss(cfg.loss, fake)) - float(F.binary_cross_entropy_with_logits(fake, fake * 0 + 1)))
    return Measured(
        truth(apart <= AGREE and cfg.training.reuse_fakes),
        f"equal within {error(apart)}; training.reuse_fakes={cfg.training.reuse_fakes}: on the very fakes that D has"
        " seen",
        f"相差 {error(apart)}；training.reuse_fakes={cfg.training.reuse_fakes}：使用 D 刚刚见过的那批伪造图像",
    )


def detached(twins: Twins) -> Measured:
    """Whether the discriminator's loss moves the generator's parameters."""
    g, d = twins.get("generator", "dcgan", ngf=2), twins.get("discriminator", "dcgan", ndf=2)
    made, judged = g.port(), d.port()
    fake = made(to_torch(g.inputs))

    def reached(images: Any) -> int:
        made.zero_grad()
        judged(images).sum().backward(retain_graph=True)
        return sum(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in made.parameters())

    numbers = reached(fake.detach()), reached(fake)
    return Measured(
        truth(numbers[0] == 0 < numbers[1]),
        f"parameters of G that D's loss reaches: {numbers[0]} through fake.detach(), {numbers[1]} through fake",
        f"D 的损失到达的 G 参数：经 fake.detach() 为 {numbers[0]} 个，经 fake 为 {numbers[1]} 个",
    )


def adam(twins: Twins) -> Measured:
    """The resolved optimiser of the preset."""
    cfg = load("dcgan").optimizer
    got = (cfg.kind, cfg.lr, cfg.beta1, cfg.beta2, cfg.epsilon_place)
    words = ", ".join(map(str, got))
    return Measured(truth(got == ("adam", 2e-4, 0.5, 0.999, "torch")), f"preset dcgan: {words}", f"预设 dcgan：{words}")


def fixed_noise(twins: Twins) -> Measured:
    """How many latents are kept for the sample grids, and how they are drawn."""
    cfg = load("dcgan")
    return Measured(
        truth(cfg.runs.samples == 64 and cfg.training.latents == "normal"),
        f"runs.samples={cfg.runs.samples}, training.latents={cfg.training.latents}, the same ones in every grid",
        f"runs.samples={cfg.runs.samples}，training.latents={cfg.training.latents}，每幅网格相同",
    )


def epochs(twins: Twins) -> Measured:
    """Steps of five epochs, by the guide's loader and here."""
    cfg = load("dcgan", ["training.epochs=5"]).training
    ours = total_steps(cfg, DIGITS)
    theirs = 5 * math.ceil(DIGITS / cfg.batch_size)
    partial = DIGITS % cfg.batch_size
    return Measured(
        truth(ours == theirs) if ours == theirs else "conditional",
        f"the guide's loader ends each epoch with a batch of {partial}, {count(theirs)} steps in all; here every batch"
        " is"
        f" full and goes on into the next epoch: {count(ours)}",
        f"原文的加载器每个 epoch 以 {partial} 幅的小批次结束，共 {count(theirs)} 步；此处每批都是满的并延续到下一个"
        f" epoch：{count(ours)}",
    )
