"""All randomness of a run, the same in every framework: a pure function of seed, purpose and counters.

Philox (Salmon et al. 2011, doi:10.1145/2063384.2063405) is counter-based: any draw can be made again by itself, in any
order and on any device. Uniforms are the upper 53 of 64 raw bits and normals follow Box and Muller (1958), since NumPy
promises the raw bits of a bit generator for good, but not the numbers of its distributions.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

Array = np.ndarray


class Draws:
    """Draws of one seed. Everything is float64, for the caller to round."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def uniform(self, purpose: str, shape: tuple[int, ...], *counters: int) -> Array:
        """U[0, 1) of that shape; at most three counters."""
        name = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
        counter = [0, *counters, *[0] * (3 - len(counters))]
        bits = np.random.Philox(key=[self.seed, name], counter=counter).random_raw(math.prod(shape))
        return (np.asarray(bits, np.uint64) >> np.uint64(11)).reshape(shape) * 2.0**-53

    def normal(self, purpose: str, shape: tuple[int, ...], *counters: int) -> Array:
        """N(0, 1) of that shape."""
        radius, angle = self.uniform(purpose, (2, *shape), *counters)
        return np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)

    def latents(self, kind: str, purpose: str, shape: tuple[int, int], *counters: int) -> Array:
        """Latents ``[B, nz]``: ``uniform`` is U(-1, 1), ``normal`` N(0, 1)."""
        if kind == "normal":
            return self.normal(purpose, shape, *counters)
        return 2 * self.uniform(purpose, shape, *counters) - 1
