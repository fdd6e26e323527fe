"""Instance noise is on everything that D sees, in both implementations: what two equal trainers might both forget."""

from __future__ import annotations

from importlib import import_module
from itertools import repeat

import numpy as np
import pytest

from shared_impl.config.presets import load
from shared_impl.draws import Draws

DEVIATION = 0.5
STILL = ["optimizer.lr=1e-30", "training.precision=float64", "training.batch_size=4", "training.seed=3"]


def plain(tensor):
    """Either framework's tensor as an array."""
    return np.asarray(tensor.detach() if hasattr(tensor, "detach") else tensor)


def mean_score(implementation, trainer, images, noise):
    """D's mean logit of images with the noise."""
    images = images + (np.moveaxis(noise, -1, 1) if implementation == "torch_impl" else noise)
    return float(plain(trainer.discriminate(trainer.tensor(images), trainer.draw_inputs(0, 0), "real").scores).mean())


def generated(trainer, z):
    """G's images of latents."""
    return plain(trainer.generate(trainer.draw_inputs(0, 0)._replace(z=trainer.tensor(z))))


@pytest.mark.parametrize("implementation", ["tf_impl", "torch_impl"])
@pytest.mark.parametrize(
    ("preset", "ways"),
    [
        ("dcgan_tiny", []),
        ("dcgan_tiny", ["training.reuse_fakes=false"]),
        ("specgan_tiny", ["loss.kind=wgan", "optimizer.kind=adam", "loss.clip=100", "training.d_updates=1"]),
    ],
)
def test_real_and_fake_images_get_instance_noise_in_every_update(implementation, preset, ways):
    config = load(preset, [*STILL, *ways, f"training.instance_noise={DEVIATION}"])
    module = import_module(f"{implementation}.trainer")
    trainer, aside = (module.Trainer(config, 10) for _ in range(2))
    draws, batch, side, nc = Draws(3), 4, config.model.side, config.model.nc
    x = (draws.uniform("x", (batch, side, side, nc)) * 256).astype(np.uint8)
    metrics = trainer.step(2, repeat({"x": x, "label": np.zeros(batch, np.int64)}))
    turns = (0, 0) if config.training.reuse_fakes else (0, 1)  # of D's update and of G's
    z = [draws.latents(config.training.latents, "latents", (batch, config.model.nz), 2, turn) for turn in turns]
    noise = [DEVIATION * draws.normal("instance noise", (batch, side, side, nc), 2, turn) for turn in turns]
    real = plain(aside.prepare(x))
    fakes = [generated(aside, latents) for latents in z]
    assert float(metrics["d_real"]) == pytest.approx(mean_score(implementation, aside, real, noise[0]), rel=1e-9)
    assert float(metrics["d_fake"]) == pytest.approx(mean_score(implementation, aside, fakes[0], noise[0]), rel=1e-9)
    if config.loss.kind == "wgan":
        assert -float(metrics["g_loss"]) == pytest.approx(
            mean_score(implementation, aside, fakes[1], noise[1]), rel=1e-9
        )
    clean = mean_score(implementation, aside, fakes[0], np.zeros_like(noise[0]))
    assert abs(clean - float(metrics["d_fake"])) > 1e-6 * abs(clean)
