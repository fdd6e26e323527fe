"""Training in TensorFlow; twin of torch_impl/trainer.py."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from shared_impl.config.schema import Config
from shared_impl.data.moments import Moments
from shared_impl.draws import Draws
from shared_impl.training import growing, step_inputs
from shared_impl.training.schedules import learning_rates
from shared_impl.training.step_inputs import NO_LABELS, PASSES, StepInputs
from tf_impl import build, features, losses, optimizers
from tf_impl.batches import Batches
from tf_impl.convolution import use_fast_path
from tf_impl.distribution import Replicas
from tf_impl.dropout import dropout_decided_by
from tf_impl.initial_weights import initialise
from tf_impl.layers import named, precision
from tf_impl.networks import DiscriminatorOutput, network_inputs, update_average
from tf_impl.spectrogram import waveform

Array = np.ndarray
Inputs = StepInputs[Tensor]
Metrics = dict[str, Tensor]
_Recorded = tuple[Tensor, tf.GradientTape]  # fakes, and the tape that knows how they depend on G's parameters
DTYPES = {"float32": tf.float32, "bfloat16": tf.float32, "float64": tf.float64}


class Trainer:
    """Both networks, their optimisers, the generator's moving average, and the training step.

    Everything random comes from ``Draws(training.seed)``: two trainers of one configuration, in either framework, take
    the same steps on the same batches. ``steps`` is the length of the run, which the learning-rate schedules need;
    with ``replicas`` the batches are this process's part of them, and all processes step together.
    """

    framework = "tensorflow"

    def __init__(
        self, config: Config, steps: int, moments: Moments | None = None, replicas: Replicas | None = None
    ) -> None:
        self.config, self.steps = config, steps
        self.done = 0  # steps taken so far
        self.draws = Draws(config.training.seed)
        self.replicas = replicas or Replicas(config)
        self.dtype = DTYPES[config.training.precision]
        self.tensor = partial(_to_tensor, dtype=self.dtype)
        self.batches = Batches(config, moments, self.replicas, self.tensor)
        with self.replicas.scope():
            self.generator = self._network("generator")
            self.discriminator = self._network("discriminator")
            self.ema = self._network("generator") if config.training.ema is not None else None
            optimizer = optimizers.OPTIMIZERS[config.optimizer.kind]
            d, g = (named(network, network.trainable_variables) for network in (self.discriminator, self.generator))
            self.d_optimizer, self.g_optimizer = optimizer(config.optimizer, d), optimizer(config.optimizer, g)
            self.features = features.load(config.loss, config.training.precision) if config.loss.imitates else None

    def step(self, step: int, stream: Iterator[dict[str, Array]]) -> Metrics:
        """Step number ``step``, from 0: ``d_updates`` updates of D, each on the next batch, then one of G."""
        cfg = self.config.training
        self.done = step + 1
        if growing.begins_stage(self.config, step):
            self.d_optimizer.restart()
            self.g_optimizer.restart()
        lr_d, lr_g = (tf.constant(lr, tf.float64) for lr in learning_rates(self.config.optimizer, step, self.steps))
        if cfg.reuse_fakes:
            batch = self.next_batch(stream, step, 0)
            return self.joint_step(self.draw_inputs(step, 0).with_batch(*batch), lr_d, lr_g)
        metrics: Metrics = {}
        for update in range(cfg.d_updates):
            batch = self.next_batch(stream, step, update)
            metrics = self.discriminator_step(self.draw_inputs(step, update).with_batch(*batch), lr_d)
        return metrics | self.generator_step(self.draw_inputs(step, cfg.d_updates).with_batch(*batch), lr_g)

    @Replicas.on_every_device
    def discriminator_step(self, inputs: Inputs, lr: Tensor, fake: Tensor | None = None) -> Metrics:
        """One update of D, on real images and on fakes: ``fake`` ``[B, H, W, C]``, or new ones."""
        cfg, portions = self.config, self.config.training.accumulation
        parameters, found = list(self.d_optimizer.parameters.values()), []
        if fake is None:
            fake = self.generate(inputs)
        for i in range(portions):
            part = inputs.portion(i, portions)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(parameters)
                reals, fakes = part.images + part.noise, fake[i::portions] + part.noise
                on_real, on_fake = self.discriminate(reals, part, "real"), self.discriminate(fakes, part, "fake")
                loss = losses.d_loss(cfg.loss, on_real.scores, on_fake.scores)
                metrics = {"d_real": tf.reduce_mean(on_real.scores), "d_fake": tf.reduce_mean(on_fake.scores)}
                if cfg.loss.kind == "wgan-gp":
                    critic = partial(self._scores, inputs=part, at="interpolated")
                    metrics["penalty"] = losses.gradient_penalty(cfg.loss, critic, reals, fakes, part.alpha)
                    loss = loss + metrics["penalty"]
                if on_real.class_logits is not None and on_fake.class_logits is not None:
                    auxiliary = partial(losses.auxiliary_loss, cfg.loss, labels=part.labels)
                    metrics["d_class"] = auxiliary(on_real.class_logits) + auxiliary(on_fake.class_logits)
                    loss = loss + metrics["d_class"]
            found.append((_gradients(tape, loss, parameters), {"d_loss": loss, **metrics}))
        gradients, metrics = self._mean(found)
        self.d_optimizer.apply(optimizers.clip(gradients, cfg.optimizer.clip_norm), lr)
        if cfg.loss.kind == "wgan":
            for parameter in parameters:
                parameter.assign(tf.clip_by_value(parameter, -cfg.loss.clip, cfg.loss.clip))
        return metrics

    @Replicas.on_every_device
    def generator_step(self, inputs: Inputs, lr: Tensor, made: _Recorded | None = None) -> Metrics:
        """One update of G, on the images ``made`` ``[B, H, W, C]`` that it has made of all inputs, or on new ones."""
        cfg, portions = self.config, self.config.training.accumulation if made is None else 1
        parameters, found = list(self.g_optimizer.parameters.values()), []
        for i in range(portions):
            part = inputs.portion(i, portions)
            fake, g_tape = self._generate_recorded(part) if made is None else made
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(fake)
                on_fake = self.discriminate(fake + part.noise, part, "generator")
                loss, metrics = losses.g_loss(cfg.loss, on_fake.scores), {}
                if on_fake.class_logits is not None:
                    metrics["g_class"] = losses.auxiliary_loss(cfg.loss, on_fake.class_logits, part.labels)
                if self.features is not None:
                    metrics |= features.imitation_losses(cfg.loss, self.features, fake, part.images)
                loss = sum(metrics.values(), loss)
            cotangent = tape.gradient(loss, fake)
            found.append((_gradients(g_tape, fake, parameters, cotangent), {"g_loss": loss, **metrics}))
        gradients, metrics = self._mean(found)
        self.g_optimizer.apply(optimizers.clip(gradients, cfg.optimizer.clip_norm), lr)
        if self.ema is not None and cfg.training.ema is not None:
            update_average(self.ema, self.generator, cfg.training.ema)
        return metrics

    @Replicas.on_every_device
    def joint_step(self, inputs: Inputs, lr_d: Tensor, lr_g: Tensor) -> Metrics:
        """One update of D, then one of G, on the same fakes."""
        fake, tape = self._generate_recorded(inputs)
        metrics = self.discriminator_step(inputs, lr_d, fake)
        return metrics | self.generator_step(inputs, lr_g, (fake, tape))

    def generate(self, inputs: Inputs) -> Tensor:
        """Fakes ``[B, H, W, C]`` in training mode."""
        given = network_inputs(self.config.model, inputs.z, inputs.labels, inputs.grown)
        return tf.cast(self.generator(given, training=True), self.dtype)

    def _generate_recorded(self, inputs: Inputs) -> _Recorded:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(list(self.g_optimizer.parameters.values()))
            fake = self.generate(inputs)
        return fake, tape

    def discriminate(self, images: Tensor, inputs: Inputs, at: str) -> DiscriminatorOutput:
        """D on images ``[B, H, W, C]`` in training mode, in one of the passes of a step; in the weights' precision."""
        model = self.config.model
        labels = None if model.auxiliary else inputs.labels
        with dropout_decided_by(inputs.dropout[:, PASSES.index(at)]):
            outputs = self.discriminator(network_inputs(model, images, labels, inputs.grown), training=True)
        outputs = outputs if model.auxiliary else (outputs,)
        return DiscriminatorOutput(*(tf.cast(output, self.dtype) for output in outputs))

    def _scores(self, images: Tensor, inputs: Inputs, at: str) -> Tensor:
        return self.discriminate(images, inputs, at).scores

    def draw_inputs(self, step: int, update: int) -> Inputs:
        """Each device's part of what an update draws."""
        drawn = step_inputs.draw(self.config, self.draws, step, update)
        return StepInputs(*(self.replicas.rows(self.tensor(values)) for values in drawn))

    def next_batch(self, stream: Iterator[dict[str, Array]], step: int, update: int) -> tuple[Any, Any]:
        """Each device's part of the next batch: images ``[B, H, W, C]`` and classes ``[B]``."""
        return self.batches.next(stream, self.draws, step, update)

    @tf.function(autograph=False)
    def settle(self) -> None:
        """Give every device the average of all devices' running statistics, before they are used or saved."""
        networks = [network for network in (self.generator, self.discriminator, self.ema) if network is not None]
        self.replicas.run(partial(self.replicas.settle, *networks))

    def prepare(self, x: Array) -> Tensor:
        """A batch of the stream as images ``[B, H, W, C]`` in [-1, 1]."""
        return self.batches.prepare(x)

    def real(self, x: Array) -> Array:
        """A batch of the stream as images ``[B, H, W, C]`` in [-1, 1]."""
        return self.prepare(x).numpy()

    def sample(self, z: Array, labels: Array = NO_LABELS) -> Array:
        """Images ``[B, H, W, C]`` in [-1, 1] from latents ``[B, nz]``: the moving average's if there is one.

        A conditional system needs classes ``[B]``. One that grows has grown as far as the last step had it.
        """
        grown = self.tensor(growing.weights_after(self.config, self.done, len(z)))
        return self._sample(self.tensor(z), self.tensor(labels), grown).numpy()

    @tf.function(autograph=False, reduce_retracing=True)
    def _sample(self, z: Tensor, labels: Tensor, grown: Tensor) -> Tensor:
        network = self.generator if self.ema is None else self.ema
        given = network_inputs(self.config.model, z, labels, grown)
        return tf.cast(network(given, training=False), tf.float32)

    def clips(self, images: Array) -> Array:
        """Waveforms ``[B, T]`` of spectrograms ``[B, H, W, 1]``."""
        return self._clips(self.tensor(images)).numpy()

    @tf.function(autograph=False, reduce_retracing=True)
    def _clips(self, images: Tensor) -> Tensor:
        frame, hop, _ = self.config.model.framing
        made = waveform(images, self.batches.mean, self.batches.std, frame=frame, hop=hop)
        return tf.cast(made, tf.float32)

    def _network(self, name: str) -> keras.Model:
        with precision(self.config.training.precision):
            network = build(self.config.model, name)
        initialise(network, name, self.config.model.init, self.draws)
        network = network if self.config.training.compile else use_fast_path(network)
        return self.replicas.synchronised(network) if self.config.distribution.sync_batchnorm else network

    def _mean(self, found: list[tuple[list[Tensor], Metrics]]) -> tuple[list[Tensor], Metrics]:
        """Gradients and metrics averaged over the portions of a batch and over all devices."""
        gradients = [_average(parts) for parts in zip(*(part for part, _ in found), strict=True)]
        metrics = {name: _average([metrics[name] for _, metrics in found]) for name in found[0][1]}
        averaged = self.replicas.average([*gradients, *metrics.values()])
        return averaged[: len(gradients)], dict(zip(metrics, averaged[len(gradients) :], strict=True))


def _to_tensor(values: Array, dtype: tf.DType) -> Tensor:
    """Numbers as a tensor of that type; class numbers stay int64."""
    return tf.constant(values, tf.int64 if values.dtype == np.int64 else dtype)


def _gradients(
    tape: tf.GradientTape, output: Tensor, parameters: list[tf.Variable], cotangent: Tensor | None = None
) -> list[Tensor]:
    """Gradients; zeros for layers of a growing network's later stages, which have none."""
    zero = tf.UnconnectedGradients.ZERO
    return tape.gradient(output, parameters, cotangent, unconnected_gradients=zero)


def _average(parts: Any) -> Tensor:
    return parts[0] if len(parts) == 1 else tf.add_n(list(parts)) / len(parts)
