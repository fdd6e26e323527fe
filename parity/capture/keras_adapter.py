"""Runs, gradients and weights of any Keras model, in float32 or float64.

Inside :meth:`KerasAdapter.precision` every variable's value is replaced by the adapter's own copy in that precision,
and restored afterwards, also after an error: the caller's model is never changed.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from parity.capture.adapter import Attempt, Gradients
from parity.capture.devices import CPU, tensor_float_32, tensorflow_device
from parity.capture.keras_axes import axis_order
from parity.capture.keras_kernels import DoublePrecision
from parity.capture.keras_layer_kinds import classify
from parity.capture.keras_recording import recording
from parity.capture.keras_spectral_norm import overwritten_variables
from parity.capture.keras_steps import SLOTS, layer_step
from parity.capture.keras_substitutes import differentiable_moments, exact_functions
from parity.capture.nested_outputs import in_order_of, named_outputs
from parity.capture.recorder import Consumer, Recorder
from parity.capture.steps import STATISTICS, Step, Trace
from parity.verdict import UnusableInput

OWN_MEMORY = 2**20
"""Number of values from which on a converted weight is kept outside TensorFlow's memory pool."""
ALIGNMENT = 64
"""Bytes to which TensorFlow aligns tensors (EIGEN_MAX_ALIGN_BYTES)."""


