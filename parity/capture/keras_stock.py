"""Whether a Keras layer computes what the stock layer that it derives from computes, decided by running both.

The counterpart of :mod:`parity.capture.torch_stock`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from parity.capture.drop_path import drop_settings

STOCK = "keras.src.layers."
DRAWN = 10**6  # elements of a variable that is drawn
BUILDING = {"__init__", "build", "compute_output_shape", "compute_output_spec", "compute_mask", "get_config"}


SPATIAL = (keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D, keras.layers.SpatialDropout3D)
DROPOUTS = (keras.layers.Dropout, *SPATIAL)


def stock_class(layer: keras.Layer) -> type:
    """The class of ``keras.layers`` that the layer is, or derives from."""
    return next(cls for cls in type(layer).__mro__ if cls.__module__.startswith(STOCK))


def may_differ(layer: keras.Layer) -> bool:
    """Whether a class below the stock one, or the instance, defines a method that the stock class has too."""
    return "call" in vars(layer) or bool(_overridden(layer))


def calls_stock_whole(layer: keras.Layer) -> bool:
    """Whether the stock ``call`` that the layer may call is the stock layer, no part of it being replaced."""
    return may_differ(layer) and _overridden(layer) <= {"call"}


def computes_stock(layer: keras.Layer, args: Any, kwargs: Any, call: Callable) -> bool:
    """Whether the layer and its stock class return the same on these arguments, in evaluation and in training.

    With the layer's own variables and with drawn ones, since a scale of zero hides whatever comes after it. ``call`` is
    Keras's own ``Layer.__call__``. Variables (also those of random generators) and losses are restored.
    """
    variables = [(variable, np.array(variable.value)) for variable in layer.variables]
    losses = list(layer._losses)

    def outcome(stock: bool, training: bool, drawn: bool = False) -> Any:
        try:
            if drawn:
                _draw([variable for variable, _ in variables])
            with _as_stock(layer) if stock else _nothing():
                return call(layer, *args, **{**kwargs, "training": training})
        except Exception:
            return None
        finally:
            for variable, value in variables:
                variable.assign(value)
            layer._losses = list(losses)

    if isinstance(layer, DROPOUTS):
        given = args[0] if args else next(iter(kwargs.values()))
        return _same(outcome(False, False), outcome(True, False)) and _drops(layer, given, outcome(False, True))
    modes = product((False, True), repeat=2)
    return all(_same(outcome(False, *mode), outcome(True, *mode)) for mode in modes)


def _draw(variables: list[Any]) -> None:
    """Values from 0.5 to 1.5 for each float variable that is not too large to be drawn in no time."""
    generator = np.random.default_rng(0)
    for variable in variables:
        if "float" in variable.dtype and int(np.prod(variable.shape)) <= DRAWN:
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))


def drops_of(layer: keras.Layer, rank: int, settings: Mapping[str, Any], call: Callable) -> dict[str, Any] | None:
    """The settings of dropout that the layer does itself, fed ``rank`` axes; None if it does something else.

    ``call`` is Keras's own ``Layer.__call__``. Variables of random generators are restored.
    """
    variables = [(variable, np.array(variable.value)) for variable in layer.variables]

    def called(x: np.ndarray, training: bool) -> np.ndarray:
        return np.asarray(call(layer, tf.constant(x, keras.config.floatx()), training=training))

    try:
        return drop_settings(called, rank, channels_first=False, settings=settings)
    finally:
        for variable, value in variables:
            variable.assign(value)


def _drops(layer: Any, given: Any, got: Any) -> bool:
    """Whether each value of ``got`` is zero or that of ``given`` divided by ``1 - rate``, and zero for a whole channel
    where channels are dropped.

    Which values are dropped is drawn, and cannot be compared. A division, or a product with a rounded quotient, differs
    by four roundings at most.
    """
    if got is None or tuple(got.shape) != tuple(given.shape):
        return False
    before, after = np.asarray(given), np.asarray(got)
    dropped, kept = (after == 0) & (before != 0), after != 0
    expected = before / (1 - layer.rate) if layer.rate < 1 else np.zeros_like(before)
    if not (np.abs(after - expected) <= 4 * np.finfo(after.dtype).eps * np.abs(expected))[~dropped].all():
        return False
    if layer.rate == 0 and dropped.any():
        return False
    axes = tuple(range(1, before.ndim - 1))
    return not isinstance(layer, SPATIAL) or not (dropped.any(axes) & kept.any(axes)).any()


@contextmanager
def stock_call(layer: keras.Layer, observed: Callable[..., Any]) -> Iterator[None]:
    """Within this context ``super().call(...)`` of this layer is ``observed(call, args, kwargs)``."""
    holder: Any = next(cls for cls in stock_class(layer).__mro__ if "call" in vars(cls))
    stock = vars(holder)["call"]

    def call(one: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        return observed(stock, args, kwargs) if one is layer else stock(one, *args, **kwargs)

    holder.call = call
    try:
        yield
    finally:
        holder.call = stock


def _overridden(layer: keras.Layer) -> set[str]:
    stock = stock_class(layer)
    bases = [base for base in stock.__mro__ if base.__module__.startswith(STOCK) and base is not keras.Layer]
    methods = {name for base in bases for name, value in vars(base).items() if callable(value)} - BUILDING
    below = type(layer).__mro__[: type(layer).__mro__.index(stock)]
    return {name for cls in below for name in vars(cls)} & methods


@contextmanager
def _as_stock(layer: keras.Layer) -> Iterator[None]:
    own, replaced = type(layer), vars(layer).get("call")
    object.__setattr__(layer, "__class__", stock_class(layer))
    vars(layer).pop("call", None)
    try:
        yield
    finally:
        object.__setattr__(layer, "__class__", own)
        if replaced is not None:
            vars(layer)["call"] = replaced


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _same(a: Any, b: Any) -> bool:
    if not tf.is_tensor(a) or not tf.is_tensor(b) or a.dtype != b.dtype:
        return False
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=a.dtype.is_floating)
