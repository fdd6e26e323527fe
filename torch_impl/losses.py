"""What both networks minimise, in torch; twin of tf_impl/losses.py.

As in ``train()`` of ``train_specgan.py``, github.com/chrisdonahue/wavegan at 40e85e8, and what came after it. Scores
are ``[B]``, or ``[B, N]`` of N patches or scales, all of which are averaged: logits, or for ``bce`` probabilities.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from shared_impl.config.loss import LossConfig

PROBABLE = 1e-7  # keras.config.epsilon(): how near to 0 and 1 a probability counts


def d_loss(cfg: LossConfig, real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss without penalty, a scalar, from scores on real and fake."""
    return D_LOSSES[cfg.kind](cfg, real, fake)


def g_loss(cfg: LossConfig, fake: Tensor) -> Tensor:
    """The generator's loss, a scalar, from the discriminator's scores on fakes."""
    return G_LOSSES[cfg.kind](fake)


def auxiliary_loss(cfg: LossConfig, class_logits: Tensor, labels: Tensor) -> Tensor:
    """Weighted mean cross-entropy of naming the class, from logits ``[B, K]`` and labels ``[B]`` of 0 ... K - 1.

    Odena et al. 2017, arXiv:1610.09585, equation 3.
    """
    return cfg.auxiliary_weight * F.cross_entropy(class_logits, labels.long())


def gradient_penalty(
    cfg: LossConfig, discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, alpha: Tensor
) -> Tensor:
    """Weighted mean of (|gradient of D| - 1) squared at ``real + alpha (fake - real)``.

    Images ``[B, C, H, W]``, ``alpha`` ``[B]``. Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1.
    """
    between = (real + alpha.reshape(-1, 1, 1, 1) * (fake - real)).requires_grad_()
    scores = discriminator(between)
    (gradient,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    norms = gradient.square().sum(dim=(1, 2, 3)).sqrt()
    return cfg.penalty_weight * (norms - 1).square().mean()


def _targets(cfg: LossConfig) -> tuple[float, float]:
    return 1 - cfg.label_smoothing, cfg.label_smoothing if cfg.smooth_fakes else 0.0


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def _probable_cross_entropy(probabilities: Tensor, target: float) -> Tensor:
    """As Keras's ``binary_crossentropy``: clipped at a distance ``PROBABLE`` from 0 and 1, with no gradient beyond.

    torch's ``BCELoss`` clamps the logarithm at -100 instead. The two are equal in between; a 0 that should be 1 costs
    16.1 here with gradient 0, there 100 with gradient -1e12.
    """
    p = probabilities.clamp(PROBABLE, 1 - PROBABLE)
    return -(target * p.log() + (1 - target) * (1 - p).log()).mean()


def _distance(logits: Tensor, target: float) -> Tensor:
    return (logits - target).square().mean()


def _wasserstein(cfg: LossConfig, real: Tensor, fake: Tensor) -> Tensor:
    return fake.mean() - real.mean()


def _least_squares(cfg: LossConfig, real: Tensor, fake: Tensor) -> Tensor:
    real_target, fake_target = _targets(cfg)
    return cfg.d_scale * (_distance(real, real_target) + _distance(fake, fake_target))


def _non_saturating(cfg: LossConfig, real: Tensor, fake: Tensor) -> Tensor:
    real_target, fake_target = _targets(cfg)
    return cfg.d_scale * (_cross_entropy(real, real_target) + _cross_entropy(fake, fake_target))


def _probable(cfg: LossConfig, real: Tensor, fake: Tensor) -> Tensor:
    real_target, fake_target = _targets(cfg)
    return cfg.d_scale * (_probable_cross_entropy(real, real_target) + _probable_cross_entropy(fake, fake_target))


def _hinge(cfg: LossConfig, real: Tensor, fake: Tensor) -> Tensor:
    """Lim and Ye 2017, arXiv:1705.02894. A score at its margin, 1 or -1, or beyond has no gradient."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


D_LOSSES: dict[str, Callable[[LossConfig, Tensor, Tensor], Tensor]] = {
    "wgan-gp": _wasserstein,
    "wgan": _wasserstein,
    "lsgan": _least_squares,
    "dcgan": _non_saturating,
    "bce": _probable,
    "hinge": _hinge,
}
G_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "wgan-gp": lambda fake: -fake.mean(),
    "wgan": lambda fake: -fake.mean(),
    "lsgan": lambda fake: _distance(fake, 1.0),
    "dcgan": lambda fake: _cross_entropy(fake, 1.0),
    "bce": lambda fake: _probable_cross_entropy(fake, 1.0),
    "hinge": lambda fake: -fake.mean(),
}
