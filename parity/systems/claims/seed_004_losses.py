"""What the review of a conditional DCGAN says of losses, measured on both implementations' own."""

from __future__ import annotations

from typing import Any

from parity.report.formats import error
from parity.systems.claims.measured import Measured, truth, unless
from parity.systems.claims.seed_004_networks import BASELINE, IMPROVED
from parity.systems.claims.stock import batch, gap
from parity.systems.claims.twins import AGREE, Twins
from shared_impl.config.loss import LossConfig
from shared_impl.config.presets import load

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation that torchvision's VGG19 knows


def both_losses(cfg: LossConfig, name: str, *scores: Any) -> tuple[float, float]:
    """``d_loss`` or ``g_loss`` of torch scores in both implementations."""
    import tensorflow as tf

    from tf_impl import losses as tf_losses
    from torch_impl import losses as torch_losses

    values = [tf.constant(score.numpy()) for score in scores]
    return float(getattr(torch_losses, name)(cfg, *scores)), float(getattr(tf_losses, name)(cfg, *values))


def _agree(cfg: LossConfig, d_expected: float, g_expected: float | None, real: Any, fake: Any) -> Measured:
    apart = [abs(value - d_expected) for value in both_losses(cfg, "d_loss", real, fake)]
    apart += [] if g_expected is None else [abs(value - g_expected) for value in both_losses(cfg, "g_loss", fake)]
    words = error(max(apart))
    return Measured(
        truth(max(apart) <= AGREE),
        f"loss.kind={cfg.kind}: both implementations' losses are off from the formula by at most {words}",
        f"loss.kind={cfg.kind}：两边的损失与公式最多相差 {words}",
    )


def smoothing(twins: Twins) -> Measured:
    """The baseline's loss against cross-entropy with smoothed labels."""
    from torch.nn import functional as F

    cfg = load(BASELINE).loss
    real, fake = batch(twins, 8), batch(twins, 8, place=1)
    entropy = F.binary_cross_entropy_with_logits
    expected = cfg.d_scale * float(entropy(real, real * 0 + 0.9) + entropy(fake, fake * 0))
    return _agree(cfg, expected, None, real, fake)


def wasserstein(twins: Twins) -> Measured:
    """The listing's Wasserstein losses without their penalty."""
    real, fake = batch(twins, 8), batch(twins, 8, place=1)
    cfg = load(BASELINE, ["loss.kind=wgan-gp"]).loss
    return _agree(cfg, float(fake.mean() - real.mean()), -float(fake.mean()), real, fake)


def hinge(twins: Twins) -> Measured:
    """The listing's hinge losses."""
    from torch.nn import functional as F

    real, fake = batch(twins, 8), batch(twins, 8, place=1)
    expected = float(F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean())
    return _agree(load(IMPROVED).loss, expected, -float(fake.mean()), real, fake)


def penalty(twins: Twins) -> Measured:
    """The listing's gradient penalty and ours, of a discriminator whose gradient has norm one everywhere."""
    import torch

    from torch_impl.losses import gradient_penalty

    real, fake = batch(twins, 4, 3, 16, 16), batch(twins, 4, 3, 16, 16, place=1)
    direction = batch(twins, 3, 16, 16, place=2)
    direction = direction / direction.norm()

    def judge(images: Any) -> Any:
        return (images * direction).sum((1, 2, 3))

    between = (0.5 * real + 0.5 * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(judge(between).sum(), between)
    listed = float(((gradient.norm(2, dim=1) - 1) ** 2).mean())
    cfg = load(BASELINE, ["loss.kind=wgan-gp", "loss.penalty_weight=1.0"]).loss
    ours = float(gradient_penalty(cfg, judge, real, fake, torch.full([4], 0.5, dtype=torch.float64)))
    seen = [f"{shape} norms" for shape in (gradient.norm(2, dim=1).numel(), len(gradient))]
    return Measured(
        truth(abs(listed - ours) <= AGREE),
        f"its norm is taken over dim=1, the channels of each pixel ({seen[0]}), not over each sample ({seen[1]}): for a"
        f" critic of slope one everywhere it is {listed:.3f}, where the penalty is {error(ours)}",
        f"其范数沿 dim=1 即每个像素的通道计算（{seen[0].split()[0]} 个），而非每个样本（{seen[1].split()[0]} 个）："
        "对处处斜率为 1 的"
        f"判别器得 {listed:.3f}，而惩罚应为 {error(ours)}",
    )


def perceptual(twins: Twins) -> Measured:
    """What features[:36] of VGG19 is, the loss on it, and what its inputs have to be."""
    import torch

    from torch_impl.features import VGG19, perceptual_loss

    network = VGG19(4).double().eval()
    for place, p in enumerate(network.parameters()):  # He et al. 2015: signals keep their size through ReLUs
        p.data = batch(twins, *p.shape, place=place) * (2 / p[0].numel()) ** 0.5 if p.ndim > 1 else p.data * 0
    images = batch(twins, 2, 3, 32, 32).tanh()
    mean, std = (torch.tensor(values).double()[:, None, None] for values in IMAGENET)
    with torch.no_grad():
        raw, normalised = network(images), network(((images + 1) / 2 - mean) / std)
        apart = abs(float(perceptual_loss(raw, normalised)) - float(torch.nn.functional.l1_loss(raw, normalised)))
    away = gap(raw.numpy(), normalised.numpy())
    return Measured(
        "false" if len(network) != 36 or apart > AGREE else unless(away > AGREE, "conditional"),
        f"features[:36] are our {len(network)} layers, up to the last ReLU; the L1 loss is ours within {error(apart)}."
        " But"
        f" images in [−1, 1] must first be normalised as VGG19 knows them: without, features are off by {error(away)}",
        f"features[:36] 即我们的 {len(network)} 层，到最后一个 ReLU；L1 损失与我们的相差 {error(apart)}。但 [−1, 1]"
        " 的图像须先按 VGG19"
        f" 的方式归一化：否则特征相差 {error(away)}",
    )


def texture(twins: Twins) -> Measured:
    """The listing's Gram matrices against ours, and on an image repeated twice each way."""
    import torch

    from torch_impl.features import texture_loss

    def gram(x: Any) -> Any:
        b, c, h, w = x.size()
        features = x.view(b, c, h * w)
        return torch.bmm(features, features.transpose(1, 2)) / (c * h * w)

    fake, real = batch(twins, 2, 6, 4, 5), batch(twins, 2, 6, 4, 5, place=1)
    apart = abs(float((gram(fake) - gram(real)).abs().mean()) - float(texture_loss(fake, real)))
    larger = gap(gram(fake.repeat(1, 1, 2, 2)).numpy(), gram(fake).numpy())
    return Measured(
        truth(apart <= AGREE and larger <= AGREE),
        f"equal to ours within {error(apart)}; divided by c·h·w, so that an image tiled 2×2 has the same matrix within"
        f" {error(larger)}",
        f"与我们的相差 {error(apart)}；除以 c·h·w，因此 2×2 平铺的图像矩阵不变，相差 {error(larger)}",
    )
