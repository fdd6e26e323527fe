"""Training in TensorFlow; twin of torch_impl/trainer.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from common.draws import Draws
from common.moments import Moments
from common.schedules import learning_rates
from common.schema import Config
from tf_impl import build, losses, optimizers
from tf_impl.convolution import hasten
from tf_impl.distribution import Replicas
from tf_impl.initial import initialise
from tf_impl.layers import named, precision
from tf_impl.spectrogram import spectrogram, waveform

Array = np.ndarray
Metrics = dict[str, Tensor]
Learned = tuple[list[Tensor], Metrics]  # gradients in the order of the parameters, and what was seen on the way
DTYPES = {"float32": tf.float32, "bfloat16": tf.float32, "float64": tf.float64}


class Drawn(NamedTuple):
    """What an update draws: latents ``[B, nz]``, mixing weights ``[B]`` and instance noise ``[B, H, W, C]``.

    The noise is added to real and to fake images alike; without it, it is zeros ``[B, 1, 1, 1]``.
    """

    z: Tensor
    alpha: Tensor
    noise: Tensor


class Trainer:
    """Both networks, their optimisers, the generator's moving average, and the updates that move them.

    Everything random comes from ``Draws(training.seed)``: two trainers of one configuration, in either framework, take
    the same steps on the same batches. ``steps`` is the length of the run, which the learning-rate schedules need;
    with ``replicas`` the batches are this process's part of them, and all processes step together.
    """

    framework = "tensorflow"

    def __init__(
        self, config: Config, steps: int, moments: Moments | None = None, replicas: Replicas | None = None
    ) -> None:
        self.config, self.steps, self.moments = config, steps, moments
        self.draws = Draws(config.training.seed)
        self.replicas = replicas or Replicas(config)
        self.dtype = DTYPES[config.training.precision]
        with self.replicas.scope():
            self.generator = self._network("generator")
            self.discriminator = self._network("discriminator")
            self.ema = self._network("generator") if config.training.ema is not None else None
            chosen = optimizers.OPTIMIZERS[config.optimizer.kind]
            self.d_optimizer = chosen(config.optimizer, named(self.discriminator.trainable_variables))
            self.g_optimizer = chosen(config.optimizer, named(self.generator.trainable_variables))
        if moments is not None:
            self.mean, self.std = (self._tensor(values) for values in (moments.mean, moments.std))

    def step(self, step: int, batches: Iterator[dict[str, Array]]) -> Metrics:
        """Step number ``step``: ``d_updates`` updates of D, each on the next batch, then one of G."""
        cfg = self.config.training
        lr_d, lr_g = (tf.constant(lr, tf.float64) for lr in learning_rates(self.config.optimizer, step, self.steps))
        if cfg.reuse_fakes:
            return self.update_both(self._taken(batches), self._drawn(step, 0), lr_d, lr_g)
        metrics: Metrics = {}
        for update in range(cfg.d_updates):
            real = self._taken(batches)
            metrics = self.update_discriminator(real, self._drawn(step, update), lr_d)
        return metrics | self.update_generator(self._drawn(step, cfg.d_updates), lr_g)

    @tf.function(autograph=False)
    def update_discriminator(self, real: Tensor, drawn: Drawn, lr: Tensor) -> Metrics:
        """One update of D on images ``[B, H, W, C]``."""
        return self.replicas.run(self._compiled(self._update_discriminator), real, drawn, lr)

    @tf.function(autograph=False)
    def update_generator(self, drawn: Drawn, lr: Tensor) -> Metrics:
        """One update of G."""
        return self.replicas.run(self._compiled(self._update_generator), drawn, lr)

    @tf.function(autograph=False)
    def update_both(self, real: Tensor, drawn: Drawn, lr_d: Tensor, lr_g: Tensor) -> Metrics:
        """One update of D, then one of G, on the same fakes."""
        return self.replicas.run(self._compiled(self._update_both), real, drawn, lr_d, lr_g)

    def _compiled(self, update: Callable[..., Metrics]) -> Callable[..., Metrics]:
        """The update, through XLA where the configuration asks for it."""
        if not self.config.training.compile:
            return update
        return tf.function(update, autograph=False, jit_compile=True)

    def _update_discriminator(self, real: Tensor, drawn: Drawn, lr: Tensor) -> Metrics:
        fake = self._generated(drawn.z)
        return self._move_discriminator(real + drawn.noise, fake + drawn.noise, drawn.alpha, lr)

    def _update_generator(self, drawn: Drawn, lr: Tensor) -> Metrics:
        parameters = list(self.g_optimizer.parameters.values())

        def learn(z: Tensor, noise: Tensor) -> Learned:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(parameters)
                fake = self._generated(z)
            slope, metrics = self._slope(fake + noise)
            return tape.gradient(fake, parameters, slope), metrics

        gradients, metrics = self._averaged(learn, drawn.z, drawn.noise)
        self._move_generator(gradients, lr)
        return metrics

    def _update_both(self, real: Tensor, drawn: Drawn, lr_d: Tensor, lr_g: Tensor) -> Metrics:
        parameters = list(self.g_optimizer.parameters.values())
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(parameters)
            made = self._generated(drawn.z)
        fake = made + drawn.noise
        d_metrics = self._move_discriminator(real + drawn.noise, fake, drawn.alpha, lr_d)
        slope, g_metrics = self._slope(fake)
        gradients, g_metrics = self._shared(tape.gradient(made, parameters, slope), g_metrics)
        self._move_generator(gradients, lr_g)
        return d_metrics | g_metrics

    def _generated(self, z: Tensor) -> Tensor:
        """Fakes ``[B, H, W, C]``."""
        return tf.cast(self.generator(z, training=True), self.dtype)

    def _slope(self, fake: Tensor) -> tuple[Tensor, Metrics]:
        """The gradient of G's loss at fakes."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(fake)
            loss = losses.g_loss(self.config.loss, self._judged(fake))
        return tape.gradient(loss, fake), {"g_loss": loss}

    def _move_discriminator(self, real: Tensor, fake: Tensor, alpha: Tensor, lr: Tensor) -> Metrics:
        gradients, metrics = self._averaged(self._d_gradients, real, fake, alpha)
        self.d_optimizer.apply(self._clipped(gradients), lr)
        if self.config.loss.kind == "wgan":
            for parameter in self.d_optimizer.parameters.values():
                parameter.assign(tf.clip_by_value(parameter, -self.config.loss.clip, self.config.loss.clip))
        return metrics

    def _d_gradients(self, real: Tensor, fake: Tensor, alpha: Tensor) -> Learned:
        parameters = list(self.d_optimizer.parameters.values())
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(parameters)
            loss, metrics = self._d_loss(real, fake, alpha)
        return tape.gradient(loss, parameters), metrics

    def _d_loss(self, real: Tensor, fake: Tensor, alpha: Tensor) -> tuple[Tensor, Metrics]:
        """D's loss, penalty included, with what it is made of."""
        cfg = self.config.loss
        real_logits, fake_logits = self._judged(real), self._judged(fake)
        loss = losses.d_loss(cfg, real_logits, fake_logits)
        metrics = {"d_real": tf.reduce_mean(real_logits), "d_fake": tf.reduce_mean(fake_logits)}
        if cfg.kind == "wgan-gp":
            metrics["penalty"] = losses.gradient_penalty(cfg, self._judged, real, fake, alpha)
            loss = loss + metrics["penalty"]
        return loss, {"d_loss": loss, **metrics}

    def _move_generator(self, gradients: list[Tensor], lr: Tensor) -> None:
        self.g_optimizer.apply(self._clipped(gradients), lr)
        decay = self.config.training.ema
        if self.ema is not None and decay is not None:
            self._average(self.ema, decay)

    def _average(self, ema: keras.Model, decay: float) -> None:
        """Parameters drift towards the generator's; running statistics are copied."""
        for drifting, parameter in zip(ema.trainable_variables, self.generator.trainable_variables, strict=True):
            drifting.assign(decay * drifting + (1 - decay) * parameter)
        for copied, statistic in zip(ema.non_trainable_variables, self.generator.non_trainable_variables, strict=True):
            copied.assign(statistic)

    def _averaged(self, learn: Callable[..., Learned], *inputs: Tensor) -> Learned:
        """Gradients and metrics, averaged over the portions of a batch and over all devices.

        Portion ``i`` of ``n`` is every ``n``-th example from the ``i``-th on: on however many devices, the same ones.
        """
        portions = self.config.training.accumulation
        parts = [learn(*(x[i::portions] for x in inputs)) for i in range(portions)]
        gradients = [tf.add_n(found) / portions for found in zip(*(part for part, _ in parts), strict=True)]
        return self._shared(gradients, {name: _mean([told[name] for _, told in parts]) for name in parts[0][1]})

    def _shared(self, gradients: list[Tensor], metrics: Metrics) -> Learned:
        """Gradients and metrics, averaged over all devices."""
        averaged = self.replicas.average([*gradients, *metrics.values()])
        return averaged[: len(gradients)], dict(zip(metrics, averaged[len(gradients) :], strict=True))

    def _clipped(self, gradients: list[Tensor]) -> list[Tensor]:
        most = self.config.optimizer.clip_norm
        return gradients if most is None else optimizers.clip(gradients, most)

    def _judged(self, images: Tensor) -> Tensor:
        """D's logits ``[B]``, never of lower precision than the weights."""
        return tf.cast(self.discriminator(images, training=True), self.dtype)

    @tf.function(autograph=False)
    def settle(self) -> None:
        """Give every device the average of all devices' running statistics, before they are used or saved."""
        self.replicas.run(self._settle)

    def _settle(self) -> None:
        networks = [network for network in (self.generator, self.discriminator, self.ema) if network is not None]
        statistics = [statistic for network in networks for statistic in network.non_trainable_variables]
        if self.replicas.size > 1 and statistics:
            means = self.replicas.average([tf.identity(statistic) for statistic in statistics])
            for statistic, mean in zip(statistics, means, strict=True):
                statistic.assign(mean)

    def prepare(self, x: Array) -> Tensor:
        """A batch as the stream gives it to images ``[B, H, W, C]`` in [-1, 1].

        ``x``: uint8 ``[B, H, W, C]``, or waveforms ``[B, T]``, whose spectrograms are made here.
        """
        return self._prepared(self._tensor(x))

    def _prepared(self, x: Tensor) -> Tensor:
        return x / 127.5 - 1 if self.moments is None else spectrogram(x, self.mean, self.std)

    def _taken(self, batches: Iterator[dict[str, Array]]) -> Any:
        return self._given(self.replicas.parts(self._tensor(next(batches)["x"])))

    @tf.function(autograph=False)
    def _given(self, x: Tensor) -> Tensor:
        """Each device's part of a batch, prepared there."""
        return self.replicas.run_each(self._prepared, x)

    def sample(self, z: Array) -> Array:
        """Images ``[B, H, W, C]`` in [-1, 1] from latents ``[B, nz]``: the moving average's if there is one."""
        return self._sample(self._tensor(z)).numpy()

    @tf.function(autograph=False, reduce_retracing=True)
    def _sample(self, z: Tensor) -> Tensor:
        network = self.generator if self.ema is None else self.ema
        return tf.cast(network(z, training=False), tf.float32)

    def clips(self, images: Array) -> Array:
        """Waveforms ``[B, T]`` of spectrograms ``[B, H, W, 1]``."""
        return self._clips(self._tensor(images)).numpy()

    @tf.function(autograph=False, reduce_retracing=True)
    def _clips(self, images: Tensor) -> Tensor:
        return tf.cast(waveform(images, self.mean, self.std), tf.float32)

    def real(self, x: Array) -> Array:
        """A batch of the stream as images ``[B, H, W, C]`` in [-1, 1]."""
        return self.prepare(x).numpy()

    def fixed_latents(self, count: int) -> Array:
        """The latents ``[count, nz]`` whose samples show how a run goes along."""
        return self.draws.latents(self.config.training.latents, "samples", (count, self.config.model.nz))

    def _drawn(self, step: int, update: int) -> Drawn:
        cfg = self.config
        shape = (cfg.training.batch_size, cfg.model.nz)
        z = self.draws.latents(cfg.training.latents, "latents", shape, step, update)
        alpha = self.draws.uniform("alpha", shape[:1], step, update)
        return Drawn(*(self.replicas.rows(self._tensor(x)) for x in (z, alpha, self._noise(step, update))))

    def _noise(self, step: int, update: int) -> Array:
        cfg = self.config
        if not cfg.training.instance_noise:
            return np.zeros((cfg.training.batch_size, 1, 1, 1))
        side = cfg.model.side
        shape = (cfg.training.batch_size, side, side, cfg.model.nc)
        return cfg.training.instance_noise * self.draws.normal("instance noise", shape, step, update)

    def _tensor(self, values: Array) -> Tensor:
        return tf.constant(values, self.dtype)

    def _network(self, name: str) -> keras.Model:
        with precision(self.config.training.precision):
            network = build(self.config.model, name)
        initialise(network, name, self.config.model.init, self.draws)
        network = network if self.config.training.compile else hasten(network)
        return self.replicas.synchronised(network) if self.config.distribution.sync_batchnorm else network


def _mean(values: Sequence[Tensor]) -> Tensor:
    return tf.reduce_mean(tf.stack(list(values)), 0)
