"""Recording a Keras model's run: its layers, the operations of a functional model, and the origin of each tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_callbacks

from parity.capture.keras_affine import OwnAffine
from parity.capture.keras_functions import as_activation, function_calls, probe, probing
from parity.capture.keras_layer_kinds import classify, plain_settings
from parity.capture.keras_operations import classify_operation
from parity.capture.keras_spectral_norm import inner_layer
from parity.capture.keras_steps import (
    KERNELS_OF,
    READS,
    SEPARABLE,
    SLOTS,
    activation_step,
    all_weights_known,
    is_closed,
    is_named,
    kernel_effect,
    kernel_step,
    layer_step,
    own_variables,
    separable_steps,
    unknown_step,
    weights_of,
)
from parity.capture.keras_stock import calls_stock_whole, computes_stock, drops_of, may_differ, stock_call
from parity.capture.recorder import Recorder
from parity.capture.steps import OWN_WEIGHTS, PLAIN, Step


@contextmanager
def recording(
    recorder: Recorder | None,
    decided: dict[str, Any] | None = None,
    skip: bool = False,
    variables: Sequence[keras.Variable] = (),
) -> Iterator[KerasObserver]:
    """Within this context every layer that runs is recorded, and dropout is disabled (without a recorder: only that).

    ``decided`` keeps, from run to run, which calls of layers that derive from stock layers compute what those compute.
    With ``skip``, convolutions and dense layers whose output is replaced do not run. ``variables`` are the model's.
    """
    layer_call, operation_call = keras.Layer.__call__, keras.Operation.__call__
    observer = KerasObserver(recorder, layer_call, operation_call, {} if decided is None else decided)
    observer.skip = skip
    observer.affine = OwnAffine(variables)
    keras.Layer.__call__ = lambda layer, *args, **kwargs: observer.layer(layer, args, kwargs)
    keras.Operation.__call__ = lambda operation, *args, **kwargs: observer.operation(operation, args, kwargs)
    try:
        if recorder is None:
            yield observer
            return
        op_callbacks.add_op_callback(observer.kernel)
        try:
            with function_calls(observer.function):
                yield observer
        finally:
            op_callbacks.remove_op_callback(observer.kernel)
    finally:
        keras.Layer.__call__, keras.Operation.__call__ = layer_call, operation_call


class KerasObserver:
    """Replaces ``keras.Layer.__call__`` and ``keras.Operation.__call__``, and observes TensorFlow's operations.

    ``failed_layer`` is the path of the innermost layer that raised an error.
    """

    def __init__(
        self,
        recorder: Recorder | None,
        layer_call: Callable,
        operation_call: Callable,
        decided: dict[str, Any],
    ):
        self.recorder, self.layer_call, self.operation_call = recorder, layer_call, operation_call
        self.decided = decided
        self.path: list[str] = []
        self._running: list[keras.Layer] = []
        self.inside_leaf = 0
        self.deciding = self.skip = False
        self._calls: dict[str, int] = {}
        self._opened: list[tuple[str, str]] = []
        self.affine = OwnAffine(())
        self.failed_layer = ""

    def layer(self, layer: Any, args: Any, kwargs: Any) -> Any:
        """A layer's call: recorded as one step, or through the steps inside it."""
        given = _tensors((args, kwargs))
        if not given or tf.is_symbolic_tensor(given[0]) or self.deciding:
            return self.layer_call(layer, *args, **kwargs)
        kind, _ = classify(layer)
        drops = self._drops(layer, given) if kind is None else None
        if (kind == "dropout" or drops is not None) and (self.recorder is None or self.inside_leaf):
            return tf.identity(given[0])
        if self.recorder is None or self.inside_leaf:
            return self.layer_call(layer, *args, **kwargs)
        self.path.append(layer.name)
        self._running.append(layer)
        try:
            if isinstance(layer, keras.layers.TimeDistributed) and type(layer.layer) is keras.layers.Dense:
                return self.layer(layer.layer, args, {})  # equivalent, and recorded as one dense layer
            if isinstance(layer, SEPARABLE):
                return self._separable(layer, given, args, kwargs)
            if drops is not None:
                name = self.recorder.unique(self._name())
                step = Step(name, "dropout", drops, owner=layer.name, named=is_named(layer))
                return self.recorder.record(step, given, tf.identity(given[0]))
            if kind is None or kind in SLOTS and not all_weights_known(layer, kind):
                return self._container(layer, given, args, kwargs)
            if may_differ(layer):
                return self._derived(layer, kind, given, args, kwargs)
            return self._leaf(layer, kind, given, args, kwargs)
        except Exception:
            self.failed_layer = self.failed_layer or self._name()
            raise
        finally:
            self.path.pop()
            self._running.pop()

    def _drops(self, layer: Any, given: list[Any]) -> dict[str, Any] | None:
        """The settings of dropout that a layer without weights or layers inside does itself; else None."""
        single = len(given) == 1 and given[0].dtype.is_floating and layer._call_has_training_arg
        if not single or layer.weights or layer._flatten_layers(include_self=False):
            return None
        key = f"{'/'.join([*self.path, layer.name])}: drops"
        if key not in self.decided:
            self.deciding = True
            try:
                with self._closed():
                    settings = plain_settings(layer)
                    self.decided[key] = drops_of(layer, len(given[0].shape), settings, self.layer_call)
            finally:
                self.deciding = False
        return self.decided[key]

    def operation(self, operation: Any, args: Any, kwargs: Any) -> Any:
        """The call of an operation of a functional model."""
        given = _tensors((args, kwargs))
        if isinstance(operation, keras.Layer) or self.recorder is None or self.inside_leaf or not given:
            return self.operation_call(operation, *args, **kwargs)
        known, attributes = classify_operation(operation, given[0].shape)
        if (
            known is None
            or tf.is_symbolic_tensor(given[0])
            or known == "merge"
            and not self.recorder.origins.joins(given)
        ):
            return self.operation_call(operation, *args, **kwargs)
        with self._closed():
            got = self.operation_call(operation, *args, **kwargs)
        name = self.recorder.unique(self._name(operation.name))
        return self.recorder.record(Step(name, known, attributes, owner=operation.name, named=False), given, got)

    def function(self, word: str, attributes: dict[str, Any], function: Callable, args: Any, kwargs: Any) -> Any:
        """The call of an activation function by name."""
        given = _tensors(args[:1])
        recorded = given and not self.inside_leaf and not self.deciding and not probing()
        if not recorded or self.recorder is None or not self.recorder.origins.of(given[0]):
            return function(*args, **kwargs)
        with self._closed():
            got = function(*args, **kwargs)
        name = self.recorder.unique(self._derived_name("activation") or self._name(word))
        step = Step(name, "activation", attributes, owner=word, named=False)
        return self.recorder.record(step, given, got)

    def kernel(
        self, kind: Any, inputs: Any, attributes: Any, outputs: Any, op_name: Any = None, graph: Any = None
    ) -> Any:
        """Called by TensorFlow for every operation: propagates the origins of tensors and records bare functions."""
        if graph is not None or not outputs or probing():
            return None
        assert self.recorder is not None
        if self.inside_leaf:
            self.recorder.origins.propagate(inputs, outputs)
            return None
        known = kernel_step(kind, inputs, attributes, outputs)
        if known is None or known.kind == "merge" and not self.recorder.origins.joins(inputs):
            effect = kernel_effect(kind)
            if effect == READS:
                self.recorder.weights.set(outputs[0], ("weight",))
            self.affine.follow(effect, inputs, outputs)
            affine = self._own_affine(kind, inputs, outputs[0])
            if affine is not None:
                return [affine]
            self.recorder.pass_on(list(inputs), list(outputs), effect)
            return None
        known.name = self.recorder.unique(self._derived_name(known.kind) or self._name(known.owner))
        given = inputs if known.kind == "merge" else inputs[:1]
        with self._closed():
            return [self.recorder.record(known, [x for x in given if self.recorder.origins.of(x)], outputs[0])]

    def _own_affine(self, kind: Any, inputs: Any, got: Any) -> Any:
        """The result of an operation that applies a variable of the running layer, recorded; None of any other.

        An offset behind a factor of the same layer is one step with it.
        """
        assert self.recorder is not None
        fed = [bool(self.recorder.origins.of(x)) for x in inputs]
        if self._opened or not self._running or sum(fed) != 1 or len(fed) != 2:
            return None
        layer = self._running[-1]
        weight, x = inputs if fed[1] else inputs[::-1]
        found = self.affine.applied(kind, weight, x, list(own_variables(layer).values()))
        if found is None:
            return None
        slot, variable = found
        leaf = not layer._flatten_layers(include_self=False)
        if not leaf and math.prod(variable.shape) == 1:
            return None
        before, latest = self.recorder.latest
        with self._closed():
            if before is not None and x is latest and slot == "offset" and before.lacks_offset(layer.name):
                before.shapes[slot], before.handle[slot] = tuple(variable.shape), variable
                return self.recorder.complete(before, got)
            name = self.recorder.unique(self._name() if leaf else self._name(variable.name))
            step = Step(name, "affine", {}, {slot: tuple(variable.shape)}, "affine", handle={slot: variable})
            step.owner, step.named = layer.name, is_named(layer)
            return self.recorder.record(step, [x], got)

    def _derived(self, layer: Any, kind: str, given: list[Any], args: Any, kwargs: Any) -> Any:
        """A subclass of a stock layer: a layer of that kind if it computes the same, else what runs inside it."""
        name = self._name()
        count = self._calls[name] = self._calls.get(name, 0) + 1
        number = f"{name}#{count}"
        before: list[tuple[Any, np.ndarray]] = []
        if number not in self.decided:
            before = [(variable, np.array(variable.value)) for variable in layer.variables]
            self.deciding = True
            try:
                with self._closed():
                    self.decided[number] = computes_stock(layer, args, kwargs, self.layer_call)
            finally:
                self.deciding = False
        if self.decided[number]:
            return self._leaf(layer, kind, given, args, kwargs)

        def stock(call: Callable, args: Any, kwargs: Any) -> Any:
            if self.inside_leaf or not calls_stock_whole(layer):
                return call(layer, *args, **kwargs)
            return self._leaf(layer, kind, _tensors((args, kwargs)), args, kwargs, call)

        assert self.recorder is not None
        mark, unrecorded = len(self.recorder.trace.steps), self.recorder.unrecorded
        self._opened.append((name, kind))
        try:
            with stock_call(layer, stock):
                got = self.layer_call(layer, *args, **kwargs)
        finally:
            self._opened.pop()
        if kind not in SLOTS or any(
            step.parametrised and step.owner == layer.name for step in self.recorder.since(mark)
        ):
            explained = self._explained(layer, given, got, mark, unrecorded)
            return self._contained(layer, given, got, mark, explained, opened=True)
        self.recorder.drop_since(mark)  # it computes its weights, or something, from those it holds
        for variable, value in before:
            variable.assign(value)
        self.decided[number] = bool(before)
        return self._leaf(layer, kind, given, args, kwargs)

    def _leaf(
        self, layer: Any, kind: str, given: list[Any], args: Any, kwargs: Any, call: Callable | None = None
    ) -> Any:
        """Record a layer of known kind; ``call`` is what runs, by default the layer's whole call."""
        assert self.recorder is not None
        call = call or self.layer_call
        main = layer_step(layer, kind, self.recorder.unique(self._name()))
        after = activation_step(layer, main, vars(inner_layer(layer)).get("activation"))
        if kind == "dropout":
            return self.recorder.record(main, given, tf.identity(given[0]))
        if self.skip and call is self.layer_call and self._replaced(layer, main):
            zeros = self.recorder.not_computed(main.name, given[0])
            if tuple(zeros.shape) == tuple(layer.compute_output_shape(tuple(given[0].shape))):
                return self._not_computed(layer, main, after, given, zeros)
        if after is None:
            with self._closed():
                got = call(layer, *args, **kwargs)
            return self.recorder.record(main, given, got)
        with self._closed(), self._activation_recorded(inner_layer(layer), main, after, given):
            return call(layer, *args, **kwargs)

    def _replaced(self, layer: Any, main: Step) -> bool:
        """Whether a convolution or dense layer as Keras has it is replaced by the value that the recorder holds."""
        assert self.recorder is not None
        heavy = main.kind in KERNELS_OF and not may_differ(layer) and inner_layer(layer) is layer
        return heavy and main.name in self.recorder.replace

    def _not_computed(self, layer: Any, main: Step, after: Step | None, given: list[Any], zeros: Any) -> Any:
        assert self.recorder is not None
        got = self.recorder.record(main, given, zeros)
        if after is None:
            return got
        with self._closed():
            return self.recorder.record(after, [got], vars(layer)["activation"](got))

    def _separable(self, layer: Any, given: list[Any], args: Any, kwargs: Any) -> Any:
        """Record two steps by replacing TensorFlow's separable convolution with its two halves during the call."""
        assert self.recorder is not None
        recorder, stock = self.recorder, tf.nn.separable_conv2d
        first, second = separable_steps(layer, recorder.unique(self._name()))
        between: list[Any] = []

        def in_halves(x: Any, depthwise: Any, pointwise: Any, strides: Any, padding: Any, **settings: Any) -> Any:
            y = tf.nn.depthwise_conv2d(x, depthwise, strides, padding, **settings)
            if layer.rank == 1:  # Keras runs it as an image of one row
                y = tf.expand_dims(recorder.record(first, given, tf.squeeze(y, 1)), 1)
            else:
                y = recorder.record(first, given, y)
            between.append(tf.squeeze(y, 1) if layer.rank == 1 else y)
            return tf.nn.conv2d(y, pointwise, 1, "VALID")

        if max(layer.strides) > 1 and max(layer.dilation_rate) > 1:  # Keras does not call it then
            first.visible = False
            recorder.record(first, given, None)
        after = activation_step(layer, second, vars(layer).get("activation"))
        tf.nn.separable_conv2d = in_halves
        try:
            with self._closed():
                if after is None:
                    got = self.layer_call(layer, *args, **kwargs)
                    return recorder.record(second, between, got)
                with self._activation_recorded(layer, second, after, between):
                    return self.layer_call(layer, *args, **kwargs)
        finally:
            tf.nn.separable_conv2d = stock

    def _container(self, layer: Any, given: list[Any], args: Any, kwargs: Any) -> Any:
        assert self.recorder is not None
        mark, unrecorded = len(self.recorder.trace.steps), self.recorder.unrecorded
        name = self._name()
        count = self._calls[name] = self._calls.get(name, 0) + 1
        got = self.layer_call(layer, *args, **kwargs)
        known = self._described(f"{name}#{count}", layer, given, got, mark, unrecorded)
        if isinstance(known, bool):
            return self._contained(layer, given, got, mark, known)
        self.recorder.drop_since(mark)
        step = Step(self.recorder.unique(name), *known, owner=layer.name, named=is_named(layer))
        return self.recorder.record(step, given, got)

    def _described(
        self, call: str, layer: Any, given: list[Any], got: Any, mark: int, unrecorded: int
    ) -> bool | tuple[str, dict[str, Any]]:
        """How a layer without weights is described: by the steps inside it (or not), or as an elementwise function.

        Decided at its first call and kept: other kernels run in the other precision.
        """
        if weights_of(layer):
            return False
        if call not in self.decided:
            explained = self._explained(layer, given, got, mark, unrecorded)
            known = None if explained or len(self.path) == 1 else self._computed(layer, given, got)
            self.decided[call] = explained if known is None else known
        return self.decided[call]

    def _explained(self, layer: Any, given: list[Any], got: Any, mark: int, unrecorded: int) -> bool:
        """Whether the steps since ``mark`` are all that a layer without weights computes, no arithmetic between."""
        assert self.recorder is not None
        explained = self.recorder.explained_by_functions(mark, given, got, plain_settings(layer))
        return explained and self.recorder.unrecorded == unrecorded

    def _computed(self, layer: Any, given: list[Any], got: Any) -> tuple[str, dict[str, Any]] | None:
        """``(kind, attributes)`` of a layer that is an elementwise function in both modes; None if it is none."""
        if len(given) != 1 or not tf.is_tensor(got) or got.shape != given[0].shape or not got.dtype.is_floating:
            return None
        self.deciding = True
        try:
            with self._closed():
                settings = [
                    probe(lambda x, mode=mode: self.layer_call(layer, x, training=mode)) for mode in (False, True)
                ]
        finally:
            self.deciding = False
        return as_activation(settings[0]) if settings[0] == settings[1] else None

    def _contained(
        self, layer: Any, given: list[Any], got: Any, mark: int, explained: bool, opened: bool = False
    ) -> Any:
        """The result of a layer that is described by the steps since ``mark``, or else recorded as a whole.

        ``explained``: these are all that it computes.
        """
        assert self.recorder is not None
        inner, root = self.recorder.since(mark), len(self.path) == 1
        claimed = {id(variable) for step in inner for variable in (step.handle or {}).values()}
        own = {slot: variable for slot, variable in own_variables(layer).items() if id(variable) not in claimed}
        weighted = [step.kind for step in inner if step.parametrised]
        if weighted and not is_closed(layer, inner) and not (own and set(weighted) == {"affine"}):
            if own and tf.is_tensor(got):
                shapes = {slot: tuple(variable.shape) for slot, variable in own.items()}
                name = self.recorder.unique(self._name())
                step = Step(name, OWN_WEIGHTS, {}, shapes, handle=own, owner=layer.name, named=is_named(layer))
                step.inside = self.recorder.drop_after_last_weights(mark)
                return self.recorder.record(step, given, got)
            return got
        nested = bool(layer._flatten_layers(include_self=False))
        if not weights_of(layer) and (root or (nested or opened) and inner or explained):
            whole = len(inner) == 1 and inner[0].matchable and self.recorder.origins.of(got) == (inner[0].name,)
            if whole and not root and inner[0].name.startswith(f"{self._name()}/"):
                self.recorder.rename_last(self._name(), got)
            return got
        self.recorder.drop_since(mark)
        step = unknown_step(layer, self.recorder.unique(self._name()))
        if tf.is_tensor(got):
            return self.recorder.record(step, given, got)
        self.recorder.record_closed(step, given, _tensors(got))
        return got

    @contextmanager
    def _activation_recorded(self, layer: Any, main: Step, after: Step, given: list[Any]) -> Iterator[None]:
        recorder, function = self.recorder, vars(layer)["activation"]
        assert recorder is not None

        def recorded(x: Any) -> Any:
            y = recorder.record(main, given, x)
            return recorder.record(after, [y], function(y))

        vars(layer)["activation"] = recorded
        try:
            yield
        finally:
            vars(layer)["activation"] = function

    @contextmanager
    def _closed(self) -> Iterator[None]:
        self.inside_leaf += 1
        try:
            yield
        finally:
            self.inside_leaf -= 1

    def _derived_name(self, kind: str) -> str:
        """The layer that runs now, if it derives from a stock layer of this kind: the function is that layer."""
        name, own = self._opened[-1] if self._opened else ("", "")
        return name if own == kind and name == self._name() else ""

    def _name(self, *more: str) -> str:
        path = [*self.path, *more]
        return "/".join(path[1:]) or path[0]


def _tensors(tree: Any) -> list[Any]:
    return [x for x in keras.tree.flatten(tree) if type(x) not in PLAIN and tf.is_tensor(x)]
