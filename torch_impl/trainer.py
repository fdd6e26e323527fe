"""Training in torch; twin of tf_impl/trainer.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared_impl.config.schema import Config
from shared_impl.data.moments import Moments
from shared_impl.draws import Draws
from shared_impl.memory_allocation import keep_freed_memory
from shared_impl.training import growing, step_inputs
from shared_impl.training.schedules import learning_rates
from shared_impl.training.step_inputs import NO_LABELS, PASSES, StepInputs
from torch_impl import build, features, losses, optimizers
from torch_impl.batches import Batches
from torch_impl.convolution import use_fast_path
from torch_impl.distribution import Replicas
from torch_impl.dropout import dropout_decided_by
from torch_impl.initial_weights import initialise
from torch_impl.networks import DiscriminatorOutput, network_inputs, update_average
from torch_impl.spectrogram import waveform

Array = np.ndarray
Inputs = StepInputs[Tensor]
Metrics = dict[str, Tensor]
DTYPES = {"float32": torch.float32, "bfloat16": torch.float32, "float64": torch.float64}


class Trainer:
    """Both networks, their optimisers, the generator's moving average, and the training step.

    Everything random comes from ``Draws(training.seed)``: two trainers of one configuration, in either framework, take
    the same steps on the same batches. ``steps`` is the length of the run, which the learning-rate schedules need;
    with ``replicas`` the batches are this process's part of them, and all processes step together.
    On a CPU the process keeps freed memory for the next tensors, as TensorFlow's own allocator does.
    """

    framework = "torch"

    def __init__(
        self, config: Config, steps: int, moments: Moments | None = None, replicas: Replicas | None = None
    ) -> None:
        self.config, self.steps = config, steps
        self.done = 0  # steps taken so far
        self.draws = Draws(config.training.seed)
        self.replicas = replicas or Replicas(config)
        self.device = self.replicas.device
        keep_freed_memory()
        self.dtype = DTYPES[config.training.precision]
        self.tensor = partial(_to_tensor, dtype=self.dtype, device=self.device)
        self.batches = Batches(config, moments, self.replicas, self.tensor)
        self.generator = self._network("generator")
        self.discriminator = self._network("discriminator")
        self.ema = self._network("generator") if config.training.ema is not None else None
        # Networks as their own updates call them; D as G's updates call it.
        self.joined = {network: self.replicas.joined(network) for network in (self.generator, self.discriminator)}
        self._discriminator_for_g: nn.Module = self.discriminator
        if config.training.compile:
            self._compile()
        optimizer = optimizers.OPTIMIZERS[config.optimizer.kind]
        d, g = (dict(network.named_parameters()) for network in (self.discriminator, self.generator))
        self.d_optimizer, self.g_optimizer = optimizer(config.optimizer, d), optimizer(config.optimizer, g)
        loss, precision = config.loss, config.training.precision
        self.features = features.load(loss, precision).to(self.device) if loss.imitates else None

    def step(self, step: int, stream: Iterator[dict[str, Array]]) -> Metrics:
        """Step number ``step``, from 0: ``d_updates`` updates of D, each on the next batch, then one of G."""
        cfg = self.config.training
        self.done = step + 1
        if growing.begins_stage(self.config, step):
            self.d_optimizer.restart()
            self.g_optimizer.restart()
        lr_d, lr_g = learning_rates(self.config.optimizer, step, self.steps)
        if cfg.reuse_fakes:
            batch = self.next_batch(stream, step, 0)
            return self.joint_step(self.draw_inputs(step, 0).with_batch(*batch), lr_d, lr_g)
        metrics: Metrics = {}
        for update in range(cfg.d_updates):
            batch = self.next_batch(stream, step, update)
            metrics = self.discriminator_step(self.draw_inputs(step, update).with_batch(*batch), lr_d)
        return metrics | self.generator_step(self.draw_inputs(step, cfg.d_updates).with_batch(*batch), lr_g)

    def discriminator_step(self, inputs: Inputs, lr: float, fake: Tensor | None = None) -> Metrics:
        """One update of D, on real images and on fakes: ``fake`` ``[B, C, H, W]``, or new ones."""
        cfg, portions = self.config, self.config.training.accumulation
        parameters, found = list(self.discriminator.parameters()), []
        if fake is None:
            with torch.no_grad():
                fake = self.generate(inputs)
        for i in range(portions):
            part = inputs.portion(i, portions)
            with self.replicas.averaged_gradients(self.joined[self.discriminator], i + 1 == portions):
                reals, fakes = part.images + part.noise, fake[i::portions] + part.noise
                on_real, on_fake = self.discriminate(reals, part, "real"), self.discriminate(fakes, part, "fake")
                loss = losses.d_loss(cfg.loss, on_real.scores, on_fake.scores)
                metrics = {"d_real": on_real.scores.mean(), "d_fake": on_fake.scores.mean()}
                if cfg.loss.kind == "wgan-gp":
                    critic = partial(self._scores, inputs=part, at="interpolated")
                    metrics["penalty"] = losses.gradient_penalty(cfg.loss, critic, reals, fakes, part.alpha)
                    loss = loss + metrics["penalty"]
                if on_real.class_logits is not None and on_fake.class_logits is not None:
                    auxiliary = partial(losses.auxiliary_loss, cfg.loss, labels=part.labels)
                    metrics["d_class"] = auxiliary(on_real.class_logits) + auxiliary(on_fake.class_logits)
                    loss = loss + metrics["d_class"]
                torch.autograd.backward(loss / portions, inputs=parameters)
            found.append({name: value.detach() for name, value in {"d_loss": loss, **metrics}.items()})
        self.d_optimizer.apply(optimizers.clip(_gradients(parameters), cfg.optimizer.clip_norm), lr)
        if cfg.loss.kind == "wgan":
            with torch.no_grad():
                for parameter in parameters:
                    parameter.clamp_(-cfg.loss.clip, cfg.loss.clip)
        return _mean(found)

    def generator_step(self, inputs: Inputs, lr: float, made: Tensor | None = None) -> Metrics:
        """One update of G, on the images ``made`` ``[B, C, H, W]`` that it has made of all inputs, or on new ones."""
        cfg, portions = self.config, self.config.training.accumulation if made is None else 1
        parameters, found = list(self.generator.parameters()), []
        for i in range(portions):
            part = inputs.portion(i, portions)
            with self.replicas.averaged_gradients(self.joined[self.generator], i + 1 == portions):
                output = self.generate(part) if made is None else made
                fake = output.detach().requires_grad_()
                on_fake = self.discriminate(fake + part.noise, part, "generator")
                loss, metrics = losses.g_loss(cfg.loss, on_fake.scores), {}
                if on_fake.class_logits is not None:
                    metrics["g_class"] = losses.auxiliary_loss(cfg.loss, on_fake.class_logits, part.labels)
                if self.features is not None:
                    metrics |= features.imitation_losses(cfg.loss, self.features, fake, part.images)
                loss = sum(metrics.values(), loss)
                (cotangent,) = torch.autograd.grad(loss, fake)
                torch.autograd.backward(output, cotangent / portions, inputs=parameters)
            found.append({name: value.detach() for name, value in {"g_loss": loss, **metrics}.items()})
        self.g_optimizer.apply(optimizers.clip(_gradients(parameters), cfg.optimizer.clip_norm), lr)
        if self.ema is not None and cfg.training.ema is not None:
            update_average(self.ema, self.generator, cfg.training.ema)
        return _mean(found)

    def joint_step(self, inputs: Inputs, lr_d: float, lr_g: float) -> Metrics:
        """One update of D, then one of G, on the same fakes."""
        fake = self.generate(inputs)
        metrics = self.discriminator_step(inputs, lr_d, fake.detach())
        return metrics | self.generator_step(inputs, lr_g, fake)

    def generate(self, inputs: Inputs) -> Tensor:
        """Fakes ``[B, C, H, W]`` in training mode."""
        with self._autocast():
            given = network_inputs(self.config.model, inputs.z, inputs.labels, inputs.grown)
            return self.joined[self.generator](*given).to(self.dtype)

    def discriminate(self, images: Tensor, inputs: Inputs, at: str) -> DiscriminatorOutput:
        """D on images ``[B, C, H, W]`` in training mode, in one of the passes of a step; in the weights' precision."""
        model = self.config.model
        network = self._discriminator_for_g if at == "generator" else self.joined[self.discriminator]
        labels = None if model.auxiliary else inputs.labels
        with self._autocast(), dropout_decided_by(inputs.dropout[:, PASSES.index(at)]):
            outputs = network(*network_inputs(model, images, labels, inputs.grown))
        outputs = outputs if model.auxiliary else (outputs,)
        return DiscriminatorOutput(*(output.to(self.dtype) for output in outputs))

    def _scores(self, images: Tensor, inputs: Inputs, at: str) -> Tensor:
        return self.discriminate(images, inputs, at).scores

    def draw_inputs(self, step: int, update: int) -> Inputs:
        """This device's part of what an update draws."""
        drawn = step_inputs.draw(self.config, self.draws, step, update)
        drawn = drawn._replace(noise=np.moveaxis(drawn.noise, -1, 1))
        return StepInputs(*(self.tensor(self.replicas.rows(values)) for values in drawn))

    def next_batch(self, stream: Iterator[dict[str, Array]], step: int, update: int) -> tuple[Tensor, Tensor]:
        """This device's part of the next batch: images ``[B, C, H, W]`` and classes ``[B]``."""
        return self.batches.next(stream, self.draws, step, update)

    def settle(self) -> None:
        """Give every device the average of all devices' running statistics, before they are used or saved."""
        self.replicas.settle(
            *(network for network in (self.generator, self.discriminator, self.ema) if network is not None)
        )

    def prepare(self, x: Array) -> Tensor:
        """A batch of the stream as images ``[B, C, H, W]`` in [-1, 1]."""
        return self.batches.prepare(x)

    def real(self, x: Array) -> Array:
        """A batch of the stream as images ``[B, H, W, C]`` in [-1, 1]."""
        return self.prepare(x).movedim(1, -1).cpu().numpy()

    @torch.no_grad()
    def sample(self, z: Array, labels: Array = NO_LABELS) -> Array:
        """Images ``[B, H, W, C]`` in [-1, 1] from latents ``[B, nz]``: the moving average's if there is one.

        A conditional system needs classes ``[B]``. One that grows has grown as far as the last step had it.
        """
        network = self.generator if self.ema is None else self.ema
        network.eval()
        grown = self.tensor(growing.weights_after(self.config, self.done, len(z)))
        images = network(*network_inputs(self.config.model, self.tensor(z), self.tensor(labels), grown))
        self.generator.train()
        return images.movedim(1, -1).float().cpu().numpy()

    def clips(self, images: Array) -> Array:
        """Waveforms ``[B, T]`` of spectrograms ``[B, H, W, 1]``."""
        frame, hop, _ = self.config.model.framing
        given = self.tensor(images).movedim(-1, 1)
        return waveform(given, self.batches.mean, self.batches.std, frame=frame, hop=hop).float().cpu().numpy()

    def _network(self, name: str) -> nn.Module:
        network = build(self.config.model, name).to(self.device, self.dtype)
        initialise(network, name, self.config.model.init, self.draws)
        network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        network = network if self.config.training.compile else use_fast_path(network)
        return self.replicas.synchronised(network) if self.config.distribution.sync_batchnorm else network

    def _compile(self) -> None:
        """Compile both networks; not D where a penalty needs its second derivative, which compiled code has not."""
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 32)
        self.joined[self.generator] = torch.compile(self.joined[self.generator])  # type: ignore[assignment]
        if self.config.loss.kind != "wgan-gp":
            self.joined[self.discriminator] = torch.compile(self.joined[self.discriminator])  # type: ignore[assignment]
            self._discriminator_for_g = torch.compile(self.discriminator)  # type: ignore[assignment]

    def _autocast(self) -> AbstractContextManager[Any]:
        """bfloat16 where the configuration asks for it."""
        mixed = self.config.training.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=mixed)


def _to_tensor(values: Array, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers as a tensor of that type; class numbers stay int64."""
    tensor = torch.from_numpy(np.ascontiguousarray(values)).to(device)
    return tensor if values.dtype == np.int64 else tensor.to(dtype)


def _gradients(parameters: list[nn.Parameter]) -> list[Tensor]:
    """Accumulated gradients; zeros for layers of a growing network's later stages, which have none."""
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]


def _mean(metrics: list[Metrics]) -> Metrics:
    """Metrics averaged over the portions of a batch."""
    return {name: torch.stack([found[name] for found in metrics]).mean(0) for name in metrics[0]}
