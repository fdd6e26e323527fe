"""What both networks minimise, in TensorFlow; twin of torch_impl/losses.py.

As in ``train()`` of ``train_specgan.py``, github.com/chrisdonahue/wavegan at 40e85e8. Logits are ``[B]``.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from tensorflow import Tensor

from common.schema import LossConfig


def d_loss(cfg: LossConfig, real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss without penalty, a scalar, from logits on real and fake."""
    return D_LOSSES[cfg.kind](cfg, real, fake)


def g_loss(cfg: LossConfig, fake: Tensor) -> Tensor:
    """The generator's loss, a scalar, from the discriminator's logits on fakes."""
    return G_LOSSES[cfg.kind](fake)


def gradient_penalty(
    cfg: LossConfig, discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, alpha: Tensor
) -> Tensor:
    """Weighted mean of (|gradient of D| - 1) squared at ``real + alpha (fake - real)``.

    Images ``[B, H, W, C]``, ``alpha`` ``[B]``. Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1.
    """
    between = real + tf.reshape(alpha, [-1, 1, 1, 1]) * (fake - real)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(between)
        logits = discriminator(between)
    slopes = tf.sqrt(tf.reduce_sum(tf.square(tape.gradient(logits, between)), axis=[1, 2, 3]))
    return cfg.penalty_weight * tf.reduce_mean(tf.square(slopes - 1))


def _targets(cfg: LossConfig) -> tuple[float, float]:
    return 1 - cfg.label_smoothing, cfg.label_smoothing if cfg.smooth_fakes else 0.0


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    return tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(tf.fill(tf.shape(logits), tf.constant(target, logits.dtype)), logits)
    )


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


D_LOSSES: dict[str, Callable[[LossConfig, Tensor, Tensor], Tensor]] = {
    "wgan-gp": _wasserstein,
    "wgan": _wasserstein,
    "lsgan": _least_squares,
    "dcgan": _non_saturating,
}
G_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "wgan-gp": lambda fake: -tf.reduce_mean(fake),
    "wgan": lambda fake: -tf.reduce_mean(fake),
    "lsgan": lambda fake: _distance(fake, 1.0),
    "dcgan": lambda fake: _cross_entropy(fake, 1.0),
}
