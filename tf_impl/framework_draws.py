"""Keras's own generator in place of a run's draws; twin of torch_impl/framework_draws.py."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from shared_impl.draws import Draws

Array = np.ndarray


class FrameworkDraws(Draws):
    """What a network starts from that is built outside a run, as ``keras.utils.set_random_seed`` has it.

    Purposes and counters mean nothing: every draw is a new one. Values are of Keras's floatx.
    """

    def __init__(self) -> None:
        super().__init__(0)

    def uniform(self, purpose: str, shape: tuple[int, ...], *counters: int) -> Array:
        """U[0, 1) of that shape."""
        return ops.convert_to_numpy(keras.random.uniform(shape))

    def normal(self, purpose: str, shape: tuple[int, ...], *counters: int) -> Array:
        """N(0, 1) of that shape."""
        return ops.convert_to_numpy(keras.random.normal(shape))
