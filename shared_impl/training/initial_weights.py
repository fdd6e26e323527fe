"""Initial values of all parameters, in Keras's layout: both implementations start from these. Plain NumPy.

Which layers there are and how their arrays are laid out is each implementation's own initial_weights.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from shared_impl.draws import Draws

Array = np.ndarray
Shape = tuple[int, ...]

# From functions that draw U[0, 1) and N(0, 1), the fan in and the fan out.
KERNELS: dict[str, Callable[[Callable[[], Array], Callable[[], Array], int, int], Array]] = {
    "glorot": lambda u, n, fan_in, fan_out: (2 * u() - 1) * math.sqrt(6 / (fan_in + fan_out)),
    "normal": lambda u, n, fan_in, fan_out: 0.02 * n(),
    "framework": lambda u, n, fan_in, fan_out: (2 * u() - 1) / math.sqrt(fan_in),
}
# Standard deviation of an embedding's rows; torch's own default is N(0, 1).
EMBEDDINGS: dict[str, float] = {"glorot": 1.0, "normal": 0.02, "framework": 1.0}
FIRST_ITERATIONS = 15  # of the power method before the first step, as torch's spectral_norm makes them


def kernel(draws: Draws, distribution: str, name: str, shape: Shape) -> Array:
    """A kernel ``(..., in, out)``; of a transposed convolution ``(..., out, in)``, whose fans both frameworks swap."""
    receptive = math.prod(shape[:-2])
    fans = receptive * shape[-2], receptive * shape[-1]
    return KERNELS[distribution](lambda: draws.uniform(name, shape), lambda: draws.normal(name, shape), *fans)


def scale(draws: Draws, distribution: str, name: str, shape: Shape) -> Array:
    """Batch norm's scale ``[C]``: N(1, 0.02) under ``normal`` (Radford et al. 2015), else one."""
    return 1 + 0.02 * draws.normal(name, shape) if distribution == "normal" else np.ones(shape)


def embedding(draws: Draws, distribution: str, name: str, shape: Shape) -> Array:
    """An embedding's rows ``[vocabulary, features]``."""
    return EMBEDDINGS[distribution] * draws.normal(name, shape)


def bias(shape: Shape) -> Array:
    """Every bias: zero."""
    return np.zeros(shape)


def attention_gain(shape: Shape) -> Array:
    """The factor ``gamma`` of a self-attention's output: zero, so that it starts as the identity (SAGAN, section 3)."""
    return np.zeros(shape)


def singular_vectors(draws: Draws, name: str, kernel: Array, outputs: int) -> tuple[Array, Array]:
    """The vectors ``u`` ``[out]`` and ``v`` with which a kernel's spectral normalisation starts.

    ``outputs`` is the kernel's axis of outputs; ``v`` has the shape of the other axes. ``u`` is drawn, since its order
    is the same in every layout; ``v`` and FIRST_ITERATIONS rounds of the power method follow from it.
    """
    matrix = np.moveaxis(kernel, outputs, 0)
    rest = matrix.shape[1:]
    matrix = matrix.reshape(len(matrix), -1)
    u = _unit(draws.normal(f"{name}/u", (len(matrix),)))
    v = _unit(matrix.T @ u)
    for _ in range(FIRST_ITERATIONS):
        u = _unit(matrix @ v)
        v = _unit(matrix.T @ u)
    return u, v.reshape(rest)


def _unit(vector: Array) -> Array:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
