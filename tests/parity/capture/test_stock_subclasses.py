"""A module counts as a kind only if it computes what that kind computes; otherwise what runs inside it is recorded."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from keras import layers as L
from torch import nn

import parity
from parity.capture.keras_adapter import KerasAdapter
from parity.capture.torch_adapter import TorchAdapter
from tests.cases.layers import Does, chain


class ActivatedNorm(nn.BatchNorm2d):
    """Written with functions, as in widely used libraries."""

    def __init__(self, channels):
        super().__init__(channels, eps=1e-3, momentum=0.01)
        self.act = nn.SiLU()

    def forward(self, x):
        y = F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        )
        return self.act(y)


class ReluNorm(nn.BatchNorm2d):
    def forward(self, x):
        return F.relu(super().forward(x))


class SameConv(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(F.pad(x, (0, 1, 0, 1)), self.weight, self.bias, self.stride)


class ConvForward(nn.Conv2d):
    """Overrides the method that the stock forward calls."""

    def _conv_forward(self, x, weight, bias):
        return F.relu(super()._conv_forward(x, weight, bias))


class ChannelNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Renamed(nn.Conv2d):
    def forward(self, x):
        return super().forward(x)


class Standardised(nn.Conv2d):
    """Computes its kernel from the one that it holds."""

    def forward(self, x):
        return F.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias, self.stride)


class AlwaysDropping(nn.Dropout):
    def forward(self, x):
        return F.dropout(x, self.p, True)


class TrainingOnly(nn.ReLU):
    def forward(self, x):
        return F.gelu(F.relu(x)) if self.training else F.relu(x)


class Counting(nn.Linear):
    """Changes attributes, a buffer and the random state."""

    def __init__(self):
        super().__init__(3, 3)
        self.calls = 0
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        self.seen += torch.rand(())
        return F.relu(super().forward(x))


def hooked() -> nn.Module:
    conv = nn.Conv2d(4, 4, 1)
    conv.register_forward_hook(lambda module, args, got: F.relu(got))
    return conv


def replaced() -> nn.Module:
    conv = nn.Conv2d(4, 4, 1)
    conv.forward = MethodType(lambda self, x: F.relu(nn.Conv2d.forward(self, x)), conv)
    return conv


X = torch.randn(2, 4, 6, 5)
# name -> (module, what is recorded of it as a child named `it`)
TORCH: dict[str, tuple[Callable[[], nn.Module], list[tuple[str, str]]]] = {
    "functions": (lambda: ActivatedNorm(4), [("it", "batchnorm"), ("it.act", "activation")]),
    "super().forward": (lambda: ReluNorm(4), [("it", "batchnorm"), ("it.relu", "activation")]),
    "padding": (lambda: SameConv(4, 3, 2, 2), [("it.pad", "padding"), ("it", "conv")]),
    "inner method": (lambda: ConvForward(4, 3, 2), [("it", "conv"), ("it.relu", "activation")]),
    "permuted": (lambda: ChannelNorm(4), [("it.permute", "permute"), ("it", "layernorm"), ("it.permute#2", "permute")]),
    "same": (lambda: Renamed(4, 4, 2), [("it", "conv")]),
    "computed kernel": (lambda: Standardised(4, 4, 2), [("it", "conv")]),
    "hook": (hooked, [("it", "conv"), ("relu", "activation")]),
    "replaced forward": (replaced, [("it", "conv"), ("it.relu", "activation")]),
    "always dropping": (lambda: AlwaysDropping(0.5), [("it", "dropout")]),
    "in training": (lambda: TrainingOnly(), [("it", "activation")]),
}  # fmt: skip


def torch_steps(port: nn.Module, x: torch.Tensor, **settings) -> list[tuple[str, str]]:
    side = TorchAdapter(port)
    with side.precision("float64"):
        return [(step.name, step.kind) for step in side.run([x.numpy().astype(float)], **settings).steps]


@pytest.mark.parametrize("name", TORCH)
def test_a_torch_subclass_is_seen_as_what_it_computes(name):
    build, expected = TORCH[name]
    assert torch_steps(Does(lambda self, x: self.it(x), it=build()), X) == expected


def test_what_a_torch_subclass_does_in_training_only_is_recorded_there():
    port = Does(lambda self, x: self.it(x), it=TrainingOnly())
    assert torch_steps(port, X, training=True) == [("it", "activation"), ("it#2", "activation")]


def test_deciding_changes_no_state_of_a_torch_module():
    port = Does(lambda self, x: self.it(x), it=Counting())
    side = TorchAdapter(port)
    with side.precision("float64"):
        state = torch.get_rng_state()
        side.run([np.ones((2, 3))])
        torch.set_rng_state(state)
        expected = torch.rand((), dtype=torch.float64)
        assert side.model.it.calls == 1
        assert side.model.it.seen == expected


def test_stock_classes_are_left_as_they_were():
    before = nn.BatchNorm2d.forward, nn.modules.batchnorm._BatchNorm.forward, nn.Conv2d.forward, L.Dense.call
    torch_steps(Does(lambda self, x: self.it(x), it=ReluNorm(4)), X)
    keras_steps(chain((6,), KerasRelu(3)), (2, 6))
    assert before == (
        nn.BatchNorm2d.forward,
        nn.modules.batchnorm._BatchNorm.forward,
        nn.Conv2d.forward,
        L.Dense.call,
    )


class KerasRelu(L.Dense):
    def call(self, x, training=None):
        return keras.ops.relu(super().call(x))


class KerasDoubled(L.Conv2D):
    def call(self, x):
        return keras.ops.concatenate([super().call(x), super().call(x)], -1)


class KerasNorm(L.BatchNormalization):
    def call(self, x, training=None, mask=None):
        return keras.ops.relu(super().call(x, training=training, mask=mask))


class KerasRenamed(L.Dense):
    def call(self, inputs, training=None):
        return super().call(inputs, training=training)


class KerasStandardised(L.Conv2D):
    def call(self, x):
        return keras.ops.conv(x, self.kernel - keras.ops.mean(self.kernel, (0, 1, 2)), padding="valid") + self.bias


class KerasTrainingOnly(L.ReLU):
    def call(self, x, training=None):
        return keras.ops.relu(x) if not training else keras.ops.selu(x)


KERAS = {
    "super().call": (lambda: KerasRelu(3, name="it"), (2, 6), [("it", "dense"), ("it/relu", "activation")]),
    "its own activation": (
        lambda: KerasRelu(3, activation="tanh", name="it"),
        (2, 6),
        [("it", "dense"), ("it:tanh", "activation"), ("it/relu", "activation")],
    ),
    "twice": (
        lambda: KerasDoubled(3, 2, name="it"),
        (2, 6, 5, 4),
        [("it", "conv"), ("it#2", "conv"), ("it/concatv2", "merge")],
    ),
    "norm": (lambda: KerasNorm(name="it"), (2, 6, 5, 4), [("it", "batchnorm"), ("it/relu", "activation")]),
    "same": (lambda: KerasRenamed(3, name="it"), (2, 6), [("it", "dense")]),
    "computed kernel": (lambda: KerasStandardised(3, 2, name="it"), (2, 6, 5, 4), [("it", "conv")]),
    "in training": (lambda: KerasTrainingOnly(name="it"), (2, 6), [("it", "activation")]),
}


def keras_steps(reference: keras.Model, shape: tuple[int, ...]) -> list[tuple[str, str]]:
    side = KerasAdapter(reference)
    x = np.random.default_rng(0).standard_normal(shape)
    with side.precision("float64"):
        return [(step.name, step.kind) for step in side.run([x]).steps]


@pytest.mark.parametrize("name", KERAS)
def test_a_keras_subclass_is_seen_as_what_it_computes(name):
    build, shape, expected = KERAS[name]
    assert keras_steps(chain(shape[1:], build()), shape) == expected


def test_deciding_changes_no_state_of_a_keras_layer():
    class Noisy(L.Dense):
        def __init__(self):
            super().__init__(3)
            self.generator = keras.random.SeedGenerator(1)

        def build(self, shape):
            super().build(shape)
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False, name="seen")

        def call(self, x):
            self.seen.assign_add(1.0)
            return super().call(x) + 0.0 * keras.random.normal((3,), seed=self.generator)

    layer = Noisy()
    side = KerasAdapter(chain((6,), layer))
    with side.precision("float64"):
        before = np.asarray(layer.generator.state.value)
        side.run([np.ones((2, 6))])
        assert float(layer.seen.value) == 1.0
        assert not np.array_equal(before, np.asarray(layer.generator.state.value))
        once = np.asarray(layer.generator.state.value)
        layer.generator.state.assign(before)
        keras.random.normal((3,), seed=layer.generator)
        assert np.array_equal(once, np.asarray(layer.generator.state.value))


# Verdicts


def reference() -> keras.Model:
    return chain(
        (8, 6, 3),
        L.Conv2D(4, 3, strides=2, padding="same", name="conv"),
        L.BatchNormalization(name="norm"),
        L.Activation("silu", name="act"),
        L.GlobalAveragePooling2D(),
        L.Dense(2, name="head"),
    )


def port(norm: nn.Module) -> nn.Module:
    return Does(
        lambda self, x: self.head(self.norm(self.conv(x)).mean((2, 3))),
        conv=SameConv(3, 4, 3, 2),
        norm=norm,
        head=nn.Linear(4, 2),
    )


def test_a_faithful_port_of_subclasses_is_judged_completely():
    verdict = parity.verify(reference(), port(ActivatedNorm(4)))
    assert verdict.passed, verdict.to_text()
    assert verdict.coverage.judged == verdict.coverage.total == 5


def test_a_fault_inside_a_subclass_is_named_there():
    norm = ActivatedNorm(4)
    norm.act = nn.Hardswish()
    found = parity.verify(reference(), port(norm)).findings[0]
    assert (found.kind, found.layer) == ("activation-kind", "norm.act")
    norm = ActivatedNorm(4)
    norm.eps = 1e-5
    found = parity.verify(reference(), port(norm)).findings[0]
    assert (found.kind, found.layer) == ("batchnorm-epsilon", "norm")


class _OwnDropout(keras.layers.SpatialDropout2D):
    """Draws otherwise than the stock layer what it drops: whole channels, or ``single`` values; scaled, or not."""

    def __init__(self, rate, single=False, scaled=True):
        super().__init__(rate)
        self.single, self.scaled = single, scaled

    def call(self, inputs, training=False):
        if not training:
            return inputs
        n, h, w, c = inputs.shape
        numbers = np.random.default_rng(0).random((n, h, w, c) if self.single else (n, 1, 1, c))
        return inputs * keras.ops.cast(numbers >= self.rate, inputs.dtype) / (1 - self.rate if self.scaled else 1)


@pytest.mark.parametrize(
    ("options", "same"), [({}, True), ({"single": True}, False), ({"scaled": False}, False)], ids=str
)
def test_dropout_that_draws_by_itself_is_dropout(options, same):
    from parity.capture.keras_stock import computes_stock

    layer = _OwnDropout(0.4, **options)
    x = np.random.default_rng(1).normal(size=(4, 5, 6, 8)).astype("float32")
    assert computes_stock(layer, (keras.ops.convert_to_tensor(x),), {}, keras.Layer.__call__) is same


def test_a_scale_of_zero_hides_nothing_that_comes_after_it():
    """timm begins the last norm of a residual branch with zeros, and activates inside it."""
    from parity.capture import keras_stock, torch_stock

    def zeroed(norm):
        nn.init.zeros_(norm.weight)
        return norm

    x = np.random.default_rng(0).normal(size=(4, 6, 6, 3))
    given = torch.tensor(x.transpose(0, 3, 1, 2), dtype=torch.float32)
    for norm, same in ((ActivatedNorm(3), False), (ReluNorm(3), False), (nn.BatchNorm2d(3), True)):
        assert torch_stock.computes_stock(zeroed(norm), (given,), {}, lambda hook: False) is same
        assert not norm.weight.any() and not norm.running_mean.any()
    for norm, same in (
        (KerasNorm(gamma_initializer="zeros"), False),
        (L.BatchNormalization(gamma_initializer="zeros"), True),
    ):
        norm.build(x.shape)
        assert keras_stock.computes_stock(norm, (x.astype("float32"),), {}, keras.Layer.__call__) is same
        assert not np.any(norm.gamma) and not np.any(norm.moving_mean)


def test_a_pair_whose_norms_begin_with_zeros_is_faithful():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1, bias=False), ReluNorm(3, eps=1e-3, momentum=0.01)
            nn.init.zeros_(self.norm.weight)

        def forward(self, x):
            return self.norm(self.conv(x)) + x

    x = inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(3, 3, padding="same", use_bias=False, name="conv")(x)
    x = L.ReLU(name="relu")(L.BatchNormalization(name="norm", gamma_initializer="zeros")(x))
    verdict = parity.verify(keras.Model(inputs, L.Add(name="add")([x, inputs])), Block())
    assert verdict.passed, verdict.to_text()
