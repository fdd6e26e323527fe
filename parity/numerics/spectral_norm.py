"""Spectral normalisation as the frameworks implement it, in the reference's layout. Plain NumPy.

There are three. torch keeps the kernel and computes with kernel / sigma; a power iteration moves u, then v
(``torch.nn.utils.parametrizations.spectral_norm``), or v, then u (the older ``torch.nn.utils.spectral_norm``).
``keras.layers.SpectralNormalization`` overwrites its kernel with kernel / sigma at each call in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray

KEPT, OVERWRITTEN = "kernel / sigma, the kernel kept", "kernel / sigma, written into the kernel"
OUTPUTS, INPUTS = "outputs", "inputs"
U_FIRST, V_FIRST = "u, then v", "v, then u"
U, V = "singular_u", "singular_v"
MAX_ITERATIONS = 10  # tried to explain a port


def kernel_matrix(kernel: Array, kind: str, axis: str) -> Array:
    """A Keras kernel as the matrix ``[axis, rest]`` whose largest singular value is estimated."""
    outputs, inputs = (-2, -1) if kind == "conv-transpose" else (-1, -2)
    first = np.moveaxis(kernel, outputs if axis == OUTPUTS else inputs, 0)
    return first.reshape(len(first), -1)


def power_iterations(weight: Array, u: Array, v: Array, times: int, order: str = U_FIRST) -> tuple[Array, Array]:
    """``u`` and ``v`` after ``times`` power iterations."""
    for _ in range(times):
        if order == V_FIRST:
            v = _unit(weight.T @ u)
        u = _unit(weight @ v)
        if order == U_FIRST:
            v = _unit(weight.T @ u)
    return u, v


def sigma(
    kernel: Array, vectors: Mapping[str, Array], kind: str, settings: Mapping[str, Any], times: int, order: str = ""
) -> float | None:
    """The divisor of the kernel after ``times`` power iterations; None if the shapes of ``vectors`` do not fit."""
    weight = kernel_matrix(kernel, kind, settings["spectral_axis"])
    u = vectors[U].reshape(-1)
    v = vectors[V].reshape(-1) if V in vectors else _unit(weight.T @ u) if len(u) == len(weight) else u
    if (len(u), len(v)) != weight.shape:
        return None
    u, v = power_iterations(weight, u, v, times, order or settings["spectral_order"])
    return float(u @ weight @ v)


def effective_kernel(
    kernel: Array, vectors: Mapping[str, Array], kind: str, settings: Mapping[str, Any], training: bool
) -> Any:
    """The kernel that such a layer computes with; None if the shapes of ``vectors`` do not fit."""
    if settings["spectral_norm"] == OVERWRITTEN and not training:
        return kernel
    divisor = sigma(kernel, vectors, kind, settings, settings["power_iterations"] if training else 0)
    return None if divisor is None else kernel / divisor


def _unit(vector: Array) -> Array:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
