"""Activation functions on the Keras side: what a callable computes, and calls of ``keras.ops`` and ``tf.nn``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from parity.capture.elementwise import identify
from parity.capture.keras_layer_kinds import activation
from parity.capture.steps import is_unknown

# Functions that are a step when ``call`` uses them by name, with the argument that sets them and its default in
# keras.ops and in tf.nn. Those of one TensorFlow operation (relu, selu, leaky_relu) are seen as that.
SET_BY: dict[str, tuple[str, str, Any, Any]] = {
    "gelu": ("approximate", "approximate", True, False),
    "elu": ("slope", "alpha", 1.0, 1.0),
    "celu": ("slope", "alpha", 1.0, 1.0),
}
PLAIN_FUNCTIONS = (
    *("relu6", "tanh", "sigmoid", "silu", "softplus", "softsign", "softmax", "log_softmax"),
    *("hard_sigmoid", "hard_silu", "hard_tanh", "log_sigmoid", "tanh_shrink"),
)
ALIASES = {"swish": "silu"}
_probing = False


def probing() -> bool:
    """Whether a callable is being tried, so that nothing is to be recorded."""
    return _probing


def activation_of(function: Any) -> tuple[str, dict[str, Any]]:
    """``(kind, attributes)`` of an activation function: by its name where that is proof, else by what it computes."""
    kind, attributes = activation(function)
    if not is_unknown(kind) or isinstance(function, keras.Layer) or not callable(function):
        return kind, attributes
    return as_activation(probe(function)) or (kind, attributes)


def as_activation(settings: dict[str, Any] | None) -> tuple[str, dict[str, Any]] | None:
    """``(kind, attributes)`` of an identified function."""
    if settings is None:
        return None
    return ("identity", {}) if settings == {"function": "identity"} else ("activation", dict(settings))


def probe(call: Callable) -> dict[str, Any] | None:
    """The settings of the elementwise function that ``call`` computes on tensors in the precision of the run."""
    global _probing
    before, _probing = _probing, True
    try:
        return identify(lambda x: call(tf.constant(x, keras.config.floatx())))
    finally:
        _probing = before


@contextmanager
def function_calls(observed: Callable[..., Any]) -> Iterator[None]:
    """Within this context calls of activation functions are ``observed(name, attributes, function, args, kwargs)``."""
    undo = []
    for place, module in enumerate((keras.src.backend.nn, tf.nn)):
        for name in (*SET_BY, *PLAIN_FUNCTIONS, *ALIASES):
            if hasattr(module, name):
                stock = getattr(module, name)
                undo.append((module, name, stock))
                setattr(module, name, _observed(name, place, stock, observed))
    try:
        yield
    finally:
        for module, name, stock in undo:
            setattr(module, name, stock)


def _observed(name: str, place: int, stock: Callable, observed: Callable[..., Any]) -> Callable:
    def call(*args: Any, **kwargs: Any) -> Any:
        word = ALIASES.get(name, name)
        attributes: dict[str, Any] = {"function": word}
        if name in SET_BY:
            setting, argument, *defaults = SET_BY[name]
            value = args[1] if len(args) > 1 else kwargs.get(argument, defaults[place])
            attributes[setting] = value if isinstance(value, bool) else float(value)
        return observed(word, attributes, stock, args, kwargs)

    return call
