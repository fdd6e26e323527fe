"""Weights and inputs of the golden records, drawn again from frozen generators as README.md says. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from parity.systems.golden.settings import DCGANSetting, SpecGANSetting, SpecGANTrainingSetting

Drawn = list[tuple[str, np.ndarray]]


def specgan_weights(variables: Iterable[tuple[str, tuple[int, ...]]], seed: int) -> Drawn:
    """TF 1 variables in creation order: computed in float64, cast to float32."""
    rs = np.random.RandomState(seed)
    return [(name, _specgan_weight(name, rs.standard_normal(shape)).astype(np.float32)) for name, shape in variables]


def _specgan_weight(name: str, n: np.ndarray) -> np.ndarray:
    last = name.rsplit("/", 1)[-1]
    if last == "kernel":
        return 1.4 * n / np.sqrt(np.prod(n.shape[:-1]))
    if last == "gamma":
        return 1 + 0.1 * n
    if last == "moving_variance":
        return 1 + 0.1 * np.abs(n)
    return 0.1 * n


def specgan_inputs(setting: SpecGANSetting) -> tuple[np.ndarray, np.ndarray]:
    """Latents ``[B, latent]``, then images ``[B, 128, 128, 1]``, float32."""
    rs = np.random.RandomState(setting.seed + 2)
    z = rs.uniform(-1, 1, (setting.batch, setting.latent))
    x = rs.uniform(-1, 1, (setting.batch, 128, 128, 1))
    return z.astype(np.float32), x.astype(np.float32)


def dcgan_weights(parameters: Iterable[tuple[str, tuple[int, ...]]], seed: int) -> Drawn:
    """torch parameters in ``named_parameters()`` order, float64."""
    rs = np.random.RandomState(seed)
    return [(name, _dcgan_weight(name, rs.standard_normal(shape))) for name, shape in parameters]


def _dcgan_weight(name: str, n: np.ndarray) -> np.ndarray:
    if n.ndim == 4:
        return 1.4 * n / np.sqrt(np.prod(n.shape[1:]))
    return 1 + 0.1 * n if name.endswith("weight") else 0.1 * n


def dcgan_inputs(setting: DCGANSetting) -> tuple[np.ndarray, np.ndarray]:
    """The first step's real images ``[B, ch, 64, 64]``, then its latents ``[B, latent, 1, 1]``, float64."""
    return _dcgan_step(np.random.RandomState(setting.seed + 2), setting)


def _dcgan_step(rs: np.random.RandomState, setting: DCGANSetting) -> tuple[np.ndarray, np.ndarray]:
    real = rs.uniform(-1, 1, (setting.batch, setting.ch, 64, 64))
    return real, rs.standard_normal((setting.batch, setting.latent, 1, 1))


@dataclass(frozen=True)
class Fed:
    """The inputs of a training record, update by update: real ``[U, B, ...]``, latents ``[U, B, latent]`` and mixing
    weights ``[U, B]``; a step is ``per_step`` updates.

    It takes the place of a trainer's ``shared_impl.draws.Draws``. After the last update it starts again, so that an
    implementation that takes more updates than the record runs to its end; their order then shows the mistake.
    """

    real: np.ndarray
    z: np.ndarray
    alpha: np.ndarray
    per_step: int

    def latents(self, kind: str, purpose: str, shape: tuple[int, int], step: int, update: int) -> np.ndarray:
        """The latents of an update."""
        return self.z[self._turn(step, update)]

    def uniform(self, purpose: str, shape: tuple[int, ...], step: int, update: int) -> np.ndarray:
        """The mixing weights of an update."""
        return self.alpha[self._turn(step, update)]

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """The real batches in order, without those of G's updates; endless."""
        last = self.per_step - 1
        yield from cycle(
            [
                {"x": real, "label": np.zeros(len(real), np.int64)}
                for turn, real in enumerate(self.real)
                if not last or turn % self.per_step < last
            ]
        )

    def _turn(self, step: int, update: int) -> int:
        return (step * self.per_step + update) % len(self.z)


def specgan_moments(setting: SpecGANTrainingSetting) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation ``[129]`` of the log magnitudes, float32."""
    rs = np.random.RandomState(setting.seed + 100)
    mean = rs.normal(-2, 0.5, 129)
    return mean.astype(np.float32), (1 + rs.uniform(0, 1, 129)).astype(np.float32)


def specgan_updates(setting: SpecGANTrainingSetting) -> Fed:
    """Clips ``[U, B, 16384]``, latents and mixing weights (zero where the loss needs none), float32."""
    rs = np.random.RandomState(setting.seed + 2)
    per_step = setting.disc_nupdates + 1
    updates = [_specgan_update(rs, setting) for _ in range(setting.loops * per_step)]
    clips, z, alpha = (np.stack(parts).astype(np.float32) for parts in zip(*updates, strict=True))
    return Fed(clips, z, alpha, per_step)


def _specgan_update(rs: np.random.RandomState, setting: SpecGANTrainingSetting) -> tuple[np.ndarray, ...]:
    clips = np.stack([_clip(rs) for _ in range(setting.batch)])
    z = rs.uniform(-1, 1, (setting.batch, setting.latent))
    alpha = rs.uniform(0, 1, (setting.batch, 1, 1, 1)) if setting.loss == "wgan-gp" else np.zeros(setting.batch)
    return clips, z, alpha.reshape(-1)


def _clip(rs: np.random.RandomState) -> np.ndarray:
    """A decaying tone in noise ``[16384]``."""
    pitch, decay, noise = rs.uniform(), rs.uniform(), rs.standard_normal(16384)
    t = np.arange(16384) / 16000
    return 0.5 * np.sin(2 * np.pi * (200 + 700 * pitch) * t) * np.exp(-6 * decay * t) + 0.02 * noise


def dcgan_updates(setting: DCGANSetting) -> Fed:
    """Real images as the stream has them ``[steps, B, 64, 64, ch]``, 0 to 255, and latents ``[steps, B, latent]``."""
    rs = np.random.RandomState(setting.seed + 2)
    steps = [_dcgan_step(rs, setting) for _ in range(setting.steps)]
    real, noise = (np.stack(parts) for parts in zip(*steps, strict=True))
    return Fed((np.moveaxis(real, 2, -1) + 1) * 127.5, noise[:, :, :, 0, 0], np.zeros(real.shape[:2]), per_step=1)
