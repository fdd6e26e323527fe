"""A plain training loop in TensorFlow, as good tutorials write it: what tf_impl's trainer is measured against.

DCGAN follows tensorflow.org's DCGAN tutorial, with G's update after D's as in the other loops; SpecGAN keras.io's
WGAN-GP. Stock layers, real and fake in separate passes, one ``tf.function`` a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from tensorflow import Tensor

from shared_impl.config.schema import Config

Metrics = dict[str, Tensor]


def specgan(model: Any) -> tuple[keras.Model, keras.Model]:
    """SpecGAN's generator and discriminator, without batch norm and with a kernel of 5."""
    d, widths = model.dim, [16, 8, 4, 2, 1]
    up = [layers.Input([model.nz]), layers.Dense(256 * d), layers.Reshape([4, 4, 16 * d]), layers.ReLU()]
    down = [layers.Input([128, 128, model.nc])]
    for i in range(5):
        out = widths[i + 1] * d if i < 4 else model.nc
        up += [layers.Conv2DTranspose(out, 5, 2, "same"), layers.Activation("relu" if i < 4 else "tanh")]
        down += [layers.Conv2D(widths[4 - i] * d, 5, 2, "same"), layers.LeakyReLU(0.2)]
    return keras.Sequential(up), keras.Sequential([*down, layers.Flatten(), layers.Dense(1), layers.Reshape([])])


def dcgan(model: Any) -> tuple[keras.Model, keras.Model]:
    """DCGAN's generator and discriminator at 64x64."""
    g, d, widths = model.ngf, model.ndf, [8, 4, 2, 1]
    up = [layers.Input([model.nz]), layers.Reshape([1, 1, model.nz])]
    up += [layers.Conv2DTranspose(8 * g, 4, 1, "valid", use_bias=False)]
    down = [layers.Input([64, 64, model.nc]), layers.Conv2D(d, 4, 2, "same", use_bias=False), layers.LeakyReLU(0.2)]
    for i in range(4):
        out = widths[i + 1] * g if i < 3 else model.nc
        up += [layers.BatchNormalization(momentum=0.9, epsilon=1e-5), layers.ReLU()]
        up += [layers.Conv2DTranspose(out, 4, 2, "same", use_bias=False)]
        if i < 3:
            down += [layers.Conv2D(2 ** (i + 1) * d, 4, 2, "same", use_bias=False)]
            down += [layers.BatchNormalization(momentum=0.9, epsilon=1e-5), layers.LeakyReLU(0.2)]
    down += [layers.Conv2D(1, 4, 1, "valid", use_bias=False), layers.Reshape([])]
    return keras.Sequential([*up, layers.Activation("tanh")]), keras.Sequential(down)


class Tutorial:
    """Both networks, two stock Adams and the two losses of a configuration."""

    def __init__(self, config: Config, weights: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
        self.penalised = config.loss.kind == "wgan-gp"
        self.penalty_weight, self.nz = config.loss.penalty_weight, config.model.nz
        networks = (specgan if config.model.system == "specgan" else dcgan)(config.model)
        self.generator, self.discriminator = networks
        for network, values in zip(networks, weights, strict=True):
            for variable, value in zip(network.trainable_variables, values, strict=True):
                variable.assign(value)
        adam = config.optimizer
        self.d_optimizer = keras.optimizers.Adam(adam.lr, beta_1=adam.beta1, beta_2=adam.beta2)
        self.g_optimizer = keras.optimizers.Adam(adam.lr, beta_1=adam.beta1, beta_2=adam.beta2)

    def step(self, real: Tensor) -> Metrics:
        """One update of each network on images ``[B, H, W, C]``."""
        if self.penalised:
            return self.wasserstein(real, self.noise(real), tf.random.uniform([len(real)]), self.noise(real))
        return self.non_saturating(real, self.noise(real))

    def noise(self, real: Tensor) -> Tensor:
        """Latents ``[B, nz]``."""
        return tf.random.normal([len(real), self.nz])

    @tf.function
    def non_saturating(self, real: Tensor, z: Tensor) -> Metrics:
        """DCGAN's step: G learns from the fakes that D has seen."""
        criterion = keras.losses.BinaryCrossentropy(from_logits=True)
        with tf.GradientTape() as g_tape:
            fake = self.generator(z, training=True)
            with tf.GradientTape() as d_tape:
                real_logits = self.discriminator(real, training=True)
                fake_logits = self.discriminator(fake, training=True)
                d_loss = criterion(tf.ones_like(real_logits), real_logits)
                d_loss += criterion(tf.zeros_like(fake_logits), fake_logits)
            self._apply(self.d_optimizer, d_tape, d_loss, self.discriminator)
            fake_logits = self.discriminator(fake, training=True)
            g_loss = criterion(tf.ones_like(fake_logits), fake_logits)
        self._apply(self.g_optimizer, g_tape, g_loss, self.generator)
        return {"d_loss": d_loss, "g_loss": g_loss}

    @tf.function
    def wasserstein(self, real: Tensor, z: Tensor, alpha: Tensor, z_again: Tensor) -> Metrics:
        """WGAN-GP's step with a single update of D."""
        with tf.GradientTape() as tape:
            fake = self.generator(z, training=True)
            fake_logits = self.discriminator(fake, training=True)
            real_logits = self.discriminator(real, training=True)
            d_loss = tf.reduce_mean(fake_logits) - tf.reduce_mean(real_logits)
            d_loss += self.penalty_weight * self.penalty(real, fake, alpha)
        self._apply(self.d_optimizer, tape, d_loss, self.discriminator)
        with tf.GradientTape() as tape:
            fake = self.generator(z_again, training=True)
            g_loss = -tf.reduce_mean(self.discriminator(fake, training=True))
        self._apply(self.g_optimizer, tape, g_loss, self.generator)
        return {"d_loss": d_loss, "g_loss": g_loss}

    def penalty(self, real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
        """Mean of (|gradient of D| - 1) squared between real and fake."""
        between = real + tf.reshape(alpha, [-1, 1, 1, 1]) * (fake - real)
        with tf.GradientTape() as tape:
            tape.watch(between)
            logits = self.discriminator(between, training=True)
        gradient = tape.gradient(logits, [between])[0]
        norm = tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3]))
        return tf.reduce_mean((norm - 1.0) ** 2)

    def _apply(self, optimizer: Any, tape: tf.GradientTape, loss: Tensor, network: keras.Model) -> None:
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))

    def forget(self) -> None:
        """Set Adam's first moments to zero."""
        for optimizer in (self.d_optimizer, self.g_optimizer):
            for moment in getattr(optimizer, "_momentums", []):
                moment.assign(tf.zeros_like(moment))

    def gradients(self) -> Iterator[np.ndarray]:
        """What Adam has seen in the step after ``forget``, parameter by parameter, D's first."""
        for optimizer in (self.d_optimizer, self.g_optimizer):
            for moment in optimizer._momentums:
                yield np.asarray(moment) / (1 - optimizer.beta_1)
