"""Inputs keep the type that the reference declares; floating ones have the precision of the run."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from keras import layers as L
from torch import nn

import parity
from parity import UnusableInput
from parity.capture.dry_run import run_reference
from parity.capture.keras_adapter import KerasAdapter
from parity.capture.torch_adapter import TorchAdapter
from tests.cases.layers import Does


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "uint8"])
def test_drawn_inputs_have_the_declared_dtype(dtype):
    given = keras.Input((6,), dtype=dtype)
    side = KerasAdapter(keras.Model(given, L.Dense(2)(keras.ops.cast(given, keras.config.floatx()))))
    (drawn,), _ = run_reference(side, None, seed=0)
    assert drawn.dtype == np.dtype(dtype)
    assert len(np.unique(drawn)) == 2


@pytest.mark.parametrize(("given", "dtype"), [([True], "bool"), ([1.0], "bool"), ([1], "int32"), ([1.0], "int32")])
def test_given_inputs_are_converted_to_the_declared_dtype(given, dtype):
    x = keras.Input((1,), dtype=dtype)
    side = KerasAdapter(keras.Model(x, keras.ops.cast(x, keras.config.floatx())))
    (converted,), _ = run_reference(side, [np.array([given])], seed=0)
    assert converted.dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "uint8", "float64"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_port_receives_what_the_reference_declares(dtype, precision):
    seen = []
    side = TorchAdapter(Does(lambda self, x: (seen.append(x.dtype), x + 0)[1]))
    with side.precision(precision):
        assert side.attempt([np.ones((2, 3), dtype)]).error is None
    assert seen[-1] == getattr(torch, precision if dtype == "float64" else dtype)


@pytest.mark.parametrize(
    ("call", "dtype"),
    [
        (lambda self, x: F.one_hot(x, 3), torch.int64),
        (lambda self, x: F.linear(x, torch.eye(3)), torch.float32),
    ],
)
def test_a_port_that_refuses_the_declared_integers_receives_long_ones_or_floats(call, dtype):
    seen = []
    side = TorchAdapter(Does(lambda self, x: (seen.append(x.dtype), call(self, x))[1]))
    with side.precision("float32"):
        assert side.attempt([np.ones((2, 3), "int32")]).error is None
        side.run([np.ones((2, 3), "int32")])
    assert seen[-1] == dtype


def masked():
    x, mask = keras.Input((6,), name="x"), keras.Input((6,), dtype="bool", name="mask")
    reference = keras.Model([x, mask], L.Dense(2)(keras.ops.where(mask, x, 0.0)))
    port = Does(lambda self, x, mask: self.head(x.masked_fill(~mask, 0.0)), head=nn.Linear(6, 2))
    return reference, port


def test_a_boolean_mask_reaches_both_sides():
    assert parity.verify(*masked()).passed


def test_a_port_without_parameters_runs_in_single_precision():
    reference = keras.Sequential([keras.Input((6,)), L.Softmax()])
    verdict = parity.verify(reference, nn.Softmax(-1))
    assert verdict.passed, verdict.to_text()


@pytest.mark.parametrize("result", [lambda y: y > 0, lambda y: y.argmax(-1), lambda y: (10 * y).to(torch.int32)])
def test_integers_and_booleans_are_recorded(result):
    side = TorchAdapter(Does(lambda self, x: result(self.a(x)), a=nn.Linear(3, 4)))
    with side.precision("float64"):
        assert side.run([np.ones((2, 3))]).result[0].dtype.kind in "bi"


def test_text_is_refused_in_one_line():
    given = keras.Input((1,), dtype="string")
    reference = keras.Model(given, L.TextVectorization(vocabulary=["a", "b"])(given))
    with pytest.raises(UnusableInput, match="string"):
        parity.verify(reference, nn.Identity())
