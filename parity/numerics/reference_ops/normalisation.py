"""Batch normalisation by definition. Plain NumPy."""

from __future__ import annotations

import numpy as np

from parity.numerics.reference_ops.axes import add_bias, float64


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
