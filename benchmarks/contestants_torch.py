"""torch's contestants: the trainer of torch_impl, and a tutorial's loop from the same weights."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.contestants import Array, best_rate, convolutions, drawn
from benchmarks.flops import Product
from benchmarks.tutorial_torch import Tutorial as Loop
from shared_impl.config.schema import Config
from shared_impl.draws import Draws
from torch_impl import build
from torch_impl.initial_weights import initialise
from torch_impl.trainer import Trainer

if "OMP_NUM_THREADS" in os.environ:
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


class _OnDevice:
    device: torch.device

    def finished(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """Losses as numbers, when everything asked of the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return {name: float(value) for name, value in losses.items()}

    def accelerator(self) -> tuple[str, float | None]:
        """Name and peak memory of the GPU."""
        if self.device.type != "cuda":
            return "", None
        return torch.cuda.get_device_name(), torch.cuda.max_memory_allocated() / 2**30


class Ours(_OnDevice):
    """The trainer."""

    def __init__(self, config: Config) -> None:
        self.trainer = Trainer(config, 1_000_000)
        self.device, self.config = self.trainer.device, config
        self.x, _, _ = drawn(config)

    def step(self, number: int) -> dict[str, float]:
        """A step of the trainer."""
        return self.finished(
            self.trainer.step(number, itertools.repeat({"x": self.x, "label": np.zeros(len(self.x), np.int64)}))
        )

    def d_update(self, number: int) -> dict[str, float]:
        """An update of D alone."""
        trainer = self.trainer
        inputs = trainer.draw_inputs(number, 0)._replace(images=trainer.prepare(self.x))
        return self.finished(trainer.discriminator_step(inputs, 1e-6))

    def first(self, number: int) -> dict[str, Array]:
        """Updates at a learning rate of zero; Adam's first moments hold the gradients."""
        trainer, (x, *random) = self.trainer, drawn(self.config, number)
        moments = [o.slot("m", name) for o in (trainer.d_optimizer, trainer.g_optimizer) for name in o.parameters]
        for moment in moments:
            moment.zero_()
        z, alpha = (torch.from_numpy(value).to(self.device, trainer.dtype) for value in random)
        inputs = trainer.draw_inputs(0, 0)._replace(z=z, alpha=alpha, images=trainer.prepare(x))
        if self.config.training.reuse_fakes:
            losses = trainer.joint_step(inputs, 0.0, 0.0)
        else:
            losses = trainer.discriminator_step(inputs, 0.0) | trainer.generator_step(inputs, 0.0)
        return _arrays(losses, (moment / (1 - self.config.optimizer.beta1) for moment in moments))

    def rates(self) -> dict[str, float]:
        """Of torch's convolution, channels last, and of its matrix product, at the discriminator's layers."""
        batch, layers = self.config.training.batch_size, convolutions(self.config)

        def timed(call: Callable[[], Tensor]) -> Callable[[], None]:
            def run() -> None:
                call()
                self.finished({})

            return run

        def convolution(layer: Product) -> Callable[[], None]:
            side = 2 * layer.side + layer.kernel - 2
            x, kernel = (
                torch.ones(size, device=self.device).to(memory_format=torch.channels_last)
                for size in (
                    (batch, layer.channels, side, side),
                    (layer.features, layer.channels, layer.kernel, layer.kernel),
                )
            )
            return timed(lambda: F.conv2d(x, kernel, stride=2))

        def product(layer: Product) -> Callable[[], None]:
            inner = layer.kernel**2 * layer.channels
            rows, columns = (
                torch.ones(size, device=self.device)
                for size in ((batch * layer.side**2, inner), (inner, layer.features))
            )
            return timed(lambda: rows @ columns)

        return {
            kind.__name__: best_rate((kind(layer), batch * layer.operations) for layer in layers)
            for kind in (convolution, product)
        }


class Tutorial(_OnDevice):
    """The tutorial's loop."""

    def __init__(self, config: Config) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.loop = Loop(config, (_weights(config, "generator"), _weights(config, "discriminator")), self.device)
        self.config, self.real = config, self.prepared(drawn(config)[0])

    def prepared(self, x: Array) -> Tensor:
        """Images ``[B, C, H, W]`` in [-1, 1]."""
        return (torch.from_numpy(x).movedim(-1, 1).float() / 127.5 - 1).contiguous().to(self.device)

    def step(self, number: int) -> dict[str, float]:
        """A step of the loop."""
        return self.finished(self.loop.step(self.real))

    def first(self, number: int) -> dict[str, Array]:
        """A step at a learning rate of zero."""
        x, *random = drawn(self.config, number)
        for optimizer in (self.loop.d_optimizer, self.loop.g_optimizer):
            optimizer.state.clear()
        groups = [group for o in (self.loop.d_optimizer, self.loop.g_optimizer) for group in o.param_groups]
        rates = [group["lr"] for group in groups]
        for group in groups:
            group["lr"] = 0.0
        z, alpha = (torch.from_numpy(value).to(self.device, torch.float32) for value in random)
        if self.loop.penalised:
            losses = self.loop.wasserstein(self.prepared(x), z, alpha, z)
        else:
            losses = self.loop.non_saturating(self.prepared(x), z)
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
        return _arrays(losses, self.loop.gradients())


def _weights(config: Config, name: str) -> list[Tensor]:
    network = build(config.model, name)
    initialise(network, name, config.model.init, Draws(config.training.seed))
    return list(network.parameters())


def _arrays(losses: dict[str, Tensor], gradients: Iterable[Tensor]) -> dict[str, Array]:
    arrays = {name: np.asarray(losses[name].cpu()) for name in ("d_loss", "g_loss")}
    return arrays | {f"gradients/{i}": gradient.detach().cpu().numpy() for i, gradient in enumerate(gradients)}
