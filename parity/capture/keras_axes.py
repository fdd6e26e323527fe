"""The axes of a Keras model that works channels first: outside its adapter everything stands channels last. NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from parity.verdict import UnusableInput

FIRST, LAST = "channels_first", "channels_last"


@dataclass(frozen=True)
class AxisOrder:
    """Whether a model's images are ``[N, C, *S]``; arrays with fewer than three axes have no order."""

    channels_first: bool

    def own(self, array: np.ndarray) -> np.ndarray:
        """From ``[N, *S, C]`` into the model's order."""
        return np.moveaxis(array, -1, 1) if self.channels_first and array.ndim > 2 else array

    def last(self, array: np.ndarray) -> np.ndarray:
        """From the model's order into ``[N, *S, C]``."""
        return np.moveaxis(array, 1, -1) if self.channels_first and array.ndim > 2 else array

    def shape(self, tensor: Any) -> tuple[int, ...]:
        """A tensor's shape as ``[N, *S, C]``."""
        shape = tuple(int(n) for n in getattr(tensor, "shape", ()))
        return self.moved(shape)

    def moved(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """A shape in the model's order as ``[N, *S, C]``."""
        return (shape[0], *shape[2:], shape[1]) if self.channels_first and len(shape) > 2 else shape


def axis_order(model: keras.Model) -> AxisOrder:
    """The order in which a model's layers hold their images.

    Raises:
        UnusableInput: some layers hold channels first, others last.
    """
    held = {layer.name: getattr(layer, "data_format", None) for layer in model._flatten_layers()}
    image = [layer for layer in model._flatten_layers() if not isinstance(layer, keras.layers.Flatten)]
    first = [layer.name for layer in image if held[layer.name] == FIRST]
    last = [layer.name for layer in image if held[layer.name] == LAST]
    if first and last:
        raise UnusableInput(
            f"the Keras model '{model.name}' mixes both data formats: channels first in {', '.join(first)}, last in "
            f"{', '.join(last)}; build all of it in one"
        )
    return AxisOrder(bool(first))
