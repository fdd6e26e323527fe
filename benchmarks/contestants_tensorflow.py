"""TensorFlow's contestants: the trainer of tf_impl, and a tutorial's loop from the same weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from benchmarks.contestants import Array, best_rate, convolutions, drawn
from benchmarks.flops import Product
from benchmarks.tutorial_tensorflow import Tutorial as Loop
from shared_impl.config.schema import Config
from shared_impl.draws import Draws
from tf_impl import build
from tf_impl.initial_weights import initialise
from tf_impl.trainer import Trainer


class _OnDevice:
    def finished(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """Losses as numbers, when everything asked of the device is done."""
        if tf.config.list_physical_devices("GPU"):
            tf.test.experimental.sync_devices()
        return {name: float(value) for name, value in losses.items()}

    def accelerator(self) -> tuple[str, float | None]:
        """Name and peak memory of the GPU."""
        found = tf.config.list_physical_devices("GPU")
        if not found:
            return "", None
        name = tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU")
        return name, tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30


class Ours(_OnDevice):
    """The trainer."""

    def __init__(self, config: Config) -> None:
        self.trainer, self.config = Trainer(config, 1_000_000), config
        self.x, _, _ = drawn(config)

    def step(self, number: int) -> dict[str, float]:
        """A step of the trainer."""
        return self.finished(
            self.trainer.step(number, itertools.repeat({"x": self.x, "label": np.zeros(len(self.x), np.int64)}))
        )

    def d_update(self, number: int) -> dict[str, float]:
        """An update of D alone."""
        trainer, rate = self.trainer, tf.constant(1e-6, tf.float64)
        inputs = trainer.draw_inputs(number, 0)._replace(images=trainer.prepare(self.x))
        return self.finished(trainer.discriminator_step(inputs, rate))

    def first(self, number: int) -> dict[str, Array]:
        """Updates at a learning rate of zero; Adam's first moments hold the gradients."""
        trainer, (x, *random), still = self.trainer, drawn(self.config, number), tf.constant(0.0, tf.float64)
        moments = [o.slot("m", name) for o in (trainer.d_optimizer, trainer.g_optimizer) for name in o.parameters]
        for moment in moments:
            moment.assign(tf.zeros_like(moment))
        z, alpha = (tf.constant(value, trainer.dtype) for value in random)
        inputs = trainer.draw_inputs(0, 0)._replace(z=z, alpha=alpha, images=trainer.prepare(x))
        if self.config.training.reuse_fakes:
            losses = trainer.joint_step(inputs, still, still)
        else:
            losses = trainer.discriminator_step(inputs, still) | trainer.generator_step(inputs, still)
        return _arrays(losses, (moment / (1 - self.config.optimizer.beta1) for moment in moments))

    def rates(self) -> dict[str, float]:
        """Of TensorFlow's convolution and of its matrix product, at the discriminator's layers."""
        batch, layers = self.config.training.batch_size, convolutions(self.config)

        def timed(call: Callable[..., Tensor], *values: Tensor) -> Callable[[], None]:
            graph = tf.function(call, autograph=False)

            def run() -> None:
                graph(*values)
                self.finished({})

            return run

        def convolution(layer: Product) -> Callable[[], None]:
            side = 2 * layer.side
            x = tf.ones([batch, side, side, layer.channels])
            kernel = tf.ones([layer.kernel, layer.kernel, layer.channels, layer.features])
            return timed(lambda x, kernel: tf.nn.conv2d(x, kernel, 2, "SAME"), x, kernel)

        def product(layer: Product) -> Callable[[], None]:
            inner = layer.kernel**2 * layer.channels
            return timed(tf.matmul, tf.ones([batch * layer.side**2, inner]), tf.ones([inner, layer.features]))

        return {
            kind.__name__: best_rate((kind(layer), batch * layer.operations) for layer in layers)
            for kind in (convolution, product)
        }


class Tutorial(_OnDevice):
    """The tutorial's loop."""

    def __init__(self, config: Config) -> None:
        self.loop = Loop(config, (_weights(config, "generator"), _weights(config, "discriminator")))
        self.config, self.real = config, self.prepared(drawn(config)[0])

    def prepared(self, x: Array) -> Tensor:
        """Images ``[B, H, W, C]`` in [-1, 1]."""
        return tf.constant(x, tf.float32) / 127.5 - 1

    def step(self, number: int) -> dict[str, float]:
        """A step of the loop."""
        return self.finished(self.loop.step(self.real))

    def first(self, number: int) -> dict[str, Array]:
        """A step at a learning rate of zero."""
        x, *random = drawn(self.config, number)
        self.loop.forget()
        rates = [optimizer.learning_rate for optimizer in (self.loop.d_optimizer, self.loop.g_optimizer)]
        kept = [float(rate) for rate in rates]
        for rate in rates:
            rate.assign(0.0)
        z, alpha = (tf.constant(value, tf.float32) for value in random)
        if self.loop.penalised:
            losses = self.loop.wasserstein(self.prepared(x), z, alpha, z)
        else:
            losses = self.loop.non_saturating(self.prepared(x), z)
        for rate, value in zip(rates, kept, strict=True):
            rate.assign(value)
        return _arrays(losses, self.loop.gradients())


def _weights(config: Config, name: str) -> list[Array]:
    network = build(config.model, name)
    initialise(network, name, config.model.init, Draws(config.training.seed))
    return [np.asarray(variable) for variable in network.trainable_variables]


def _arrays(losses: dict[str, Tensor], gradients: Iterable[Any]) -> dict[str, Array]:
    arrays = {name: np.asarray(losses[name]) for name in ("d_loss", "g_loss")}
    return arrays | {f"gradients/{i}": np.asarray(gradient) for i, gradient in enumerate(gradients)}
