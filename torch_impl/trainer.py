"""Training in torch; twin of tf_impl/trainer.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from common.allocation import keep_freed_memory
from common.draws import Draws
from common.moments import Moments
from common.schedules import learning_rates
from common.schema import Config
from torch_impl import build, losses, optimizers
from torch_impl.convolution import hasten
from torch_impl.distribution import Replicas
from torch_impl.initial import initialise
from torch_impl.spectrogram import spectrogram, waveform

Array = np.ndarray
Metrics = dict[str, Tensor]
Learned = tuple[Tensor, Tensor, Metrics]  # what parameters are to learn from, the slope at it, and what was seen
DTYPES = {"float32": torch.float32, "bfloat16": torch.float32, "float64": torch.float64}


class Drawn(NamedTuple):
    """What an update draws: latents ``[B, nz]``, mixing weights ``[B]`` and instance noise ``[B, C, H, W]``.

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
    On a CPU the process keeps freed memory for the next tensors, as TensorFlow's own allocator does.
    """

    framework = "torch"

    def __init__(
        self, config: Config, steps: int, moments: Moments | None = None, replicas: Replicas | None = None
    ) -> None:
        self.config, self.steps, self.moments = config, steps, moments
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
        if moments is not None:
            self.mean, self.std = (self._tensor(values) for values in (moments.mean, moments.std))

    def step(self, step: int, batches: Iterator[dict[str, Array]]) -> Metrics:
        """Step number ``step``: ``d_updates`` updates of D, each on the next batch, then one of G."""
        cfg = self.config.training
        lr_d, lr_g = learning_rates(self.config.optimizer, step, self.steps)
        if cfg.reuse_fakes:
            return self.update_both(self.prepare(next(batches)["x"]), self._drawn(step, 0), lr_d, lr_g)
        metrics: Metrics = {}
        for update in range(cfg.d_updates):
            real = self.prepare(next(batches)["x"])
            metrics = self.update_discriminator(real, self._drawn(step, update), lr_d)
        return metrics | self.update_generator(self._drawn(step, cfg.d_updates), lr_g)

    def update_discriminator(self, real: Tensor, drawn: Drawn, lr: float) -> Metrics:
        """One update of D on images ``[B, C, H, W]``."""
        with torch.no_grad():
            fake = self._generated(drawn.z)
        return self._move_discriminator(real + drawn.noise, fake + drawn.noise, drawn.alpha, lr)

    def update_generator(self, drawn: Drawn, lr: float) -> Metrics:
        """One update of G."""

        def learn(z: Tensor, noise: Tensor) -> Learned:
            fake = self._generated(z)
            return fake, *self._slope(fake + noise)

        gradients, metrics = self._averaged(self.generator, learn, drawn.z, drawn.noise)
        self._move_generator(gradients, lr)
        return metrics

    def update_both(self, real: Tensor, drawn: Drawn, lr_d: float, lr_g: float) -> Metrics:
        """One update of D, then one of G, on the same fakes."""
        made = self._generated(drawn.z)
        fake = made.detach() + drawn.noise
        d_metrics = self._move_discriminator(real + drawn.noise, fake, drawn.alpha, lr_d)
        slope, g_metrics = self._slope(fake)
        self._move_generator(self._gradients(self.generator, made, slope), lr_g)
        return d_metrics | g_metrics

    def _generated(self, z: Tensor) -> Tensor:
        """Fakes ``[B, C, H, W]``."""
        with self._computing():
            return self.joined[self.generator](z).to(self.dtype)

    def _slope(self, fake: Tensor) -> tuple[Tensor, Metrics]:
        """The gradient of G's loss at fakes."""
        fake = fake.detach().requires_grad_()
        loss = losses.g_loss(self.config.loss, self._judged(fake))
        return torch.autograd.grad(loss, fake)[0], {"g_loss": loss.detach()}

    def _move_discriminator(self, real: Tensor, fake: Tensor, alpha: Tensor, lr: float) -> Metrics:
        def learn(*inputs: Tensor) -> Learned:
            loss, metrics = self._d_loss(*inputs)
            return loss, torch.ones_like(loss), metrics

        gradients, metrics = self._averaged(self.discriminator, learn, real, fake, alpha)
        self.d_optimizer.apply(self._clipped(gradients), lr)
        if self.config.loss.kind == "wgan":
            with torch.no_grad():
                for parameter in self.discriminator.parameters():
                    parameter.clamp_(-self.config.loss.clip, self.config.loss.clip)
        return metrics

    def _d_loss(self, real: Tensor, fake: Tensor, alpha: Tensor) -> tuple[Tensor, Metrics]:
        """D's loss, penalty included, with what it is made of."""
        cfg, judged = self.config.loss, partial(self._judged, by=self.joined[self.discriminator])
        real_logits, fake_logits = judged(real), judged(fake)
        loss = losses.d_loss(cfg, real_logits, fake_logits)
        metrics = {"d_real": real_logits.detach().mean(), "d_fake": fake_logits.detach().mean()}
        if cfg.kind == "wgan-gp":
            penalty = losses.gradient_penalty(cfg, judged, real, fake, alpha)
            loss = loss + penalty
            metrics["penalty"] = penalty.detach()
        return loss, {"d_loss": loss.detach(), **metrics}

    def _move_generator(self, gradients: list[Tensor], lr: float) -> None:
        self.g_optimizer.apply(self._clipped(gradients), lr)
        decay = self.config.training.ema
        if self.ema is not None and decay is not None:
            self._average(self.ema, decay)

    @torch.no_grad()
    def _average(self, ema: nn.Module, decay: float) -> None:
        """Parameters drift towards the generator's; running statistics are copied."""
        for drifting, parameter in zip(ema.parameters(), self.generator.parameters(), strict=True):
            drifting.mul_(decay).add_(parameter, alpha=1 - decay)
        for copied, statistic in zip(ema.buffers(), self.generator.buffers(), strict=True):
            copied.copy_(statistic)

    def _averaged(
        self, network: nn.Module, learn: Callable[..., Learned], *inputs: Tensor
    ) -> tuple[list[Tensor], Metrics]:
        """A network's gradients, and metrics, averaged over the portions of a batch.

        Portion ``i`` of ``n`` is every ``n``-th example from the ``i``-th on: on however many devices, the same ones.
        """
        portions = self.config.training.accumulation
        told: list[Metrics] = []
        for i in range(portions):
            with self.replicas.quiet(self.joined[network]) if i + 1 < portions else nullcontext():
                output, slope, metrics = learn(*(x[i::portions] for x in inputs))
                gradients = self._gradients(network, output, slope / portions)
            told.append(metrics)
        return gradients, {name: torch.stack([seen[name] for seen in told]).mean(0) for name in told[0]}

    def _gradients(self, network: nn.Module, output: Tensor, slope: Tensor) -> list[Tensor]:
        """The gradients of a network's parameters, added to those of earlier portions."""
        parameters = list(network.parameters())
        torch.autograd.backward(output, slope, inputs=parameters)
        return [parameter.grad for parameter in parameters if parameter.grad is not None]

    def _clipped(self, gradients: list[Tensor]) -> list[Tensor]:
        most = self.config.optimizer.clip_norm
        return gradients if most is None else optimizers.clip(gradients, most)

    def _judged(self, images: Tensor, by: nn.Module | None = None) -> Tensor:
        """D's logits ``[B]``, never of lower precision than the weights; ``by`` D as its own updates call it."""
        with self._computing():
            return (by or self._judge)(images).to(self.dtype)

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
            return spectrogram(self._tensor(x), self.mean, self.std)
        return self._tensor(x).movedim(-1, 1) / 127.5 - 1

    def sample(self, z: Array) -> Array:
        """Images ``[B, H, W, C]`` in [-1, 1] from latents ``[B, nz]``: the moving average's if there is one."""
        network = self.generator if self.ema is None else self.ema
        network.eval()
        with torch.no_grad():
            images = network(self._tensor(z))
        self.generator.train()
        return images.movedim(1, -1).float().cpu().numpy()

    def clips(self, images: Array) -> Array:
        """Waveforms ``[B, T]`` of spectrograms ``[B, H, W, 1]``."""
        return waveform(self._tensor(images).movedim(-1, 1), self.mean, self.std).float().cpu().numpy()

    def real(self, x: Array) -> Array:
        """A batch of the stream as images ``[B, H, W, C]`` in [-1, 1]."""
        return self.prepare(x).movedim(1, -1).cpu().numpy()

    def fixed_latents(self, count: int) -> Array:
        """The latents ``[count, nz]`` whose samples show how a run goes along."""
        return self.draws.latents(self.config.training.latents, "samples", (count, self.config.model.nz))

    def _drawn(self, step: int, update: int) -> Drawn:
        cfg = self.config
        shape = (cfg.training.batch_size, cfg.model.nz)
        z = self.draws.latents(cfg.training.latents, "latents", shape, step, update)
        alpha = self.draws.uniform("alpha", shape[:1], step, update)
        return Drawn(*(self._tensor(self.replicas.rows(x)) for x in (z, alpha, self._noise(step, update))))

    def _noise(self, step: int, update: int) -> Array:
        cfg = self.config
        if not cfg.training.instance_noise:
            return np.zeros((cfg.training.batch_size, 1, 1, 1))
        side = cfg.model.side
        shape = (cfg.training.batch_size, side, side, cfg.model.nc)
        noise = cfg.training.instance_noise * self.draws.normal("instance noise", shape, step, update)
        return np.moveaxis(noise, -1, 1)

    def _tensor(self, values: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, self.dtype)

    def _network(self, name: str) -> nn.Module:
        network = build(self.config.model, name).to(self.device, self.dtype)
        initialise(network, name, self.config.model.init, self.draws)
        network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        network = network if self.config.training.compile else hasten(network)
        return self.replicas.synchronised(network) if self.config.distribution.sync_batchnorm else network
