"""The Keras side of a comparison: trace, gradients and weights of any Keras model, in float32 or float64.

The caller's model is lent, never changed: inside :meth:`KerasSide.working` every variable's value is exchanged for
a temporary one in the wanted precision, and put back afterwards, whatever happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from parity.tracing.keras_kinds import OPERATIONS, activation, classify, plain_settings
from parity.tracing.steps import PARAMETRISED, Recorder, Step, Trace
from parity.verdict import UnusableInput

SLOTS = {
    "conv": ("kernel", "bias"),
    "conv-transpose": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batchnorm": ("gamma", "beta", "moving_mean", "moving_variance"),
    "layernorm": ("gamma", "beta"),
    "groupnorm": ("gamma", "beta"),
    "embedding": ("embeddings",),
    "prelu": ("alpha",),
}
SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
Gradients = tuple[dict[tuple[str, str], np.ndarray], list[np.ndarray | None]]


class KerasSide:
    """Adapter with the same verbs as :class:`parity.tracing.torch_side.TorchSide`."""

    framework = "Keras"
    channels_first = False

    def __init__(self, model: keras.Model):
        if not model.built or (not model.variables and not model.layers):
            raise UnusableInput(
                f"the Keras model '{model.name}' is not built, so it has no weights to compare: "
                "give it a keras.Input, or call it once on a sample before verifying"
            )
        self.model = model
        self._saved_state: list[tuple[Any, np.ndarray]] = []

    def input_specs(self) -> list[tuple[tuple[int | None, ...], str]] | None:
        """``(shape, dtype)`` of each input, batch first; None if the model does not tell (subclassed)."""
        inputs = getattr(self.model, "inputs", None)
        if inputs:
            return [(tuple(tensor.shape), str(tensor.dtype)) for tensor in inputs]
        shapes = getattr(self.model, "_build_shapes_dict", None) or {}
        known = [shape for shape in shapes.values() if isinstance(shape, tuple)]
        return [((None, *shape[1:]), "float32") for shape in known] if len(known) == 1 else None

    @contextmanager
    def working(self, dtype: str = "float64") -> Iterator[KerasSide]:
        """Within this context the model computes in ``dtype`` on temporary variables, with dropout inert."""
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
                if isinstance(vars(layer).get("rate"), float) and "Dropout" in type(layer).__name__:
                    exchange(layer, "rate", 0.0)
            inputs = [layer for layer in layers if isinstance(layer, keras.layers.InputLayer)]
            for tensor in [*tensors, *inputs]:
                if keras.backend.is_float_dtype(tensor.dtype):
                    exchange(tensor, "_dtype", dtype)
            for variable in self.model.variables:
                floating = keras.backend.is_float_dtype(variable.dtype)
                value = tf.cast(variable.value, dtype) if floating else variable.value
                exchange(variable, "_value", tf.Variable(value, trainable=variable.trainable))
                if floating:
                    exchange(variable, "_dtype", dtype)
            self.keep_state()
            yield self
        finally:
            for holder, name, value in reversed(undo):
                holder[name] = value
            self._saved_state = []
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
        recorder = Recorder(lambda x: x.numpy(), lambda x, like: tf.constant(x, dtype=like.dtype), replace, values)
        with _recording(self.model, recorder):
            result = self._call([self._tensor(x) for x in inputs], training)
        recorder.trace.result = [np.asarray(x) for x in keras.tree.flatten(result)]
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
        slots = [(step.name, slot) for step in steps for slot in step.handle if not slot.startswith("moving_")]
        variables = [step.handle[slot].value for step in steps for slot in step.handle if (step.name, slot) in slots]
        tensors = [self._tensor(x) for x in inputs]
        floats = [x for x in tensors if x.dtype.is_floating]
        with _exact_moments(exact_moments), tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                for x in floats:
                    outer.watch(x)
                    inner.watch(x)
                outputs = keras.tree.flatten(self._call(tensors, training))
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

    def unclaimed(self, steps: list[Step]) -> list[str]:
        """Trainable variables that no recorded step owns."""
        claimed = {id(variable) for step in steps for variable in (step.handle or {}).values()}
        claimed_paths = {path for step in steps for path in step.shapes}
        return [v.path for v in self.model.trainable_variables if id(v) not in claimed and v.path not in claimed_paths]

    def keep_state(self) -> None:
        """Remember the running statistics as they are now; training-mode runs return to them."""
        self._saved_state = [(variable, np.asarray(variable.value)) for variable in self.model.non_trainable_variables]

    def restore_state(self) -> None:
        """Back to the running statistics last kept."""
        for variable, value in self._saved_state:
            variable.assign(value)

    def _call(self, tensors: list[Any], training: bool) -> Any:
        return self.model(tensors[0] if len(tensors) == 1 else tensors, training=training)

    def _tensor(self, x: np.ndarray) -> Any:
        return tf.constant(x, dtype=keras.config.floatx() if x.dtype.kind == "f" else None)


@contextmanager
def _exact_moments(wanted: bool) -> Iterator[None]:
    stock = tf.nn.moments

    def moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: Any = None) -> Any:
        mean = tf.reduce_mean(x, axes, keepdims=True)
        variance = tf.reduce_mean(tf.square(x - mean), axes, keepdims=keepdims)
        return (mean if keepdims else tf.squeeze(mean, axes)), variance

    tf.nn.moments = moments if wanted else stock
    try:
        yield
    finally:
        tf.nn.moments = stock


@contextmanager
def _recording(model: keras.Model, recorder: Recorder) -> Iterator[None]:
    layer_call, operation_call = keras.Layer.__call__, keras.Operation.__call__
    path: list[str] = []
    inside_leaf = [0]

    def call_layer(layer: Any, *args: Any, **kwargs: Any) -> Any:
        given = _first_tensor(args, kwargs)
        if inside_leaf[0] or given is None or tf.is_symbolic_tensor(given):
            return layer_call(layer, *args, **kwargs)
        path.append(layer.name)
        try:
            return _call_visible(layer, given, args, kwargs)
        finally:
            path.pop()

    def _call_visible(layer: Any, given: Any, args: Any, kwargs: Any) -> Any:
        root = len(path) == 1
        if isinstance(layer, SEPARABLE):
            kind = "conv"
        else:
            kind, _ = classify(layer)
        if kind is None or root and not isinstance(layer, keras.Layer):
            mark = len(recorder.trace.steps)
            got = layer_call(layer, *args, **kwargs)
            if recorder.since(mark) or root:
                return got
            return recorder.record(_opaque(layer, recorder.unique(_name(path))), given, got)
        main, after = _steps(layer, kind, path, recorder)
        inside_leaf[0] += 1
        function = vars(layer).get("activation")
        if after is not None:

            def observed(x: Any) -> Any:
                y = recorder.record(main, given, x)
                return recorder.record(after, y, function(y))

            vars(layer)["activation"] = observed
        try:
            got = layer_call(layer, *args, **kwargs)
        finally:
            inside_leaf[0] -= 1
            if after is not None:
                vars(layer)["activation"] = function
        return got if after is not None else recorder.record(main, given, got)

    def call_operation(operation: Any, *args: Any, **kwargs: Any) -> Any:
        got = operation_call(operation, *args, **kwargs)
        known = OPERATIONS.get(type(operation).__name__)
        if isinstance(operation, keras.Layer) or inside_leaf[0] or known is None:
            return got
        given = _first_tensor(args, kwargs)
        if given is None or tf.is_symbolic_tensor(given):
            return got
        name = recorder.unique(_name([*path, operation.name]))
        return recorder.record(Step(name, known[0], dict(known[1]), owner=operation.name), given, got)

    keras.Layer.__call__, keras.Operation.__call__ = call_layer, call_operation
    try:
        yield
    finally:
        keras.Layer.__call__, keras.Operation.__call__ = layer_call, operation_call


def _steps(layer: Any, kind: str, path: list[str], recorder: Recorder) -> tuple[Step, Step | None]:
    name = recorder.unique(_name(path))
    if isinstance(layer, SEPARABLE):
        main = _separable(layer, name, recorder)
    else:
        _, attributes = classify(layer)
        slots = SLOTS.get(kind, ()) if attributes.get("tracked", True) else ("gamma", "beta")
        handle = {slot: getattr(layer, slot) for slot in slots if getattr(layer, slot, None) is not None}
        shapes = {slot: tuple(variable.shape) for slot, variable in handle.items()}
        layout = "depthwise" if isinstance(layer, DEPTHWISE) else kind
        main = Step(name, kind, attributes, shapes, layout, handle=handle, owner=layer.name)
    main.float32_slope = _stock_leaky(layer)
    function = vars(layer).get("activation")
    if kind not in PARAMETRISED or function is None or function is keras.activations.linear:
        return main, None
    attributes = activation(function)
    after = Step(f"{name}:{attributes['function']}", "activation", attributes, owner=layer.name)
    after.float32_slope = attributes["function"] == "leaky_relu"
    return main, after


def _separable(layer: Any, name: str, recorder: Recorder) -> Step:
    channels = int(layer.depthwise_kernel.shape[-2])
    shared = {"rank": layer.rank, "padding": layer.padding}
    depthwise = {
        **shared,
        "features": channels * layer.depth_multiplier,
        "kernel_size": list(layer.kernel_size),
        "strides": list(layer.strides),
        "dilation": list(layer.dilation_rate),
        "groups": channels,
        "bias": False,
    }
    ones = [1] * layer.rank
    pointwise = {
        **shared,
        "features": layer.filters,
        "kernel_size": ones,
        "strides": ones,
        "dilation": ones,
        "groups": 1,
        "bias": layer.use_bias,
    }
    kernel = {"kernel": layer.depthwise_kernel}
    first = Step(f"{name}:depthwise", "conv", depthwise, {"kernel": tuple(layer.depthwise_kernel.shape)}, "depthwise")
    first.handle, first.visible, first.owner = kernel, False, layer.name
    recorder.record(first, None, None)
    handle = {"kernel": layer.pointwise_kernel} | ({"bias": layer.bias} if layer.use_bias else {})
    shapes = {slot: tuple(variable.shape) for slot, variable in handle.items()}
    return Step(name, "conv", pointwise, shapes, "conv", handle=handle, owner=layer.name)


def _opaque(layer: Any, name: str) -> Step:
    shapes = {variable.path: tuple(variable.shape) for variable in layer.variables}
    return Step(name, f"opaque:{type(layer).__name__}", plain_settings(layer), shapes, handle={}, owner=layer.name)


def _stock_leaky(layer: Any) -> bool:
    stock = (keras.layers.LeakyReLU, keras.layers.ReLU)
    return any(isinstance(layer, one) and type(layer).call is one.call for one in stock) or (
        isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.leaky_relu
    )


def _name(path: list[str]) -> str:
    return "/".join(path[1:]) or path[0]


def _first_tensor(args: Any, kwargs: Any) -> Any:
    return next((x for x in keras.tree.flatten((args, kwargs)) if tf.is_tensor(x)), None)
