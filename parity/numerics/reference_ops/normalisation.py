"""Batch, layer and group normalisation by definition. Plain NumPy."""

from __future__ import annotations

import numpy as np

from parity.numerics.reference_ops.axes import add_bias, float64
from parity.verdict import UnusableInput


def batchnorm(
    x: np.ndarray,
    gamma: np.ndarray | None,
    beta: np.ndarray | None,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
) -> np.ndarray:
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta`` over the last axis; None stands for 1 and for 0."""
    y = (float64(x) - mean) / np.sqrt(float64(variance) + epsilon)
    return add_bias(y if gamma is None else y * gamma, beta)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, biased and unbiased variance per channel (last axis) over all other axes, each ``[C]``.

    Batch normalisation normalises with the biased one; torch's running variance keeps the unbiased one, Keras's the
    biased one.
    """
    rows = float64(x).reshape(-1, x.shape[-1])
    return rows.mean(0), rows.var(0), rows.var(0, ddof=1) if len(rows) > 1 else np.full(x.shape[-1], np.nan)


def layernorm(
    x: np.ndarray, gamma: np.ndarray | None, beta: np.ndarray | None, epsilon: float, axes: tuple[int, ...] = (-1,)
) -> np.ndarray:
    """Standardised over ``axes`` of each sample, then scaled and shifted; None stands for 1 and for 0."""
    x = float64(x)
    y = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)
    return add_bias(y if gamma is None else y * gamma, beta)


def groupnorm(
    x: np.ndarray, gamma: np.ndarray | None, beta: np.ndarray | None, epsilon: float, groups: int
) -> np.ndarray:
    """``[B, *S, C]`` standardised over space and each of ``groups`` runs of channels, then scaled and shifted."""
    x = float64(x)
    if groups < 1 or x.shape[-1] % groups:
        raise UnusableInput(f"groupnorm: {x.shape[-1]} channels do not divide into {groups} groups")
    split = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
    y = layernorm(split, None, None, epsilon, (1, 3)).reshape(x.shape)
    return add_bias(y if gamma is None else y * gamma, beta)
