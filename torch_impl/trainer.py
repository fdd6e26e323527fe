"""Training in torch; twin of tf_impl/trainer.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from common.allocation import keep_freed_memory
from common.draws import Draws
from common.moments import Moments
from common.schedules import learning_rates
from common.schema import SIDES, Config
from torch_impl import build, losses, optimizers
from torch_impl.initial import initialise
from torch_impl.spectrogram import spectrogram, waveform

Array = np.ndarray
Metrics = dict[str, Tensor]
Learned = tuple[list[Tensor], Metrics]  # gradients in the order of the parameters, and what was seen on the way
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
    the same steps on the same batches. ``steps`` is the length of the run, which the learning-rate schedules need.
    On a CPU the process keeps freed memory for the next tensors, as TensorFlow's own allocator does.
    """

    framework = "torch"

    def __init__(self, config: Config, steps: int, moments: Moments | None = None) -> None:
        self.config, self.steps, self.moments = config, steps, moments
        self.draws = Draws(config.training.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        keep_freed_memory()
        self.dtype = DTYPES[config.training.precision]
        self.generator = self._network("generator")
        self.discriminator = self._network("discriminator")
        self.ema = self._network("generator") if config.training.ema is not None else None
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
            fake, _ = self._generated(drawn.z)
        return self._move_discriminator(real + drawn.noise, fake + drawn.noise, drawn.alpha, lr)

    def update_generator(self, drawn: Drawn, lr: float) -> Metrics:
        """One update of G."""

        def learn(z: Tensor, noise: Tensor) -> Learned:
            fake, pull_back = self._generated(z)
            slope, metrics = self._slope(fake + noise)
            return pull_back(slope), metrics

        gradients, metrics = self._averaged(learn, drawn.z, drawn.noise)
        self._move_generator(gradients, lr)
        return metrics

    def update_both(self, real: Tensor, drawn: Drawn, lr_d: float, lr_g: float) -> Metrics:
        """One update of D, then one of G, on the same fakes."""
        fake, pull_back = self._generated(drawn.z)
        fake = fake + drawn.noise
        d_metrics = self._move_discriminator(real + drawn.noise, fake.detach(), drawn.alpha, lr_d)
        slope, g_metrics = self._slope(fake)
        self._move_generator(pull_back(slope), lr_g)
        return d_metrics | g_metrics

    def _generated(self, z: Tensor) -> tuple[Tensor, Callable[[Tensor], list[Tensor]]]:
        """Fakes ``[B, C, H, W]``, and what takes a gradient at them to the gradients of G's parameters."""
        with self._computing():
            fake = self.generator(z).to(self.dtype)
        parameters = list(self.g_optimizer.parameters.values())
        return fake, lambda slope: list(torch.autograd.grad(fake, parameters, slope))

    def _slope(self, fake: Tensor) -> tuple[Tensor, Metrics]:
        """The gradient of G's loss at fakes."""
        fake = fake.detach().requires_grad_()
        loss = losses.g_loss(self.config.loss, self._judged(fake))
        return torch.autograd.grad(loss, fake)[0], {"g_loss": loss.detach()}

    def _move_discriminator(self, real: Tensor, fake: Tensor, alpha: Tensor, lr: float) -> Metrics:
        gradients, metrics = self._averaged(self._d_gradients, real, fake, alpha)
        self.d_optimizer.apply(self._clipped(gradients), lr)
        if self.config.loss.kind == "wgan":
            with torch.no_grad():
                for parameter in self.discriminator.parameters():
                    parameter.clamp_(-self.config.loss.clip, self.config.loss.clip)
        return metrics

    def _d_gradients(self, real: Tensor, fake: Tensor, alpha: Tensor) -> Learned:
        cfg = self.config.loss
        real_logits, fake_logits = self._judged(real), self._judged(fake)
        loss = losses.d_loss(cfg, real_logits, fake_logits)
        metrics = {"d_real": real_logits.detach().mean(), "d_fake": fake_logits.detach().mean()}
        if cfg.kind == "wgan-gp":
            penalty = losses.gradient_penalty(cfg, self._judged, real, fake, alpha)
            loss = loss + penalty
            metrics["penalty"] = penalty.detach()
        gradients = torch.autograd.grad(loss, list(self.d_optimizer.parameters.values()))
        return list(gradients), {"d_loss": loss.detach(), **metrics}

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

    def _averaged(self, learn: Callable[..., Learned], *inputs: Tensor) -> Learned:
        """Gradients and metrics, averaged over the portions of a batch."""
        portions = self.config.training.accumulation
        parts = [learn(*portion) for portion in zip(*(x.chunk(portions) for x in inputs), strict=True)]
        if portions == 1:
            return parts[0]
        gradients = [_mean(found) for found in zip(*(part for part, _ in parts), strict=True)]
        return gradients, {name: _mean([told[name] for _, told in parts]) for name in parts[0][1]}

    def _clipped(self, gradients: list[Tensor]) -> list[Tensor]:
        most = self.config.optimizer.clip_norm
        return gradients if most is None else optimizers.clip(gradients, most)

    def _judged(self, images: Tensor) -> Tensor:
        """D's logits ``[B]``, never of lower precision than the weights."""
        with self._computing():
            return self.discriminator(images).to(self.dtype)

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
        return Drawn(self._tensor(z), self._tensor(alpha), self._noise(step, update))

    def _noise(self, step: int, update: int) -> Tensor:
        cfg = self.config
        if not cfg.training.instance_noise:
            return self._tensor(np.zeros((cfg.training.batch_size, 1, 1, 1)))
        side = SIDES[cfg.model.system]
        noise = self.draws.normal("instance noise", (cfg.training.batch_size, side, side, cfg.model.nc), step, update)
        return self._tensor(cfg.training.instance_noise * noise).movedim(-1, 1)

    def _tensor(self, values: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, self.dtype)

    def _network(self, name: str) -> nn.Module:
        network = build(self.config.model, name).to(self.device, self.dtype)
        initialise(network, name, self.config.model.init, self.draws)
        return network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean(0)
