"""Training in TensorFlow; twin of torch_impl/trainer.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from shared_impl.config.schema import Config
from shared_impl.data.augmentation import AUGMENTATION
from shared_impl.data.moments import Moments
from shared_impl.draws import Draws
from shared_impl.training import growing
from shared_impl.training.schedules import learning_rates
from tf_impl import build, features, losses, optimizers
from tf_impl.augmentation import augment
from tf_impl.convolution import use_fast_path
from tf_impl.distribution import Replicas
from tf_impl.growing import seen
from tf_impl.initial_weights import initialise
from tf_impl.layers import dropping, named, precision
from tf_impl.spectrogram import spectrogram, waveform

Array = np.ndarray
Metrics = dict[str, Tensor]
Learned = tuple[list[Tensor], Metrics]  # gradients in the order of the parameters, and what was seen on the way
DTYPES = {"float32": tf.float32, "bfloat16": tf.float32, "float64": tf.float64}


NONE = np.empty(0, np.int64)  # classes of what has none
PASSES = ("real", "fake", "between", "slope")  # images through D: in its own update, and in G's
_UNUSED = {"unconnected_gradients": tf.UnconnectedGradients.ZERO}  # of layers of stages that are still to come


class Drawn(NamedTuple):
    """What an update draws, and what else it is told, a row an example: latents ``[B, nz]``, mixing weights ``[B]``,
    instance noise ``[B, H, W, C]``, which is added to real and to fake images alike, numbers ``[B, PASSES, channels]``
    by which D drops channels, classes ``[B]``, real images ``[B, H, W, C]`` whose features G imitates, and the weights
    ``[B, stages]`` of what a growing network makes (:mod:`shared_impl.training.growing`).

    Noise and images that are not asked for are zeros ``[B, 1, 1, 1]``.
    """

    z: Tensor
    alpha: Tensor
    noise: Tensor
    dropout: Tensor
    labels: Tensor
    images: Tensor
    grown: Tensor

    def portion(self, i: int, portions: int) -> Drawn:
        """Every so many rows from the ``i``-th on: on however many devices, the same ones."""
        return Drawn(*(part[i::portions] for part in self))


class Judgement(NamedTuple):
    """What D says of images: scores ``[B]``, or several of each, ``[B, S]``, and the logits ``[B, K]`` of an auxiliary
    head.
    """

    scores: Tensor
    classes: Tensor | None = None


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
        self.done = 0  # steps, as far as this trainer has taken them
        self.draws = Draws(config.training.seed)
        self.replicas = replicas or Replicas(config)
        self.dtype = DTYPES[config.training.precision]
        with self.replicas.scope():
            self.generator = self._network("generator")
            self.discriminator = self._network("discriminator")
            self.ema = self._network("generator") if config.training.ema is not None else None
            chosen = optimizers.OPTIMIZERS[config.optimizer.kind]
            self.d_optimizer = chosen(
                config.optimizer, named(self.discriminator, self.discriminator.trainable_variables)
            )
            self.g_optimizer = chosen(config.optimizer, named(self.generator, self.generator.trainable_variables))
            self.features = features.load(config.loss, config.training.precision) if config.loss.imitates else None
        if moments is not None:
            self.mean, self.std = (self._tensor(values) for values in (moments.mean, moments.std))

    def step(self, step: int, batches: Iterator[dict[str, Array]]) -> Metrics:
        """Step number ``step``: ``d_updates`` updates of D, each on the next batch, then one of G."""
        cfg = self.config.training
        self.done = step + 1
        if growing.begins(self.config, step):
            self.d_optimizer.restart()
            self.g_optimizer.restart()
        lr_d, lr_g = (tf.constant(lr, tf.float64) for lr in learning_rates(self.config.optimizer, step, self.steps))
        if cfg.reuse_fakes:
            real, labels = self._taken(batches, step, 0)
            return self.update_both(real, self._told(self._drawn(step, 0), real, labels), lr_d, lr_g)
        metrics: Metrics = {}
        for update in range(cfg.d_updates):
            real, labels = self._taken(batches, step, update)
            metrics = self.update_discriminator(real, self._told(self._drawn(step, update), real, labels), lr_d)
        return metrics | self.update_generator(self._told(self._drawn(step, cfg.d_updates), real, labels), lr_g)

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
        return self._move_discriminator(real, self._generated(drawn), drawn, lr)

    def _update_generator(self, drawn: Drawn, lr: Tensor) -> Metrics:
        parameters = list(self.g_optimizer.parameters.values())

        def learn(drawn: Drawn) -> Learned:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(parameters)
                fake = self._generated(drawn)
            slope, metrics = self._slope(fake, drawn)
            return tape.gradient(fake, parameters, slope, **_UNUSED), metrics

        gradients, metrics = self._averaged(learn, drawn)
        self._move_generator(gradients, lr)
        return metrics

    def _update_both(self, real: Tensor, drawn: Drawn, lr_d: Tensor, lr_g: Tensor) -> Metrics:
        parameters = list(self.g_optimizer.parameters.values())
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(parameters)
            fake = self._generated(drawn)
        d_metrics = self._move_discriminator(real, fake, drawn, lr_d)
        slope, g_metrics = self._slope(fake, drawn)
        gradients, g_metrics = self._shared(tape.gradient(fake, parameters, slope, **_UNUSED), g_metrics)
        self._move_generator(gradients, lr_g)
        return d_metrics | g_metrics

    def _generated(self, drawn: Drawn) -> Tensor:
        """Fakes ``[B, H, W, C]``."""
        given = self._growing(self._with_labels(drawn.z, drawn.labels), drawn.grown)
        return tf.cast(self.generator(given, training=True), self.dtype)

    def _slope(self, fake: Tensor, drawn: Drawn) -> tuple[Tensor, Metrics]:
        """The gradient of G's loss at fakes."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(fake)
            loss, metrics = self._g_loss(fake, drawn)
        return tape.gradient(loss, fake), metrics

    def _g_loss(self, fake: Tensor, drawn: Drawn) -> tuple[Tensor, Metrics]:
        """G's loss, with what it is made of."""
        cfg = self.config.loss
        judged = self._judged(fake + drawn.noise, drawn, "slope")
        loss, metrics = losses.g_loss(cfg, judged.scores), {}
        if judged.classes is not None:
            metrics["g_class"] = losses.auxiliary_loss(cfg, judged.classes, drawn.labels)
        if self.features is not None:
            metrics |= features.imitation(cfg, self.features, fake, drawn.images)
        loss = sum(metrics.values(), loss)
        return loss, {"g_loss": loss, **metrics}

    def _move_discriminator(self, real: Tensor, fake: Tensor, drawn: Drawn, lr: Tensor) -> Metrics:
        gradients, metrics = self._averaged(self._d_gradients, drawn, real, fake)
        self.d_optimizer.apply(self._clipped(gradients), lr)
        if self.config.loss.kind == "wgan":
            for parameter in self.d_optimizer.parameters.values():
                parameter.assign(tf.clip_by_value(parameter, -self.config.loss.clip, self.config.loss.clip))
        return metrics

    def _d_gradients(self, real: Tensor, fake: Tensor, drawn: Drawn) -> Learned:
        parameters = list(self.d_optimizer.parameters.values())
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(parameters)
            loss, metrics = self._d_loss(real, fake, drawn)
        return tape.gradient(loss, parameters, **_UNUSED), metrics

    def _d_loss(self, real: Tensor, fake: Tensor, drawn: Drawn) -> tuple[Tensor, Metrics]:
        """D's loss, penalty included, with what it is made of."""
        cfg, judged = self.config.loss, partial(self._judged, drawn=drawn)
        real, fake = real + drawn.noise, fake + drawn.noise
        on_real, on_fake = judged(real, at="real"), judged(fake, at="fake")
        loss = losses.d_loss(cfg, on_real.scores, on_fake.scores)
        seen = {"d_real": tf.reduce_mean(on_real.scores), "d_fake": tf.reduce_mean(on_fake.scores)}
        if cfg.kind == "wgan-gp":
            seen["penalty"] = losses.gradient_penalty(
                cfg, lambda images: judged(images, at="between").scores, real, fake, drawn.alpha
            )
            loss = loss + seen["penalty"]
        if on_real.classes is not None and on_fake.classes is not None:
            seen["d_class"] = losses.auxiliary_loss(cfg, on_real.classes, drawn.labels)
            seen["d_class"] = seen["d_class"] + losses.auxiliary_loss(cfg, on_fake.classes, drawn.labels)
            loss = loss + seen["d_class"]
        return loss, {"d_loss": loss, **seen}

    def _move_generator(self, gradients: list[Tensor], lr: Tensor) -> None:
        self.g_optimizer.apply(self._clipped(gradients), lr)
        decay = self.config.training.ema
        if self.ema is not None and decay is not None:
            self._average(self.ema, decay)

    def _average(self, ema: keras.Model, decay: float) -> None:
        """Parameters drift towards the generator's; running statistics are copied."""
        for drifting, parameter in zip(ema.trainable_variables, self.generator.trainable_variables, strict=True):
            drifting.assign_add((1 - decay) * (parameter - drifting))
        for copied, statistic in zip(ema.non_trainable_variables, self.generator.non_trainable_variables, strict=True):
            copied.assign(statistic)

    def _averaged(self, learn: Callable[..., Learned], drawn: Drawn, *images: Tensor) -> Learned:
        """Gradients and metrics, averaged over the portions of a batch and over all devices."""
        portions = self.config.training.accumulation
        parts = [learn(*(x[i::portions] for x in images), drawn.portion(i, portions)) for i in range(portions)]
        gradients = [_mean(found) for found in zip(*(part for part, _ in parts), strict=True)]
        return self._shared(gradients, {name: _mean([told[name] for _, told in parts]) for name in parts[0][1]})

    def _shared(self, gradients: list[Tensor], metrics: Metrics) -> Learned:
        """Gradients and metrics, averaged over all devices."""
        averaged = self.replicas.average([*gradients, *metrics.values()])
        return averaged[: len(gradients)], dict(zip(metrics, averaged[len(gradients) :], strict=True))

    def _clipped(self, gradients: list[Tensor]) -> list[Tensor]:
        most = self.config.optimizer.clip_norm
        return gradients if most is None else optimizers.clip(gradients, most)

    def _judged(self, images: Tensor, drawn: Drawn, at: str) -> Judgement:
        """What D says, never of lower precision than the weights."""
        model = self.config.model
        given = images if model.auxiliary else self._with_labels(images, drawn.labels)
        with dropping(drawn.dropout[:, PASSES.index(at)]):
            said = self.discriminator(self._growing(given, drawn.grown), training=True)
        return Judgement(*(tf.cast(part, self.dtype) for part in (said if model.auxiliary else (said,))))

    def _with_labels(self, x: Tensor, labels: Tensor) -> Tensor | list[Tensor]:
        """What a network is given: of a conditional system the classes too."""
        return [x, labels] if self.config.model.labels else x

    def _growing(self, given: Any, grown: Tensor) -> Any:
        """What a network that grows is given besides."""
        return [*(given if isinstance(given, list) else [given]), grown] if self.config.model.stages else given

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
        if self.moments is not None:
            return spectrogram(x, self.mean, self.std, *self.config.model.framing[:2])
        return x / 127.5 - 1

    def _taken(self, batches: Iterator[dict[str, Array]], step: int, update: int) -> tuple[Any, Any]:
        """The next batch: images ``[B, H, W, C]``, changed at random where that is asked for, and their classes."""
        batch = growing.joined(batches, growing.portions(self.config, step))
        x, labels = (self.replicas.parts(self._tensor(batch[name])) for name in ("x", "label"))
        count = AUGMENTATION if self.config.data.augments else 0
        numbers, grown = self._numbers("augmentation", step, update, count), self._grown(step)
        return self._given(x, self._rows(numbers), self._rows(grown)), labels

    @tf.function(autograph=False)
    def _given(self, x: Tensor, numbers: Tensor, grown: Tensor) -> Tensor:
        """Each device's part of a batch, prepared there."""
        return self.replicas.run_each(self._changed, x, numbers, grown)

    def _changed(self, x: Tensor, numbers: Tensor, grown: Tensor) -> Tensor:
        real = self._prepared(x)
        real = augment(self.config.data, real, numbers) if self.config.data.augments else real
        return seen(real, self.config.model.stages, grown) if self.config.model.stages else real

    def _told(self, drawn: Drawn, real: Any, labels: Any) -> Drawn:
        """What an update draws, with the classes of a batch and, if G imitates them, its images."""
        return drawn._replace(labels=labels, images=drawn.images if self.features is None else real)

    def sample(self, z: Array, labels: Array = NONE) -> Array:
        """Images ``[B, H, W, C]`` in [-1, 1] from latents ``[B, nz]``: the moving average's if there is one.

        A conditional system needs classes ``[B]``. One that grows has grown as far as the last step had it.
        """
        grown = self._tensor(growing.shown(self.config, self.done, len(z)))
        return self._sample(self._tensor(z), self._tensor(labels), grown).numpy()

    @tf.function(autograph=False, reduce_retracing=True)
    def _sample(self, z: Tensor, labels: Tensor, grown: Tensor) -> Tensor:
        network = self.generator if self.ema is None else self.ema
        given = self._growing(self._with_labels(z, labels), grown)
        return tf.cast(network(given, training=False), tf.float32)

    def clips(self, images: Array) -> Array:
        """Waveforms ``[B, T]`` of spectrograms ``[B, H, W, 1]``."""
        return self._clips(self._tensor(images)).numpy()

    @tf.function(autograph=False, reduce_retracing=True)
    def _clips(self, images: Tensor) -> Tensor:
        frame, hop, _ = self.config.model.framing
        return tf.cast(waveform(images, self.mean, self.std, frame=frame, hop=hop), tf.float32)

    def real(self, x: Array) -> Array:
        """A batch of the stream as images ``[B, H, W, C]`` in [-1, 1]."""
        return self.prepare(x).numpy()

    def _drawn(self, step: int, update: int) -> Drawn:
        cfg = self.config
        batch = self._batch_size(step)
        z = self.draws.latents(cfg.training.latents, "latents", (batch, cfg.model.nz), step, update)
        alpha = self.draws.uniform("alpha", (batch,), step, update)
        dropout = self._numbers("dropout", step, update, len(PASSES), sum(cfg.model.dropped))
        labels, nothing = np.zeros(batch, np.int64), np.zeros((batch, 1, 1, 1))
        rows = (z, alpha, self._noise(step, update), dropout, labels, nothing, self._grown(step))
        return Drawn(*map(self._rows, rows))

    def _batch_size(self, step: int) -> int:
        return growing.portions(self.config, step) * self.config.training.batch_size

    def _grown(self, step: int) -> Array:
        """The weights ``[B, stages]`` of a step's stages for each example."""
        return np.tile(growing.weights(self.config, step), (self._batch_size(step), 1))

    def _numbers(self, purpose: str, step: int, update: int, *shape: int) -> Array:
        """Numbers of that shape for each example, U[0, 1)."""
        shape = (self._batch_size(step), *shape)
        return self.draws.uniform(purpose, shape, step, update) if all(shape) else np.empty(shape)

    def _rows(self, drawn: Array) -> Any:
        """Each device's part of what was drawn for a whole batch."""
        return self.replicas.rows(self._tensor(drawn))

    def _noise(self, step: int, update: int) -> Array:
        cfg = self.config
        if not cfg.training.instance_noise:
            return np.zeros((self._batch_size(step), 1, 1, 1))
        side = growing.side(cfg, step)
        shape = (self._batch_size(step), side, side, cfg.model.nc)
        noise = cfg.training.instance_noise * self.draws.normal("instance noise", shape, step, update)
        return growing.enlarged(noise, cfg.model.side)

    def _tensor(self, values: Array) -> Tensor:
        """Numbers in the trainer's precision; classes as they are."""
        return tf.constant(values, tf.int64 if values.dtype == np.int64 else self.dtype)

    def _network(self, name: str) -> keras.Model:
        with precision(self.config.training.precision):
            network = build(self.config.model, name)
        initialise(network, name, self.config.model.init, self.draws)
        network = network if self.config.training.compile else use_fast_path(network)
        return self.replicas.synchronised(network) if self.config.distribution.sync_batchnorm else network


def _mean(values: Sequence[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else tf.add_n(list(values)) / len(values)
