"""Weights and inputs of the golden records, drawn again from frozen generators as README.md says. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from parity.golden.records import DCGANSetting, SpecGANSetting

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
    rs = np.random.RandomState(setting.seed + 2)
    real = rs.uniform(-1, 1, (setting.batch, setting.ch, 64, 64))
    return real, rs.standard_normal((setting.batch, setting.latent, 1, 1))
