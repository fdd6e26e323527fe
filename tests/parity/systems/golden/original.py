"""SpecGAN's training graph in TensorFlow 1's own operations: records that share no code with the implementations.

After ``specgan.py`` and ``train_specgan.py`` of github.com/chrisdonahue/wavegan at 40e85e8. One session run is one
update, which evaluates the generator once and so moves its moving averages once. All is computed in float64 and then
rounded to float32, so that what a record holds does not depend on how a processor's kernels add up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from parity.systems.golden import draws
from parity.systems.golden.settings import SpecGANTrainingSetting

v1 = tf.compat.v1
Arrays = dict[str, np.ndarray]
METHODS = {
    "nn": v1.image.ResizeMethod.NEAREST_NEIGHBOR,
    "linear": v1.image.ResizeMethod.BILINEAR,
    "cubic": v1.image.ResizeMethod.BICUBIC,
}
OPTIMIZERS = {
    "dcgan": lambda: v1.train.AdamOptimizer(2e-4, beta1=0.5),
    "lsgan": lambda: v1.train.RMSPropOptimizer(1e-4),
    "wgan": lambda: v1.train.RMSPropOptimizer(5e-5),
    "wgan-gp": lambda: v1.train.AdamOptimizer(1e-4, beta1=0.5, beta2=0.9),
}


def setting(loss: str, **options: Any) -> dict[str, Any]:
    """A setting of a training record with the variables that the original creates, by order of creation."""
    full = {"dim": 1, "batch": 2, "latent": 5, "seed": 4, "loops": 1, "disc_nupdates": 2, "loss": loss} | options
    dim, kernel = full["dim"], full.get("kernel_len", 5)
    zeros = full.get("upsample", "zeros") == "zeros"

    def layer(scope: str, kind: str, shape: list[int], out: int, norm: bool) -> list[list[Any]]:
        found = [[f"{scope}/{kind}/kernel", shape], [f"{scope}/{kind}/bias", [out]]]
        slots = ("gamma", "beta", "moving_mean", "moving_variance") if norm and full.get("use_bn") else ()
        return found + [
            [f"{scope}/batch_normalization/{slot}", [out // 16 if kind == "dense" else out]] for slot in slots
        ]

    def up(i: int, ins: int, out: int) -> list[list[Any]]:
        shape = [kernel, kernel, out, ins] if zeros else [kernel, kernel, ins, out]
        return layer(f"G/upconv_{i}", "conv2d_transpose" if zeros else "conv2d", shape, out, i < 4)

    wide = [16 * dim, 8 * dim, 4 * dim, 2 * dim, dim, 1]
    generator = layer("G/z_project", "dense", [full["latent"], 256 * dim], 256 * dim, True)
    generator += [variable for i in range(5) for variable in up(i, wide[i], wide[i + 1])]
    thin = wide[::-1]
    discriminator = [
        variable
        for i in range(5)
        for variable in layer(f"D/downconv_{i}", "conv2d", [kernel, kernel, *thin[i : i + 2]], thin[i + 1], i > 0)
    ]
    discriminator += layer("D/output", "dense", [256 * dim, 1], 1, False)
    return full | {"generator_variables": generator, "discriminator_variables": discriminator}


@dataclass(frozen=True)
class Original:
    """The original's networks on one setting's variables, with faults that one may switch on.

    ``half_pixels``: TF 2's resize; ``epsilon``: of batch normalisation; ``momentum``: of its moving averages;
    ``evaluating``: the discriminator normalises with its moving averages.
    """

    options: SpecGANTrainingSetting
    half_pixels: bool = False
    epsilon: float = 1e-3
    momentum: float = 0.99
    evaluating: bool = False
    penalty: float = 10.0

    def faulty(self, **faults: Any) -> Original:
        """The same with faults."""
        return replace(self, **faults)

    def record(self, name: str) -> Arrays:
        """The arrays of the setting's training record."""
        fed, (mean, std) = draws.specgan_updates(self.options), draws.specgan_moments(self.options)
        order = [*["D"] * self.options.disc_nupdates, "G"] * self.options.loops
        with tf.Graph().as_default(), v1.Session() as session:
            variables, feeds, fetches = self._graph(mean, std)
            session.run(v1.global_variables_initializer())
            losses = []
            for turn, network in enumerate(order):
                given = dict(zip(feeds, (fed.real[turn], fed.z[turn], fed.alpha[turn]), strict=True))
                losses.append(session.run(fetches[network], given)[1:])
                if network == "D" and "clip" in fetches:
                    session.run(fetches["clip"])
            final = session.run(variables)
        d_loss, g_loss = np.array(losses).T
        numbers = {"D_loss": d_loss, "G_loss": g_loss}
        numbers |= {f"final/{variable}": value for variable, value in final.items()}
        arrays = {f"{name}/{key}": value.astype(np.float32) for key, value in numbers.items()}
        return arrays | {f"{name}/order": np.array(order)}

    def _graph(self, mean: np.ndarray, std: np.ndarray) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
        """Variables by name, placeholders, and by network what one update fetches."""
        options = self.options
        variables: dict[str, Any] = {}
        for listed, seed in (
            (options.generator_variables, options.seed),
            (options.discriminator_variables, options.seed + 1),
        ):
            for variable, value in draws.specgan_weights(listed, seed):
                variables[variable] = v1.Variable(value.astype(np.float64), use_resource=True)
        audio = v1.placeholder(tf.float64, [options.batch, 16384])
        z = v1.placeholder(tf.float64, [options.batch, options.latent])
        alpha = v1.placeholder(tf.float64, [options.batch])
        real = self._spectrogram(audio, mean, std)
        fake, updates = self._generator(variables, z)
        with tf.control_dependencies(updates):
            fake = tf.identity(fake)
        d_loss, g_loss = self._losses(variables, real, fake, tf.reshape(alpha, [-1, 1, 1, 1]))
        fetches: dict[str, Any] = {}
        with tf.control_dependencies([d_loss, g_loss]):
            for network, loss in (("D", d_loss), ("G", g_loss)):
                optimizer = OPTIMIZERS[options.loss]()
                fetches[network] = [optimizer.minimize(loss, var_list=_trained(variables, network)), d_loss, g_loss]
        if options.loss == "wgan":
            clipped = _trained(variables, "D")
            fetches["clip"] = [v1.assign(variable, tf.clip_by_value(variable, -0.01, 0.01)) for variable in clipped]
        return variables, [audio, z, alpha], fetches

    def _spectrogram(self, audio: Any, mean: np.ndarray, std: np.ndarray) -> Any:
        logs = tf.math.log(tf.abs(tf.signal.stft(audio, 256, 128, pad_end=True)) + 1e-6)
        return tf.clip_by_value(((logs - mean) / std / 3.0)[:, :, :-1, tf.newaxis], -1, 1)

    def _losses(self, variables: dict[str, Any], real: Any, fake: Any, alpha: Any) -> tuple[Any, Any]:
        on_real, on_fake = self._discriminator(variables, real), self._discriminator(variables, fake)
        if self.options.loss == "dcgan":
            entropy = tf.nn.sigmoid_cross_entropy_with_logits
            g_loss = tf.reduce_mean(entropy(labels=tf.ones_like(on_fake), logits=on_fake))
            d_loss = tf.reduce_mean(entropy(labels=tf.zeros_like(on_fake), logits=on_fake))
            d_loss += tf.reduce_mean(entropy(labels=tf.ones_like(on_real), logits=on_real))
            return d_loss / 2.0, g_loss
        if self.options.loss == "lsgan":
            d_loss = tf.reduce_mean((on_real - 1.0) ** 2) + tf.reduce_mean(on_fake**2)
            return d_loss / 2.0, tf.reduce_mean((on_fake - 1.0) ** 2)
        d_loss, g_loss = tf.reduce_mean(on_fake) - tf.reduce_mean(on_real), -tf.reduce_mean(on_fake)
        if self.options.loss == "wgan-gp":
            between = real + alpha * (fake - real)
            gradients = tf.gradients(self._discriminator(variables, between), [between])[0]
            slopes = tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=[1, 2]))
            d_loss += self.penalty * tf.reduce_mean((slopes - 1.0) ** 2.0)
        return d_loss, g_loss

    def _generator(self, variables: dict[str, Any], z: Any) -> tuple[Any, list[Any]]:
        """Fakes, and the operations that move the moving averages."""
        dim = self.options.dim
        updates: list[Any] = []
        x = z @ variables["G/z_project/dense/kernel"] + variables["G/z_project/dense/bias"]
        x = tf.nn.relu(self._norm(variables, "G/z_project", tf.reshape(x, [-1, 4, 4, 16 * dim]), updates))
        for i, channels in enumerate([8 * dim, 4 * dim, 2 * dim, dim, 1]):
            x = self._up(variables, f"G/upconv_{i}", x, channels)
            x = tf.nn.relu(self._norm(variables, f"G/upconv_{i}", x, updates)) if i < 4 else tf.tanh(x)
        return x, updates

    def _discriminator(self, variables: dict[str, Any], x: Any) -> Any:
        for i in range(5):
            scope = f"D/downconv_{i}"
            kernel, bias = (variables[f"{scope}/conv2d/{slot}"] for slot in ("kernel", "bias"))
            x = tf.nn.conv2d(x, kernel, 2, "SAME") + bias
            x = self._norm(variables, scope, x, []) if i else x
            x = tf.maximum(0.2 * x, x)
        x = tf.reshape(x, [self.options.batch, -1])
        return (x @ variables["D/output/dense/kernel"] + variables["D/output/dense/bias"])[:, 0]

    def _up(self, variables: dict[str, Any], scope: str, x: Any, channels: int) -> Any:
        side = 2 * x.shape[1]
        if self.options.upsample == "zeros":
            kernel, bias = (variables[f"{scope}/conv2d_transpose/{slot}"] for slot in ("kernel", "bias"))
            shape = [self.options.batch, side, side, channels]
            return tf.nn.conv2d_transpose(x, kernel, shape, 2, "SAME") + bias
        matrix = self._resize_matrix(x.shape[1])
        x = tf.einsum("ih,bhwc->biwc", matrix, x)
        x = tf.einsum("jw,biwc->bijc", matrix, x)
        kernel, bias = (variables[f"{scope}/conv2d/{slot}"] for slot in ("kernel", "bias"))
        return tf.nn.conv2d(x, kernel, 1, "SAME") + bias

    def _resize_matrix(self, size: int) -> np.ndarray:
        """TF 1's legacy resize of one axis to twice the size as a matrix ``[2 size, size]``; exact in float32."""
        identity = tf.eye(size)[tf.newaxis, :, :, tf.newaxis]
        if self.half_pixels:
            method = {"nn": "nearest", "linear": "bilinear", "cubic": "bicubic"}[self.options.upsample]
            resized = tf.image.resize(identity, [2 * size, size], method)
        else:
            resized = v1.image.resize_images(identity, [2 * size, size], METHODS[self.options.upsample])
        with v1.Session() as session:
            return session.run(resized)[0, :, :, 0].astype(np.float64)

    def _norm(self, variables: dict[str, Any], scope: str, x: Any, updates: list[Any]) -> Any:
        if not self.options.use_bn:
            return x
        gamma, beta, mean, variance = (
            variables[f"{scope}/batch_normalization/{slot}"]
            for slot in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        if self.evaluating and scope.startswith("D"):
            return tf.nn.batch_normalization(x, mean, variance, beta, gamma, self.epsilon)
        axes = [0, 1, 2]
        batch_mean = tf.reduce_mean(x, axes)
        batch_variance = tf.reduce_mean(tf.square(x - batch_mean), axes)
        count = self.options.batch * x.shape[1] * x.shape[2]  # TF 1's fused operation keeps the unbiased variance
        for moving, value in ((mean, batch_mean), (variance, batch_variance * count / (count - 1))):
            updates.append(v1.assign_sub(moving, (moving - value) * (1 - self.momentum)))
        return tf.nn.batch_normalization(x, batch_mean, batch_variance, beta, gamma, self.epsilon)


def _trained(variables: dict[str, Any], network: str) -> list[Any]:
    """The variables that an update of D or G moves."""
    return [value for name, value in variables.items() if name.startswith(network) and "moving" not in name]
