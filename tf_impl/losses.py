"""What both networks minimise, in TensorFlow; twin of torch_impl/losses.py.

As in ``train()`` of ``train_specgan.py``, github.com/chrisdonahue/wavegan at 40e85e8, and what came after it. Scores
are ``[B]``, or ``[B, N]`` of N patches or scales, all of which are averaged: logits, or for ``bce`` probabilities.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from tensorflow import Tensor

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
    named = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, class_logits)
    return cfg.auxiliary_weight * tf.reduce_mean(named)


def gradient_penalty(
    cfg: LossConfig, discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, alpha: Tensor
) -> Tensor:
    """Weighted mean of (|gradient of D| - 1) squared at ``real + alpha (fake - real)``.

    Images ``[B, H, W, C]``, ``alpha`` ``[B]``. Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1.
    """
    between = real + tf.reshape(alpha, [-1, 1, 1, 1]) * (fake - real)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(between)
        scores = discriminator(between)
    norms = tf.sqrt(tf.reduce_sum(tf.square(tape.gradient(scores, between)), axis=[1, 2, 3]))
    return cfg.penalty_weight * tf.reduce_mean(tf.square(norms - 1))


def _targets(cfg: LossConfig) -> tuple[float, float]:
    return 1 - cfg.label_smoothing, cfg.label_smoothing if cfg.smooth_fakes else 0.0


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    return tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(tf.fill(tf.shape(logits), tf.constant(target, logits.dtype)), logits)
    )


def _probable_cross_entropy(probabilities: Tensor, target: float) -> Tensor:
    """As Keras's ``binary_crossentropy``: clipped at a distance ``PROBABLE`` from 0 and 1, with no gradient beyond.

    torch's ``BCELoss`` clamps the logarithm at -100 instead. The two are equal in between; a 0 that should be 1 costs
    16.1 here with gradient 0, there 100 with gradient -1e12.
    """
    p = tf.clip_by_value(probabilities, PROBABLE, 1 - PROBABLE)
    return -tf.reduce_mean(target * tf.math.log(p) + (1 - target) * tf.math.log(1 - p))


def _distance(logits: Tensor, target: float) -> Tensor:
    return tf.reduce_mean(tf.square(logits - tf.constant(target, logits.dtype)))


def _wasserstein(cfg: LossConfig, real: Tensor, fake: Tensor) -> Tensor:
    return tf.reduce_mean(fake) - tf.reduce_mean(real)


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
    return tf.reduce_mean(tf.nn.relu(1 - real)) + tf.reduce_mean(tf.nn.relu(1 + fake))


D_LOSSES: dict[str, Callable[[LossConfig, Tensor, Tensor], Tensor]] = {
    "wgan-gp": _wasserstein,
    "wgan": _wasserstein,
    "lsgan": _least_squares,
    "dcgan": _non_saturating,
    "bce": _probable,
    "hinge": _hinge,
}
G_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "wgan-gp": lambda fake: -tf.reduce_mean(fake),
    "wgan": lambda fake: -tf.reduce_mean(fake),
    "lsgan": lambda fake: _distance(fake, 1.0),
    "dcgan": lambda fake: _cross_entropy(fake, 1.0),
    "bce": lambda fake: _probable_cross_entropy(fake, 1.0),
    "hinge": lambda fake: -tf.reduce_mean(fake),
}
