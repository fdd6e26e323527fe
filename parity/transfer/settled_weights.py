"""The values that both sides are given, in float64, without a copy of what the reference holds. Plain NumPy."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


class Weights(dict[tuple[str, str], Array]):
    """By reference step and parameter; each access gives float64, converted then from what is held."""

    def __getitem__(self, key: tuple[str, str]) -> Array:
        return np.asarray(super().__getitem__(key), np.float64)

    def held(self, key: str, slot: str) -> Array:
        """The value in the precision in which it is held: the reference's own, or float64 where it is new."""
        return super().__getitem__((key, slot))
