"""TensorFlow's kernels in a float64 run: every operation passes here, so that none rounds to float32 unnoticed.

TensorFlow computes some operations in float32 whatever it is given (resizing), constants are float32 unless they say
otherwise, and code casts to float32 by name. In a float64 run casts to float32 become casts to float64, float32
operands are widened, and :data:`parity.capture.keras_substitutes.KERNELS` compute what has no float64 kernel. In a
float32 run nothing is replaced.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.eager import core, execute
from tensorflow.python.framework import op_callbacks, tensor_conversion_registry

from parity.capture.keras_substitutes import KERNELS, replaced

Array = np.ndarray
WIDER = {tf.float32: tf.float64, tf.complex64: tf.complex128}
NARROWER = {wide: narrow for narrow, wide in WIDER.items()}


# `tf.ones` and `tf.zeros` insist on the type that they asked for.
BY_NAME = {"Fill"}
READS = {"ReadVariableOp", "ResourceGather"}  # whose result is a weight's value, and no constant


class DoublePrecision:
    """Within :meth:`active` TensorFlow's operations compute in float64.

    Within :meth:`collecting`, ``constants`` receives every floating operand that was computed neither from the inputs
    nor from a weight: a window that is made of numbers alone counts as one.
    """

    def __init__(self) -> None:
        self.constants: list[Array] | None = None
        self._computed: dict[int, weakref.ref] = {}
        self._stock: Callable = pywrap_tfe.TFE_Py_FastPathExecute

    @contextmanager
    def active(self) -> Iterator[None]:
        """Replace the functions through which TensorFlow's Python interface runs every operation."""
        self._stock = pywrap_tfe.TFE_Py_FastPathExecute
        with (
            replaced(pywrap_tfe, TFE_Py_FastPathExecute=lambda stock, *arguments: self.execute(*arguments)),
            replaced(execute, args_to_matching_eager=self._matching),
            replaced(tensor_conversion_registry, convert=_converted_tensor),
        ):
            yield

    @contextmanager
    def collecting(self, inputs: list[Any]) -> Iterator[list[Array]]:
        """Within this context (and :meth:`active`) the constants of what runs are collected; ``inputs`` are none."""
        found: list[Array] = []
        self.constants = found
        self._mark(inputs)
        try:
            with replaced(execute, execute=self._run_slowly):
                yield found
        finally:
            self.constants = None
            self._computed.clear()

    def execute(self, context: Any, operation: str, name: Any, *arguments: Any) -> Any:
        """Run one operation: its operands, then its attributes as alternating names and values."""
        return self._collected(operation, arguments, lambda: self._execute(context, operation, name, *arguments))

    def _run_slowly(
        self, stock: Callable, operation: bytes | str, outputs: int, inputs: Any, *settings: Any, **named: Any
    ) -> Any:
        """Run an operation that TensorFlow's fast path refuses, such as a mean over a tuple of axes."""
        word = operation.decode() if isinstance(operation, bytes) else operation
        return self._collected(word, inputs, lambda: stock(operation, outputs, inputs, *settings, **named))

    def _collected(self, operation: str, operands: Any, run: Callable[[], Any]) -> Any:
        """Run an operation; while constants are collected, note those among its operands and what follows from it."""
        if self.constants is None:
            return run()
        flat = tf.nest.flatten(operands)
        constants = [x for x in map(self._constant, flat) if x is not None]
        got = run()
        self.constants += constants
        if operation in READS or any(map(self._is_computed, flat)):
            self._mark(tf.nest.flatten(got))
        return got

    def _mark(self, computed: list[Any]) -> None:
        self._computed |= {id(x): weakref.ref(x) for x in computed if isinstance(x, tf.Tensor)}

    def _is_computed(self, x: Any) -> bool:
        known = self._computed.get(id(x)) if isinstance(x, tf.Tensor) else None
        return known is not None and known() is x

    def _constant(self, x: Any) -> Array | None:
        """The operand's values, if it is floating and nothing that was computed."""
        if isinstance(x, (float, np.floating, np.ndarray)):
            array = np.asarray(x)
        elif isinstance(x, tf.Tensor) and x.dtype.is_floating:
            if self._is_computed(x):
                return None
            array = x.numpy()
        else:
            return None
        return array if array.dtype.kind == "f" else None

    def _execute(self, context: Any, operation: str, name: Any, *arguments: Any) -> Any:
        if operation in KERNELS and _dtype(arguments[0]) == tf.float64:
            return self._as_one_operation(context, operation, arguments)
        if operation == "Cast":
            return self._cast(context, name, *arguments)
        if operation == "Bitcast" and tf.as_dtype(arguments[2]).size == 4:  # code that cast to float32 for its bits
            arguments = (self._exchanged(context, arguments[0], NARROWER), *arguments[1:])
            return self._stock(context, operation, name, *arguments)
        narrowed: tuple | None = ()
        widened = None if operation in BY_NAME else self._converted(context, arguments, WIDER)
        for given in (widened, arguments):
            try:
                if given is not None:
                    return self._checked(context, operation, arguments, self._stock(context, operation, name, *given))
            except core._NotOkStatusException:
                if given is arguments and (narrowed := self._converted(context, arguments, NARROWER)) is None:
                    raise
        assert narrowed is not None
        return self._detour(context, operation, name, *narrowed)

    def _checked(self, context: Any, operation: str, arguments: tuple, got: Any) -> Any:
        """The results; those in float32 of an operation on float64 are a detour."""
        rounded = [x for x in tf.nest.flatten(got) if _dtype(x) in WIDER]
        if not rounded or not any(_dtype(x) in NARROWER for x in tf.nest.flatten(arguments)):
            return got
        return tf.nest.map_structure(lambda x: self._exchanged(context, x, WIDER), got)

    def _matching(self, stock: Callable, operands: Any, context: Any, *more: Any, **settings: Any) -> Any:
        """The slow path, for operands that are no tensors: those of a list that must have one type."""
        if any(_dtype(x) in NARROWER for x in operands):
            operands = [self._exchanged(context, x, WIDER) for x in operands]
        return stock(operands, context, *more, **settings)

    def _detour(self, context: Any, operation: str, name: Any, *narrowed: Any) -> Any:
        """What the operation computes in float32, widened."""
        got = self._stock(context, operation, name, *narrowed)
        return tf.nest.map_structure(lambda x: self._exchanged(context, x, WIDER), got)

    def _as_one_operation(self, context: Any, operation: str, arguments: tuple) -> Any:
        """What a substitute computes, if it agrees with the stock kernel.

        Callbacks see the operation itself, not what the substitute is made of.
        """
        count = next((place for place, x in enumerate(arguments) if isinstance(x, str)), len(arguments))
        operands, attributes = tuple(tf.convert_to_tensor(x) for x in arguments[:count]), arguments[count:]
        observed, inside = op_callbacks.should_invoke_op_callbacks(), context.invoking_op_callbacks
        context.invoking_op_callbacks = True
        try:
            narrowed = self._converted(context, (*operands, *attributes), NARROWER)
            assert narrowed is not None
            got = KERNELS[operation](
                lambda: self._stock(context, operation, None, *narrowed), *operands, **_settings(attributes)
            )
            if got is None:
                got = self._detour(context, operation, None, *narrowed)
        finally:
            context.invoking_op_callbacks = inside
        replaced = op_callbacks.invoke_op_callbacks(operation, operands, attributes, (got,)) if observed else None
        return got if replaced is None else replaced[0]

    def _cast(self, context: Any, name: Any, x: Any, *attributes: Any) -> Any:
        settings = _settings(attributes)
        target = tf.as_dtype(settings["DstT"])
        wide = WIDER.get(target, target)
        if _dtype(x) == wide != target:
            return x
        return self._stock(context, "Cast", name, x, *_flat(settings | {"DstT": wide}))

    def _converted(self, context: Any, arguments: tuple, exchanged: dict) -> tuple | None:
        """The arguments with operands of these types converted, also those in lists; None if there is none."""
        if not any(_dtype(x) in exchanged for x in tf.nest.flatten(arguments)):
            return None
        return tuple(
            [self._exchanged(context, part, exchanged) for part in x] if isinstance(x, (list, tuple))
            else self._exchanged(context, x, exchanged)
            for x in arguments
        )  # fmt: skip

    def _exchanged(self, context: Any, x: Any, exchanged: dict) -> Any:
        target = exchanged.get(_dtype(x))
        return x if target is None else self._stock(context, "Cast", None, x, "DstT", target, "Truncate", False)


def _converted_tensor(stock: Callable, value: Any, dtype: Any = None, *more: Any, **settings: Any) -> Any:
    """A float64 tensor stays one where its conversion to float32 is asked for, which would raise."""
    asked = None if dtype is None else tf.as_dtype(dtype)
    return value if asked in WIDER and _dtype(value) == WIDER[asked] else stock(value, dtype, *more, **settings)


def _dtype(x: Any) -> Any:
    return x.dtype if isinstance(x, tf.Tensor) else None


def _settings(attributes: tuple) -> dict[str, Any]:
    return dict(zip(attributes[::2], attributes[1::2], strict=True))


def _flat(settings: dict[str, Any]) -> list[Any]:
    return [part for pair in settings.items() for part in pair]
