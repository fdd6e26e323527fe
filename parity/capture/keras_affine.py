"""Factors and offsets that a Keras layer applies itself: ``x * self.gamma``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from parity.capture.keras_steps import READS
from parity.capture.recorder import MOVES
from parity.capture.weight_views import WeightViews, spread

# Operations that apply a weight to each channel, or one to all, by the slot that the weight then has.
APPLIED = {"Mul": "scale", "AddV2": "offset", "Add": "offset", "BiasAdd": "offset"}


class OwnAffine:
    """Follows the values of variables through changes of shape, during one run."""

    def __init__(self, variables: Sequence[keras.Variable]):
        held = [variable for variable in variables if isinstance(variable.value, tf.Variable)]
        self._handles = {id(variable.value.handle): variable for variable in held}
        self._views: WeightViews[keras.Variable] = WeightViews()

    def follow(self, effect: str, inputs: Any, outputs: Any) -> None:
        """Note an operation that reads a variable, or only changes the shape of one."""
        if effect not in (READS, MOVES) or not inputs:
            return
        variable = self._handles.get(id(inputs[0])) if effect == READS else self._views.of(inputs[0])
        if variable is not None and outputs[0].shape.num_elements() == math.prod(variable.shape):
            self._views.add(outputs[0], variable)

    def applied(
        self, kind: Any, weight: Any, x: Any, own: Sequence[keras.Variable]
    ) -> tuple[str, keras.Variable] | None:
        """``(slot, variable)`` of an operation that applies one of the ``own`` variables to ``x``; else None."""
        slot = APPLIED.get(kind.decode() if isinstance(kind, bytes) else kind)
        if slot is None or not spread(weight.shape, x.shape, (len(x.shape) - 1,)):
            return None
        variable = self._views.of(weight)
        variable = _of_value(weight, own) if variable is None else variable
        return (slot, variable) if variable is not None and any(variable is one for one in own) else None


def _of_value(weight: Any, variables: Sequence[keras.Variable]) -> keras.Variable | None:
    """The variable that has this value: TensorFlow reads one unseen where it is an operand itself."""
    value = np.ravel(weight)
    fitting = (one for one in variables if math.prod(one.shape) == value.size)
    return next((one for one in fitting if np.array_equal(np.ravel(one.value), value)), None)
