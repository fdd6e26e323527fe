"""Initial kernels, drawn in Keras's layout so that both houses start from the same numbers. Plain NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from common.draws import Draws

Array = np.ndarray
Shape = tuple[int, ...]

# Each is given U[0, 1) and N(0, 1) makers, the fan in and the fan out.
KERNELS: dict[str, Callable[[Callable[[], Array], Callable[[], Array], int, int], Array]] = {
    "glorot": lambda u, n, fan_in, fan_out: (2 * u() - 1) * math.sqrt(6 / (fan_in + fan_out)),
    "normal": lambda u, n, fan_in, fan_out: 0.02 * n(),
    "framework": lambda u, n, fan_in, fan_out: (2 * u() - 1) / math.sqrt(fan_in),
}


def kernel(draws: Draws, distribution: str, name: str, shape: Shape) -> Array:
    """A kernel ``(..., in, out)``; of a transposed convolution ``(..., out, in)``, whose fans both frameworks swap."""
    receptive = math.prod(shape[:-2])
    fans = receptive * shape[-2], receptive * shape[-1]
    return KERNELS[distribution](lambda: draws.uniform(name, shape), lambda: draws.normal(name, shape), *fans)


def scale(draws: Draws, distribution: str, name: str, shape: Shape) -> Array:
    """Batch norm's scale ``[C]``: N(1, 0.02) under ``normal`` (Radford et al. 2015), else one."""
    return 1 + 0.02 * draws.normal(name, shape) if distribution == "normal" else np.ones(shape)
