"""Dry runs: on which inputs, and in which precisions."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras import layers as L
from torch import nn

from parity import UnusableInput, verify
from parity.capture.dry_run import run_reference
from parity.capture.keras_adapter import KerasAdapter

WORDS = 7


def drawn(model: keras.Model, samples: int = 2) -> np.ndarray:
    (x,), _ = run_reference(KerasAdapter(model), None, 0, samples)
    return x


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_embedding_indices_are_drawn_from_the_whole_vocabulary(dtype: str) -> None:
    given = keras.Input((200,), dtype=dtype)
    inner = keras.Sequential([L.Embedding(WORDS, 3)])
    assert set(np.unique(drawn(keras.Model(given, inner(given))))) == set(range(WORDS))


def test_other_integers_are_0_or_1_and_floats_are_normal() -> None:
    given = keras.Input((200,), dtype="int32")
    assert set(np.unique(drawn(keras.Model(given, L.Rescaling(2.0)(given))))) == {0, 1}
    x = drawn(keras.Sequential([keras.Input((200,)), L.Dense(2)]))
    assert x.dtype == np.float64 and 0.8 < x.std() < 1.2


def test_a_reference_with_a_sparse_output_is_rejected_with_the_reason() -> None:
    given = keras.Input((1,), dtype="int64")
    model = keras.Model(given, L.CategoryEncoding(4, output_mode="multi_hot", sparse=True)(given))
    with pytest.raises(UnusableInput, match="the reference does not run on inputs drawn for .*SparseTensor"):
        drawn(model)


class InDouble(nn.Module):
    """Computes in the precision of a constant that is not the module's."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x + torch.zeros(1, 3, dtype=torch.float64))


@pytest.mark.parametrize("brief", [False, True])
def test_a_port_that_runs_only_in_float64_fails(brief: bool) -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    verdict = verify(model, InDouble(), rungs=["forward"], brief=brief)
    assert not verdict.passed and "dtype" in str(verdict)


class MaskedLater(nn.Module):
    """Makes its mask when it first runs, and keeps it as a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not hasattr(self, "mask"):
            self.register_buffer("mask", torch.ones(x.shape[1:]))
        return self.linear(x * self.mask)


@pytest.mark.parametrize("brief", [False, True])
def test_a_port_that_registers_buffers_while_running_passes(brief: bool) -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    assert verify(model, MaskedLater(), brief=brief).passed


def test_a_reference_that_runs_in_only_one_precision_is_rejected() -> None:
    given = keras.Input((3,))
    for dtype, brief in (("float32", True), ("float32", False), ("float64", True), ("float64", False)):
        model = keras.Model(given, OnlyIn(dtype)(L.Dense(2)(given)))
        with pytest.raises(UnusableInput, match="does not run"):
            verify(model, nn.Linear(3, 2), rungs=["forward"], brief=brief)


class OnlyIn(L.Layer):
    """Refuses any precision but one."""

    def __init__(self, only: str) -> None:
        super().__init__()
        self.only = only

    def call(self, x: tf.Tensor) -> tf.Tensor:
        if tf.is_symbolic_tensor(x) or x.dtype == self.only:
            return keras.ops.tanh(x)
        raise TypeError(f"dtype {x.dtype}, not {self.only}")
