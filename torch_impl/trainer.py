"""Training in torch; twin of tf_impl/trainer.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from shared_impl.allocation import keep_freed_memory
from shared_impl.config.schema import Config
from shared_impl.data.augmentation import AUGMENTATION
from shared_impl.data.moments import Moments
from shared_impl.draws import Draws
from shared_impl.training import growing
from shared_impl.training.schedules import learning_rates
from torch_impl import build, features, losses, optimizers
from torch_impl.augmentation import augment
from torch_impl.convolution import use_fast_path
from torch_impl.distribution import Replicas
from torch_impl.growing import seen
from torch_impl.initial_weights import initialise
from torch_impl.layers import dropping
from torch_impl.spectrogram import spectrogram, waveform

Array = np.ndarray
Metrics = dict[str, Tensor]
Learned = tuple[Tensor, Tensor, Metrics]  # what parameters are to learn from, the slope at it, and what was seen
DTYPES = {"float32": torch.float32, "bfloat16": torch.float32, "float64": torch.float64}


NONE = np.empty(0, np.int64)  # classes of what has none
PASSES = ("real", "fake", "between", "slope")  # images through D: in its own update, and in G's


class Drawn(NamedTuple):
    """What an update draws, and what else it is told, a row an example: latents ``[B, nz]``, mixing weights ``[B]``,
    instance noise ``[B, C, H, W]``, which is added to real and to fake images alike, numbers ``[B, PASSES, channels]``
    by which D drops channels, classes ``[B]``, real images ``[B, C, H, W]`` whose features G imitates, and the weights
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
    On a CPU the process keeps freed memory for the next tensors, as TensorFlow's own allocator does.
    """

    framework = "torch"

    def __init__(
        self, config: Config, steps: int, moments: Moments | None = None, replicas: Replicas | None = None
    ) -> None:
        self.config, self.steps, self.moments = config, steps, moments
        self.done = 0  # steps, as far as this trainer has taken them
        self.draws = Draws(config.training.seed)
        self.replicas = replicas or Replicas(config)
        self.device = self.replicas.device
        keep_freed_memory()
        self.dtype = DTYPES[config.training.precision]
        self.generator = self._network("generator")
        self.discriminator = self._network("discriminator")
        self.ema = self._network("generator") if config.training.ema is not None else None
        self.joined = {network: self.replicas.joined(network) for network in (self.generator, self.discriminator)}
        self._judge: nn.Module = self.discriminator
        if config.training.compile:
            self._compile()
        chosen = optimizers.OPTIMIZERS[config.optimizer.kind]
        self.d_optimizer = chosen(config.optimizer, dict(self.discriminator.named_parameters()))
        self.g_optimizer = chosen(config.optimizer, dict(self.generator.named_parameters()))
        loss, precision = config.loss, config.training.precision
        self.features = features.load(loss, precision).to(self.device) if loss.imitates else None
        if moments is not None:
            self.mean, self.std = (self._tensor(values) for values in (moments.mean, moments.std))

    def step(self, step: int, batches: Iterator[dict[str, Array]]) -> Metrics:
        """Step number ``step``: ``d_updates`` updates of D, each on the next batch, then one of G."""
        cfg = self.config.training
        self.done = step + 1
        if growing.begins(self.config, step):
            self.d_optimizer.restart()
            self.g_optimizer.restart()
        lr_d, lr_g = learning_rates(self.config.optimizer, step, self.steps)
        if cfg.reuse_fakes:
            real, labels = self._taken(batches, step, 0)
            return self.update_both(real, self._told(self._drawn(step, 0), real, labels), lr_d, lr_g)
        metrics: Metrics = {}
        for update in range(cfg.d_updates):
            real, labels = self._taken(batches, step, update)
            metrics = self.update_discriminator(real, self._told(self._drawn(step, update), real, labels), lr_d)
        return metrics | self.update_generator(self._told(self._drawn(step, cfg.d_updates), real, labels), lr_g)

    def update_discriminator(self, real: Tensor, drawn: Drawn, lr: float) -> Metrics:
        """One update of D on images ``[B, C, H, W]``."""
        with torch.no_grad():
            fake = self._generated(drawn)
        return self._move_discriminator(real, fake, drawn, lr)

    def update_generator(self, drawn: Drawn, lr: float) -> Metrics:
        """One update of G."""

        def learn(drawn: Drawn) -> Learned:
            fake = self._generated(drawn)
            return fake, *self._slope(fake, drawn)

        gradients, metrics = self._averaged(self.generator, learn, drawn)
        self._move_generator(gradients, lr)
        return metrics

    def update_both(self, real: Tensor, drawn: Drawn, lr_d: float, lr_g: float) -> Metrics:
        """One update of D, then one of G, on the same fakes."""
        fake = self._generated(drawn)
        d_metrics = self._move_discriminator(real, fake.detach(), drawn, lr_d)
        slope, g_metrics = self._slope(fake, drawn)
        self._move_generator(self._gradients(self.generator, fake, slope), lr_g)
        return d_metrics | g_metrics

    def _generated(self, drawn: Drawn) -> Tensor:
        """Fakes ``[B, C, H, W]``."""
        with self._computing():
            given = self._with_labels(drawn.z, drawn.labels)
            return self.joined[self.generator](*given, **self._growing(drawn.grown)).to(self.dtype)

    def _slope(self, fake: Tensor, drawn: Drawn) -> tuple[Tensor, Metrics]:
        """The gradient of G's loss at fakes."""
        fake = fake.detach().requires_grad_()
        loss, metrics = self._g_loss(fake, drawn)
        return torch.autograd.grad(loss, fake)[0], metrics

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
        return loss, {name: value.detach() for name, value in {"g_loss": loss, **metrics}.items()}

    def _move_discriminator(self, real: Tensor, fake: Tensor, drawn: Drawn, lr: float) -> Metrics:
        def learn(real: Tensor, fake: Tensor, drawn: Drawn) -> Learned:
            loss, metrics = self._d_loss(real, fake, drawn)
            return loss, torch.ones_like(loss), metrics

        gradients, metrics = self._averaged(self.discriminator, learn, drawn, real, fake)
        self.d_optimizer.apply(self._clipped(gradients), lr)
        if self.config.loss.kind == "wgan":
            with torch.no_grad():
                for parameter in self.discriminator.parameters():
                    parameter.clamp_(-self.config.loss.clip, self.config.loss.clip)
        return metrics

    def _d_loss(self, real: Tensor, fake: Tensor, drawn: Drawn) -> tuple[Tensor, Metrics]:
        """D's loss, penalty included, with what it is made of."""
        cfg, judged = self.config.loss, partial(self._judged, drawn=drawn, by=self.joined[self.discriminator])
        real, fake = real + drawn.noise, fake + drawn.noise
        on_real, on_fake = judged(real, at="real"), judged(fake, at="fake")
        loss = losses.d_loss(cfg, on_real.scores, on_fake.scores)
        seen = {"d_real": on_real.scores.mean(), "d_fake": on_fake.scores.mean()}
        if cfg.kind == "wgan-gp":
            seen["penalty"] = losses.gradient_penalty(
                cfg, lambda images: judged(images, at="between").scores, real, fake, drawn.alpha
            )
            loss = loss + seen["penalty"]
        if on_real.classes is not None and on_fake.classes is not None:
            seen["d_class"] = losses.auxiliary_loss(cfg, on_real.classes, drawn.labels)
            seen["d_class"] = seen["d_class"] + losses.auxiliary_loss(cfg, on_fake.classes, drawn.labels)
            loss = loss + seen["d_class"]
        return loss, {name: value.detach() for name, value in {"d_loss": loss, **seen}.items()}

    def _move_generator(self, gradients: list[Tensor], lr: float) -> None:
        self.g_optimizer.apply(self._clipped(gradients), lr)
        decay = self.config.training.ema
        if self.ema is not None and decay is not None:
            self._average(self.ema, decay)

    @torch.no_grad()
    def _average(self, ema: nn.Module, decay: float) -> None:
        """Parameters drift towards the generator's; running statistics are copied."""
        for drifting, parameter in zip(ema.parameters(), self.generator.parameters(), strict=True):
            drifting.add_(parameter - drifting, alpha=1 - decay)
        for copied, statistic in zip(ema.buffers(), self.generator.buffers(), strict=True):
            copied.copy_(statistic)

    def _averaged(
        self, network: nn.Module, learn: Callable[..., Learned], drawn: Drawn, *images: Tensor
    ) -> tuple[list[Tensor], Metrics]:
        """A network's gradients, and metrics, averaged over the portions of a batch."""
        portions = self.config.training.accumulation
        told: list[Metrics] = []
        for i in range(portions):
            with self.replicas.quiet(self.joined[network]) if i + 1 < portions else nullcontext():
                output, slope, metrics = learn(*(x[i::portions] for x in images), drawn.portion(i, portions))
                gradients = self._gradients(network, output, slope / portions)
            told.append(metrics)
        return gradients, {name: torch.stack([seen[name] for seen in told]).mean(0) for name in told[0]}

    def _gradients(self, network: nn.Module, output: Tensor, slope: Tensor) -> list[Tensor]:
        """The gradients of a network's parameters, added to those of earlier portions."""
        parameters = list(network.parameters())
        torch.autograd.backward(output, slope, inputs=parameters)
        return [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]  # none in later stages' layers

    def _clipped(self, gradients: list[Tensor]) -> list[Tensor]:
        most = self.config.optimizer.clip_norm
        return gradients if most is None else optimizers.clip(gradients, most)

    def _judged(self, images: Tensor, drawn: Drawn, at: str, by: nn.Module | None = None) -> Judgement:
        """What D says, never of lower precision than the weights; ``by`` D as its own updates call it."""
        model = self.config.model
        given = (images,) if model.auxiliary else self._with_labels(images, drawn.labels)
        with self._computing(), dropping(drawn.dropout[:, PASSES.index(at)]):
            said = (by or self._judge)(*given, **self._growing(drawn.grown))
        return Judgement(*(part.to(self.dtype) for part in (said if model.auxiliary else (said,))))

    def _with_labels(self, x: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """What a network is given: of a conditional system the classes too."""
        return (x, labels) if self.config.model.labels else (x,)

    def _growing(self, grown: Tensor) -> dict[str, Tensor]:
        """What a network that grows is given besides."""
        return {"grown": grown} if self.config.model.stages else {}

    def _compile(self) -> None:
        """Compile both networks; not D where a penalty needs its second derivative, which compiled code has not."""
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 32)
        self.joined[self.generator] = torch.compile(self.joined[self.generator])  # type: ignore[assignment]
        if self.config.loss.kind != "wgan-gp":
            self.joined[self.discriminator] = torch.compile(self.joined[self.discriminator])  # type: ignore[assignment]
            self._judge = torch.compile(self.discriminator)  # type: ignore[assignment]

    def settle(self) -> None:
        """Give every device the average of all devices' running statistics, before they are used or saved."""
        for network in (self.generator, self.discriminator, self.ema):
            if network is not None:
                self.replicas.settle(network)

    def _computing(self) -> AbstractContextManager[Any]:
        """bfloat16 where the configuration asks for it."""
        mixed = self.config.training.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=mixed)

    def prepare(self, x: Array) -> Tensor:
        """A batch as the stream gives it to images ``[B, C, H, W]`` in [-1, 1], channels last in memory.

        ``x``: uint8 ``[B, H, W, C]``, or waveforms ``[B, T]``, whose spectrograms are made here.
        """
        if self.moments is not None:
            return spectrogram(self._tensor(x), self.mean, self.std, *self.config.model.framing[:2])
        return self._tensor(x).movedim(-1, 1) / 127.5 - 1

    def _taken(self, batches: Iterator[dict[str, Array]], step: int, update: int) -> tuple[Tensor, Tensor]:
        """The next batch: images ``[B, C, H, W]``, changed at random where that is asked for, and their classes."""
        batch = growing.joined(batches, growing.portions(self.config, step))
        real, labels = self.prepare(batch["x"]), self._tensor(batch["label"])
        if self.config.data.augments:
            numbers = self._numbers("augmentation", step, update, AUGMENTATION)
            real = augment(self.config.data, real, self._rows(numbers))
        if self.config.model.stages:
            real = seen(real, self.config.model.stages, self._rows(self._grown(step)))
        return real, labels

    def _told(self, drawn: Drawn, real: Tensor, labels: Tensor) -> Drawn:
        """What an update draws, with the classes of a batch and, if G imitates them, its images."""
        return drawn._replace(labels=labels, images=drawn.images if self.features is None else real)

    def sample(self, z: Array, labels: Array = NONE) -> Array:
        """Images ``[B, H, W, C]`` in [-1, 1] from latents ``[B, nz]``: the moving average's if there is one.

        A conditional system needs classes ``[B]``. One that grows has grown as far as the last step had it.
        """
        network = self.generator if self.ema is None else self.ema
        network.eval()
        with torch.no_grad():
            grown = self._growing(self._tensor(growing.shown(self.config, self.done, len(z))))
            images = network(*self._with_labels(self._tensor(z), self._tensor(labels)), **grown)
        self.generator.train()
        return images.movedim(1, -1).float().cpu().numpy()

    def clips(self, images: Array) -> Array:
        """Waveforms ``[B, T]`` of spectrograms ``[B, H, W, 1]``."""
        frame, hop, _ = self.config.model.framing
        made = waveform(self._tensor(images).movedim(-1, 1), self.mean, self.std, frame=frame, hop=hop)
        return made.float().cpu().numpy()

    def real(self, x: Array) -> Array:
        """A batch of the stream as images ``[B, H, W, C]`` in [-1, 1]."""
        return self.prepare(x).movedim(1, -1).cpu().numpy()

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

    def _rows(self, drawn: Array) -> Tensor:
        """This device's part of what was drawn for a whole batch."""
        return self._tensor(self.replicas.rows(drawn))

    def _noise(self, step: int, update: int) -> Array:
        cfg = self.config
        if not cfg.training.instance_noise:
            return np.zeros((self._batch_size(step), 1, 1, 1))
        side = growing.side(cfg, step)
        shape = (self._batch_size(step), side, side, cfg.model.nc)
        noise = cfg.training.instance_noise * self.draws.normal("instance noise", shape, step, update)
        return np.moveaxis(growing.enlarged(noise, cfg.model.side), -1, 1)

    def _tensor(self, values: Array) -> Tensor:
        """Numbers in the trainer's precision; classes as they are."""
        tensor = torch.from_numpy(np.ascontiguousarray(values)).to(self.device)
        return tensor if values.dtype == np.int64 else tensor.to(self.dtype)

    def _network(self, name: str) -> nn.Module:
        network = build(self.config.model, name).to(self.device, self.dtype)
        initialise(network, name, self.config.model.init, self.draws)
        network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        network = network if self.config.training.compile else use_fast_path(network)
        return self.replicas.synchronised(network) if self.config.distribution.sync_batchnorm else network
