"""The Keras side of a comparison: trace, gradients and weights of any Keras model, in float32 or float64.

The caller's model is lent, never changed: inside :meth:`KerasSide.working` every variable's value is exchanged for
one of the adapter's own in the wanted precision, and put back afterwards, whatever happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from parity.capture.keras_layer_kinds import overwritten_variables
from parity.capture.keras_recording import recording
from parity.capture.keras_substitutes import exact_moments as moments_let_through
from parity.capture.keras_substitutes import standing_in
from parity.capture.steps import STATISTICS, Recorder, Step, Trace
from parity.verdict import UnusableInput

Gradients = tuple[dict[tuple[str, str], np.ndarray], list[np.ndarray | None]]


class KerasSide:
    """Adapter with the same verbs as :class:`parity.capture.torch_adapter.TorchSide`."""

    framework = "Keras"
    channels_first = False

    def __init__(self, model: keras.Model):
        if not isinstance(model, keras.Model):
            raise UnusableInput(f"got a {type(model).__name__} where a keras.Model is expected")
        if keras.backend.backend() != "tensorflow":
            raise UnusableInput(f"Keras runs on {keras.backend.backend()}; set KERAS_BACKEND=tensorflow")
        if not model.built or (not model.variables and not model.layers):
            raise UnusableInput(
                f"the Keras model '{model.name}' is not built, so it has no weights to compare: "
                "give it a keras.Input, or call it once on a sample before verifying"
            )
        first = [
            layer.name for layer in model._flatten_layers() if getattr(layer, "data_format", "") == "channels_first"
        ]
        if first:
            raise UnusableInput(f"the Keras model '{model.name}' works channels first ({', '.join(first)}): build it "
                                "with data_format='channels_last'")  # fmt: skip
        self.model = model
        self._copies: dict[tuple[str, int], tf.Variable] = {}
        self._states: dict[str, list[tuple[Any, np.ndarray]]] = {}
        self._dtype = ""

    def input_specs(self) -> list[tuple[tuple[int | None, ...], str]] | None:
        """``(shape, dtype)`` of each input, batch first; None if the model does not tell (subclassed)."""
        inputs = getattr(self.model, "inputs", None)
        if inputs:
            return [(tuple(tensor.shape), str(tensor.dtype)) for tensor in inputs]
        shapes = getattr(self.model, "_build_shapes_dict", None) or {}
        known = [shape for shape in shapes.values() if isinstance(shape, tuple)]
        return [((None, *shape[1:]), "float32") for shape in known] if len(known) == 1 else None

    def input_names(self) -> list[str]:
        """Names of the inputs in the order in which they are passed here; empty if the model does not tell."""
        return [tensor.name for tensor in getattr(self.model, "inputs", None) or []]

    def embeds(self) -> bool:
        """Whether the model has an embedding."""
        return any(isinstance(layer, keras.layers.Embedding) for layer in self.model._flatten_layers())

    @contextmanager
    def working(self, dtype: str = "float64") -> Iterator[KerasSide]:
        """Within this context the model computes in ``dtype`` on copies of its variables, with dropout inert.

        The copies are made once for each ``dtype`` and keep what is written to them; running statistics are again as
        they were last kept.
        """
        floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
        eager = tf.config.functions_run_eagerly()
        layers = self.model._flatten_layers()
        layers += [layer._functional for layer in layers if getattr(layer, "_functional", None) is not None]
        tensors = [tensor for layer in layers for tensor in (getattr(layer, "_inputs", None) or [])]
        undo: list[tuple[Any, str, Any]] = []

        def exchange(holder: Any, name: str, value: Any) -> None:
            undo.append((vars(holder), name, vars(holder)[name]))
            vars(holder)[name] = value

        try:
            tf.config.run_functions_eagerly(True)
            keras.config.set_floatx(dtype)
            keras.config.set_dtype_policy(dtype)
            for layer in layers:
                if keras.backend.is_float_dtype(layer.compute_dtype):
                    exchange(layer, "_dtype_policy", keras.DTypePolicy(dtype))
            inputs = [layer for layer in layers if isinstance(layer, keras.layers.InputLayer)]
            for tensor in [*tensors, *inputs]:
                if keras.backend.is_float_dtype(tensor.dtype):
                    exchange(tensor, "_dtype", dtype)
            for variable in self.model.variables:
                floating = keras.backend.is_float_dtype(variable.dtype)
                exchange(variable, "_value", self._copy(variable, dtype if floating else variable.dtype))
                if floating:
                    exchange(variable, "_dtype", dtype)
            self._dtype = dtype
            self._begin()
            with standing_in():
                yield self
        finally:
            for holder, name, value in reversed(undo):
                holder[name] = value
            self._dtype = ""
            keras.config.set_floatx(floatx)
            keras.config.set_dtype_policy(policy)
            tf.config.run_functions_eagerly(eager)

    def run(
        self,
        inputs: list[np.ndarray],
        training: bool = False,
        replace: dict[str, np.ndarray] | None = None,
        values: bool = True,
        keep_state: bool = False,
    ) -> Trace:
        """Run once and record every step; running statistics are put back unless ``keep_state``."""
        recorder = Recorder(
            _array, lambda x, like: tf.constant(x, dtype=like.dtype), -1, replace=replace, values=values
        )
        tensors = [self._tensor(x) for x in inputs]
        recorder.begin(tensors)
        with recording(recorder):
            result = self._call(tensors, training)
        recorder.end(_outputs(result))
        if training and not keep_state:
            self.restore_state()
        return recorder.trace

    def gradients(
        self,
        inputs: list[np.ndarray],
        cotangents: list[np.ndarray],
        steps: list[Step],
        training: bool = False,
        penalty: bool = False,
        exact_moments: bool = False,
    ) -> Gradients:
        """Gradients of ``sum(output * cotangent)`` by every trainable slot of ``steps`` and by every input.

        With ``penalty`` the scalar is the mean over samples of the squared norm of that sum's input gradient, so
        that its gradient needs a double backward (the WGAN-GP term without its root, which NaNs at zero).
        ``exact_moments`` lets the gradient through the mean inside ``tf.nn.moments``, where TensorFlow stops it.
        """
        slots = [(step.name, slot) for step in steps for slot in step.handle if slot not in STATISTICS]
        variables = [step.handle[slot].value for step in steps for slot in step.handle if (step.name, slot) in slots]
        tensors = [self._tensor(x) for x in inputs]
        floats = [x for x in tensors if x.dtype.is_floating]
        with recording(None), moments_let_through(exact_moments), tf.GradientTape() as outer:
            outer.watch(variables)  # those of frozen layers too
            with tf.GradientTape() as inner:
                for x in floats:
                    outer.watch(x)
                    inner.watch(x)
                outputs = _outputs(self._call(tensors, training))
                scalar = tf.add_n(
                    [tf.reduce_sum(y * tf.constant(c, y.dtype)) for y, c in zip(outputs, cotangents, strict=True)]
                )
            if penalty:
                slopes = inner.gradient(scalar, floats)
                batch = len(inputs[0])
                scalar = tf.add_n([tf.reduce_sum(g * g) / batch for g in slopes if g is not None])
        found = outer.gradient(scalar, variables + floats, unconnected_gradients="zero")
        dense = [tf.convert_to_tensor(g).numpy() for g in found]
        if training:
            self.restore_state()
        by_input = iter(dense[len(variables) :])
        return (
            dict(zip(slots, dense[: len(variables)], strict=True)),
            [next(by_input) if x.dtype.is_floating else None for x in tensors],
        )

    def read(self, step: Step, slot: str) -> np.ndarray:
        """A parameter's current value in Keras's layout."""
        return np.asarray(step.handle[slot].value)

    def write(self, step: Step, slot: str, value: np.ndarray) -> None:
        """Set a parameter; shapes were checked by the caller."""
        step.handle[slot].assign(value)

    def holder(self, step: Step, slot: str) -> int:
        """What holds a parameter: equal for layers that share it."""
        return id(step.handle[slot])

    def sick(self) -> list[str]:
        """Variables that hold NaN or infinity."""
        floats = [v for v in self.model.variables if keras.backend.is_float_dtype(v.dtype)]
        return [v.path for v in floats if not tf.reduce_all(tf.math.is_finite(v.value))]

    def unclaimed(self, steps: list[Step]) -> list[str]:
        """Trainable variables that no recorded step owns."""
        claimed = {id(variable) for step in steps for variable in (step.handle or {}).values()}
        claimed_paths = {path for step in steps for path in step.shapes}
        return [v.path for v in self.model.trainable_variables if id(v) not in claimed and v.path not in claimed_paths]

    def keep_state(self) -> None:
        """Remember the running statistics as they are now; training-mode runs return to them."""
        overwritten = [v for part in self.model._flatten_layers() for v in overwritten_variables(part)]
        moving = [*self.model.non_trainable_variables, *overwritten]
        self._states[self._dtype] = [(variable, np.asarray(variable.value)) for variable in moving]

    def restore_state(self) -> None:
        """Back to the running statistics last kept."""
        for variable, value in self._states[self._dtype]:
            variable.assign(value)

    def _begin(self) -> None:
        if self._dtype in self._states:
            self.restore_state()
        else:
            self.keep_state()

    def _copy(self, variable: keras.Variable, dtype: str) -> tf.Variable:
        key = (dtype, id(variable))
        if key not in self._copies:
            self._copies[key] = tf.Variable(tf.cast(variable.value, dtype), trainable=variable.trainable)
        return self._copies[key]

    def _call(self, tensors: list[Any], training: bool) -> Any:
        structure = getattr(self.model, "_inputs_struct", None)
        if isinstance(structure, dict):
            return self.model(keras.tree.pack_sequence_as(structure, tensors), training=training)
        return self.model(tensors[0] if len(tensors) == 1 else tensors, training=training)

    def _tensor(self, x: np.ndarray) -> Any:
        return tf.constant(x, dtype=keras.config.floatx() if x.dtype.kind == "f" else None)


def _array(tensor: Any) -> np.ndarray:
    """A tensor's own memory: TensorFlow never writes into it again. AttributeError for what is not dense."""
    return np.asarray(tensor.__array__())


def _outputs(result: Any) -> list[Any]:
    return [x for x in keras.tree.flatten(result) if tf.is_tensor(x)]