class KerasAdapter:
    """A :class:`parity.capture.adapter.ModelAdapter` of a built ``keras.Model``.

    A model that works channels first is shown with its channels last.
    """

    framework = "Keras"
    channels_first = False

    def __init__(self, model: keras.Model, device: str = CPU):
        if not isinstance(model, keras.Model):
            raise UnusableInput(f"got a {type(model).__name__} where a keras.Model is expected")
        if keras.backend.backend() != "tensorflow":
            raise UnusableInput(f"Keras runs on {keras.backend.backend()}; set KERAS_BACKEND=tensorflow")
        if not model.built or (not model.variables and not model.layers):
            raise UnusableInput(
                f"the Keras model '{model.name}' is not built, so it has no weights to compare: "
                "give it a keras.Input, or call it once on a sample before verifying"
            )
        special = [x.name for x in getattr(model, "inputs", None) or []
                   if getattr(x, "sparse", False) or getattr(x, "ragged", False)]  # fmt: skip
        if special:
            raise UnusableInput(
                f"the Keras model '{model.name}' takes sparse or ragged inputs ({', '.join(special)}), which no port "
                "can be fed: compare the network on dense ones"
            )
        self.model = model
        self.axes = axis_order(model)
        self.device = device
        self._order: list[int] = []
        self._copies: dict[tuple[str, int], tf.Variable] = {}
        self._states: dict[str, list[tuple[Any, np.ndarray]]] = {}
        self._decided: dict[str, Any] = {}
        self._output_names: Sequence[str] = ()
        self._returned: tuple[str, ...] = ()
        self._dtype = ""
        self._kernels = DoublePrecision()

    def input_specs(self) -> list[tuple[tuple[int | None, ...], str]] | None:
        """``(shape, dtype)`` of each input, batch first; None if the model does not declare them (subclassed)."""
        inputs = getattr(self.model, "inputs", None)
        if inputs:
            return [(self.axes.moved(tuple(tensor.shape)), str(tensor.dtype)) for tensor in inputs]
        shapes = getattr(self.model, "_build_shapes_dict", None) or {}
        known = [shape for shape in shapes.values() if isinstance(shape, tuple)]
        return [(self.axes.moved((None, *shape[1:])), "float32") for shape in known] if len(known) == 1 else None

    def channels_last(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """The caller's inputs, in the model's own layout, with their channels last."""
        return [self.axes.last(x) for x in inputs]

    def input_names(self) -> list[str]:
        """Names of the inputs in positional order; empty if the model does not declare them."""
        return [tensor.name for tensor in getattr(self.model, "inputs", None) or []]

    def pass_inputs_by_name(self, names: list[str]) -> None:
        """From now on inputs are passed in the order of ``names``, if these are the model's inputs."""
        own = self.input_names()
        self._order = [names.index(name) for name in own] if sorted(names) == sorted(own) else []

    def expected_values(self) -> int:
        """How many values all layers of a functional model compute for one sample, free sizes left out."""
        if getattr(self.model, "inputs", None) is None:
            return 0
        layers = self.model._flatten_layers(include_self=False)
        outputs = [x for layer in layers for node in layer._inbound_nodes for x in node.output_tensors]
        return sum(math.prod(x.shape[1:]) for x in outputs if None not in x.shape[1:])

    def tensor_float_32(self) -> list[str]:
        """The settings that round float32 products to TensorFloat-32 where the model is measured."""
        return tensor_float_32(self.device)

    @property
    def inputs_by_name(self) -> list[str]:
        """The names by which inputs are passed; empty where they are passed by their place."""
        own = self.input_names()
        return [own[place] for place in np.argsort(self._order)] if self._order else []

    def return_outputs_by_name(self, names: Sequence[str]) -> None:
        """From now on outputs are returned in the order of ``names``, if these are their keys."""
        self._output_names = names

    def has_embedding(self) -> bool:
        """Whether the model has an embedding."""
        return any(isinstance(layer, keras.layers.Embedding) for layer in self.model._flatten_layers())

    @contextmanager
    def precision(self, dtype: str = "float64") -> Iterator[KerasAdapter]:
        """Within this context the model computes in ``dtype`` on copies of its variables, with dropout disabled."""
        floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
        eager = tf.config.functions_run_eagerly()
        layers = self.model._flatten_layers()
        layers += [layer._functional for layer in layers if getattr(layer, "_functional", None) is not None]
        tensors = [tensor for layer in layers for tensor in (getattr(layer, "_inputs", None) or [])]
        undo: list[tuple[Any, str, Any]] = []

        def replace(holder: Any, name: str, value: Any) -> None:
            undo.append((vars(holder), name, vars(holder)[name]))
            vars(holder)[name] = value

        try:
            tf.config.run_functions_eagerly(True)
            keras.config.set_floatx(dtype)
            keras.config.set_dtype_policy(dtype)
            for layer in layers:
                if keras.backend.is_float_dtype(layer.compute_dtype):
                    replace(layer, "_dtype_policy", keras.DTypePolicy(dtype))
            inputs = [layer for layer in layers if isinstance(layer, keras.layers.InputLayer)]
            for tensor in [*tensors, *inputs]:
                if keras.backend.is_float_dtype(tensor.dtype):
                    replace(tensor, "_dtype", dtype)
            for variable in self.model.variables:
                floating = keras.backend.is_float_dtype(variable.dtype)
                with tf.device(tensorflow_device(self.device)):
                    replace(variable, "_value", self._copy(variable, dtype if floating else variable.dtype))
                if floating:
                    replace(variable, "_dtype", dtype)
            self._dtype = dtype
            self._begin()
            exact = self._kernels.active() if dtype == "float64" else nullcontext()
            with exact_functions(), exact, warnings.catch_warnings():
                warnings.simplefilter("ignore")
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
        replace: Mapping[str, np.ndarray] | None = None,
        values: bool = True,
        keep_state: bool = False,
        consume: Consumer | None = None,
        skip: bool = False,
    ) -> Trace:
        """Run once and record every step; running statistics are restored unless ``keep_state``."""
        recorder = self._recorder(replace, values, consume)
        recorder.skip = skip
        tensors = [self._tensor(x) for x in inputs]
        recorder.begin(tensors)
        with recording(recorder, self._decided, skip, self.model.variables):
            result = self._call(tensors, training)
        recorder.end(result)
        recorder.trace.names = self._returned
        if training and not keep_state:
            self.restore_state()
        return recorder.trace

    def constants(self, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
        """Every floating constant that an operation is given, as :class:`parity.capture.adapter.HoldsConstants`."""
        tensors = [self._tensor(x) for x in inputs]
        with self._kernels.collecting(tensors) as found, recording(None):
            self._call(tensors, training)
        if training:
            self.restore_state()
        return found

    def attempt(self, inputs: list[np.ndarray]) -> Attempt:
        """An evaluation-mode run without values that may fail; its error is returned, not raised."""
        recorder = self._recorder(None, values=False)
        tensors = [self._tensor(x) for x in inputs]
        recorder.begin(tensors)
        with recording(recorder, self._decided, variables=self.model.variables) as observer:
            try:
                recorder.end(self._call(tensors, training=False))
                recorder.trace.names = self._returned
                return Attempt(recorder.trace)
            except Exception as error:
                ran = {step.owner for step in recorder.trace.steps}
                for layer in self.model._flatten_layers(include_self=False):
                    kind, _ = classify(layer)
                    if kind in SLOTS and layer.built and layer.name not in ran:
                        recorder.trace.steps.append(layer_step(layer, kind, layer.name))
                return Attempt(recorder.trace, error, observer.failed_layer)

    def gradients(
        self,
        inputs: list[np.ndarray],
        cotangents: list[np.ndarray | None],
        steps: list[Step],
        training: bool = False,
        penalty: bool = False,
        exact_moments: bool = False,
    ) -> Gradients:
        """Gradients as defined by :meth:`parity.capture.adapter.ModelAdapter.gradients`."""
        slots = [(step.name, slot) for step in steps for slot in step.handle if slot not in STATISTICS]
        variables = [step.handle[slot].value for step in steps for slot in step.handle if (step.name, slot) in slots]
        tensors = [self._tensor(x) for x in inputs]
        floats = [x for x in tensors if x.dtype.is_floating]
        with (
            recording(None, self._decided),
            differentiable_moments(exact_moments),
            tf.GradientTape() as outer,
        ):
            outer.watch(variables)  # those of frozen layers too
            with tf.GradientTape() as inner:
                for x in floats:
                    outer.watch(x)
                    inner.watch(x)
                outputs = self._call(tensors, training)
                scalar = sum(
                    (tf.reduce_sum(y * tf.constant(self.axes.own(c), y.dtype))
                     for y, c in zip(outputs, cotangents, strict=True) if c is not None),
                    self._tensor(np.zeros(())),
                )  # fmt: skip
            if penalty:
                by_inputs = [g for g in inner.gradient(scalar, floats) if g is not None]
                scalar = sum((tf.reduce_sum(g * g) / len(inputs[0]) for g in by_inputs), self._tensor(np.zeros(())))
        found = outer.gradient(scalar, variables + floats, unconnected_gradients="zero")
        dense = [tf.convert_to_tensor(g).numpy() for g in found]
        if training:
            self.restore_state()
        by_input = iter(self.axes.last(g) for g in dense[len(variables) :])
        return (
            dict(zip(slots, dense[: len(variables)], strict=True)),
            [next(by_input) if x.dtype.is_floating else None for x in tensors],
        )

    def read(self, step: Step, slot: str) -> np.ndarray:
        """A parameter's or running statistic's value in Keras's layout; a view, never written to again."""
        return np.asarray(tf.convert_to_tensor(step.handle[slot].value))  # of a variable NumPy would make a copy

    def write(self, step: Step, slot: str, value: np.ndarray, part: Any = ...) -> None:
        """Set a parameter or running statistic, or a part of it; the caller has checked the shape."""
        if part is not ... and part != (...,):
            whole = np.array(self.read(step, slot))
            whole[part] = value
            value = whole
        step.handle[slot].assign(value)

    def variable_id(self, step: Step, slot: str) -> int:
        """Identity of the variable that holds a parameter: equal for layers that share it."""
        return id(step.handle[slot])

    def trainable(self, step: Step, slot: str) -> bool:
        """Whether training moves a parameter."""
        known = (step.handle or {}).get(slot)
        held = [known] if known is not None else [v for v in self.model.variables if v.path == slot]
        return slot not in STATISTICS and any(variable.trainable for variable in held)

    def nonfinite_variables(self) -> list[str]:
        """Paths of the variables that hold NaN or infinity."""
        floats = [v for v in self.model.variables if keras.backend.is_float_dtype(v.dtype)]
        return [v.path for v in floats if not tf.reduce_all(tf.math.is_finite(v.value))]

    def unrecorded_parameters(self, steps: list[Step]) -> list[str]:
        """Paths of the trainable variables that belong to none of ``steps``."""
        claimed = {id(variable) for step in steps for variable in (step.handle or {}).values()}
        claimed_paths = {path for step in steps for path in step.shapes}
        return [v.path for v in self.model.trainable_variables if id(v) not in claimed and v.path not in claimed_paths]

    def unread_parameters(self, names: list[str], inputs: list[np.ndarray]) -> set[str]:
        """As :meth:`parity.capture.adapter.ModelAdapter.unread_parameters`."""
        unread = {v.path: v.value for v in self.model.trainable_variables if v.path in names}
        for training in (False, True):
            with tf.GradientTape() as tape:
                outputs = self._call([self._tensor(x) for x in inputs], training)
            self.restore_state()
            if not all(y.dtype.is_floating for y in outputs):
                return set()
            found = tape.gradient(outputs, list(unread.values()))
            unread = {name: v for (name, v), g in zip(unread.items(), found, strict=True) if g is None}
        return {*unread}

    def keep_state(self) -> None:
        """Remember the running statistics as they are now; training-mode runs restore them."""
        overwritten = [v for part in self.model._flatten_layers() for v in overwritten_variables(part)]
        moving = [*self.model.non_trainable_variables, *overwritten]
        self._states[self._dtype] = [(variable, np.asarray(variable.value)) for variable in moving]

    def restore_state(self) -> None:
        """Restore the running statistics last kept."""
        for variable, value in self._states[self._dtype]:
            variable.assign(value)

    def on_new_copies(self) -> KerasAdapter:
        """An adapter of the same model, with copies of its own."""
        twin = copy.copy(self)
        twin._copies, twin._states = {}, {}
        return twin

    def release(self, dtype: str) -> None:
        """Free the copy in ``dtype``."""
        self._copies = {key: copied for key, copied in self._copies.items() if key[0] != dtype}
        self._states.pop(dtype, None)

    def copy_weights_from(self, dtype: str) -> None:
        """Take over the weights of the copy in another ``dtype``, and its running statistics as last kept."""
        kept = {id(variable): value for variable, value in self._states[dtype]}
        for variable in self.model.variables:
            source = self._copies.get((dtype, id(variable)))
            if source is not None:
                variable.assign(tf.cast(kept.get(id(variable), source), variable.dtype))

    def _recorder(
        self, replace: Mapping[str, np.ndarray] | None, values: bool, consume: Consumer | None = None
    ) -> Recorder:
        return Recorder(
            lambda tensor: self.axes.last(_array(tensor)),
            lambda x, like: tf.constant(self.axes.own(x), dtype=like.dtype),
            -1,
            replace=replace,
            values=values,
            consume=consume,
            shape_of=self.axes.shape,
        )

    def _begin(self) -> None:
        if self._dtype in self._states:
            self.restore_state()
        else:
            self.keep_state()

    def _copy(self, variable: keras.Variable, dtype: str) -> tf.Variable:
        key = (dtype, id(variable))
        if key not in self._copies:
            self._copies[key] = tf.Variable(_converted(variable.value, dtype), trainable=variable.trainable)
        return self._copies[key]

    def _call(self, tensors: list[Any], training: bool) -> list[Any]:
        """The tensors that the model returns."""
        tensors = [tensors[place] for place in self._order] or tensors
        structure = getattr(self.model, "_inputs_struct", None)
        if isinstance(structure, dict):
            result = self.model(keras.tree.pack_sequence_as(structure, tensors), training=training)
        else:
            result = self.model(tensors[0] if len(tensors) == 1 else tensors, training=training)
        found = in_order_of(named_outputs(result, tf.is_tensor), self._output_names)
        self._returned = tuple(name for name, _ in found)
        return [x for _, x in found]

    def _tensor(self, x: np.ndarray) -> Any:
        return tf.constant(self.axes.own(x), dtype=keras.config.floatx() if x.dtype.kind == "f" else None)


def _converted(tensor: Any, dtype: str) -> Any:
    """The tensor in another precision; a large one in memory of NumPy's, as TensorFlow's pool keeps what it freed."""
    if tensor.dtype == dtype or tensor.shape.num_elements() < OWN_MEMORY:
        return tf.cast(tensor, dtype)
    array = np.asarray(tf.convert_to_tensor(tensor))
    room = np.empty(array.size * np.dtype(dtype).itemsize + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    copied = room[start : start + array.size * np.dtype(dtype).itemsize].view(dtype).reshape(array.shape)
    np.copyto(copied, array)
    return tf.experimental.dlpack.from_dlpack(copied.__dlpack__())


def _array(tensor: Any) -> np.ndarray:
    """A view of the tensor's memory, which TensorFlow never writes again; AttributeError for sparse tensors."""
    return np.asarray(tensor.__array__())
