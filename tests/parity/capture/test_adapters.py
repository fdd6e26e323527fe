"""Both adapters implement one protocol: every method of it, on a pair with the same weights."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import torch
from keras import layers as L
from torch import nn

from parity.capture.adapter import ModelAdapter
from parity.capture.keras_adapter import KerasAdapter
from parity.capture.torch_adapter import TorchAdapter
from tests.cases.layers import Does

SLOPE = 0.25
X = np.random.default_rng(0).standard_normal((4, 3))


def keras_model() -> keras.Model:
    given = keras.Input((3,), name="x")
    h = L.BatchNormalization(epsilon=1e-3, name="bn")(L.Dense(3, name="dense")(given))
    return keras.Model(given, L.LeakyReLU(SLOPE, name="act")(h))


def torch_model() -> nn.Module:
    return Does(
        lambda self, x: self.act(self.bn(self.dense(x))),
        dense=nn.Linear(3, 3),
        bn=nn.BatchNorm1d(3, eps=1e-3, momentum=0.01),
        act=nn.LeakyReLU(SLOPE),
    )


def keras_difference() -> keras.Model:
    one, other = keras.Input((3,), name="one"), keras.Input((3,), name="other")
    return keras.Model([one, other], L.Subtract()([one, other]))


class TorchDifference(nn.Module):
    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return one - other


class KerasBroken(keras.Model):
    """Stops in its second layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = L.Dense(3), L.Dense(3), L.Dense(2)

    def call(self, x: object) -> object:
        return self.third(self.second(keras.ops.reshape(self.first(x), (-1, 1, 1, 3, 1))[..., :0]))


def sides() -> list[ModelAdapter]:
    """The pair, its kernel, statistics and bias equal."""
    keras.utils.set_random_seed(0)
    reference, port = KerasAdapter(keras_model()), TorchAdapter(torch_model())
    for adapter in (reference, port):
        with adapter.precision("float64"):
            for step in adapter.run([X]).steps:
                for slot, shape in step.shapes.items():
                    value = 1.5 + np.arange(np.prod(shape)).reshape(shape) / 7
                    value = value.T if slot == "kernel" and adapter.channels_first else value
                    adapter.write(step, slot, np.ascontiguousarray(value))
            adapter.keep_state()
    return [reference, port]


both = pytest.mark.parametrize("side", [0, 1], ids=["keras", "torch"])


def step_of(adapter: ModelAdapter, kind: str):
    return next(step for step in adapter.run([X]).steps if step.kind == kind)


def assert_equal(compute: Callable[[ModelAdapter], np.ndarray]) -> None:
    """Both sides compute the same in float64: a few hundred roundings of 2^-53 at most."""
    found = []
    for adapter in sides():
        with adapter.precision("float64"):
            found.append(compute(adapter))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("training", [False, True])
def test_runs_agree(training: bool) -> None:
    assert_equal(lambda adapter: adapter.run([X], training=training).result[0])


@pytest.mark.parametrize("penalty", [False, True])
def test_gradients_agree(penalty: bool) -> None:
    def compute(adapter: ModelAdapter) -> np.ndarray:
        step = step_of(adapter, "dense")
        cotangent = np.random.default_rng(1).standard_normal((4, 3))
        by_slot, by_input = adapter.gradients([X], [cotangent], [step], penalty=penalty, exact_moments=True)
        kernel = by_slot[step.name, "kernel"]
        assert by_input[0] is not None and by_input[0].shape == X.shape
        return kernel.T if adapter.channels_first else kernel

    assert_equal(compute)


@both
def test_weights_and_kept_statistics_are_copied_from_another_precision(side: int) -> None:
    adapter = sides()[side]
    with adapter.precision("float32"):
        step = step_of(adapter, "batchnorm")
        assert not adapter.read(step, "moving_mean").any()
        adapter.copy_weights_from("float64")
        for slot, shape in step.shapes.items():
            value = (1.5 + np.arange(np.prod(shape)).reshape(shape) / 7).astype("float32")
            np.testing.assert_array_equal(adapter.read(step, slot), value)


@both
def test_a_second_input_can_be_passed_by_name(side: int) -> None:
    adapter: ModelAdapter = [KerasAdapter(keras_difference()), TorchAdapter(TorchDifference())][side]
    assert adapter.input_names() == ["one", "other"]
    for names, sign in ((["one", "other"], 1), (["other", "one"], -1), (["unknown", "names"], 1)):
        adapter.pass_inputs_by_name(names)
        with adapter.precision("float64"):
            np.testing.assert_array_equal(adapter.run([X, 2 * X]).result[0], -sign * X)


@both
def test_what_a_model_declares(side: int) -> None:
    adapter = sides()[side]
    assert adapter.input_names() == ["x"] if side == 0 else adapter.input_names() == ["args"]
    assert adapter.input_specs() == ([((None, 3), "float32")] if side == 0 else None)
    assert not adapter.has_embedding()
    assert TorchAdapter(nn.Embedding(3, 2)).has_embedding()
    assert KerasAdapter(keras.Sequential([keras.Input((1,)), L.Embedding(3, 2)])).has_embedding()


@both
def test_nonfinite_and_unrecorded_variables_are_named(side: int) -> None:
    adapter = sides()[side]
    with adapter.precision("float64"):
        steps = adapter.run([X]).steps
        assert adapter.unrecorded_parameters(steps) == []
        without_dense = [step for step in steps if step.kind != "dense"]
        assert len(adapter.unrecorded_parameters(without_dense)) == 2
        assert adapter.nonfinite_variables() == []
        adapter.write(step_of(adapter, "dense"), "bias", np.array([0.0, np.nan, 0.0]))
        (name,) = adapter.nonfinite_variables()
        assert "dense" in name and name.endswith("bias")


def test_a_failed_run_names_its_module_and_lists_the_layers_that_did_not_run() -> None:
    reference = KerasBroken()
    for layer in (reference.first, reference.second, reference.third):
        layer.build((None, 3))
    reference.built = True
    port = nn.Sequential(nn.Linear(3, 3), nn.Linear(4, 3), nn.Linear(3, 2))
    for adapter, failed in ((KerasAdapter(reference), reference.second.name), (TorchAdapter(port), "1")):
        with adapter.precision("float64"):
            attempt = adapter.attempt([X])
        assert attempt.error is not None and attempt.message
        assert attempt.failed_module == failed
        shapes = [bool(step.output_shape) for step in attempt.trace.steps if step.kind == "dense"]
        assert shapes == [True, False, False]


def test_an_attempt_that_succeeds_has_no_error() -> None:
    for adapter in sides():
        with adapter.precision("float64"):
            attempt = adapter.attempt([X])
        assert attempt.error is None and attempt.message == attempt.failed_module == ""
        assert [step.kind for step in attempt.trace.steps] == ["dense", "batchnorm", "activation"]
