"""Identity layers, constant arithmetic, resizing to a size, and activations by what they compute."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from keras import layers as L
from torch import nn

import parity
from parity.capture.elementwise import identify
from parity.capture.keras_adapter import KerasAdapter
from parity.capture.torch_adapter import TorchAdapter
from parity.numerics.reference_ops import activations
from tests.cases.layers import Does, chain

GELU = {"function": "gelu", "approximate": False}
TANH_GELU = {"function": "gelu", "approximate": True}


def traced(side, shape, dtype="float64"):
    x = np.random.default_rng(0).standard_normal(shape)
    with side.precision(dtype):
        return side.run([x]).steps


def keras_steps(shape, *stack, dtype="float64"):
    return traced(KerasAdapter(chain(shape, *stack)), (2, *shape), dtype)


def torch_steps(shape, *stack, dtype="float64"):
    return traced(TorchAdapter(nn.Sequential(*stack)), (2, *shape), dtype)


def gelu_by_hand(x):
    return x * 0.5 * (1 + keras.ops.erf(x / np.sqrt(2.0)))


CALLABLES = {
    "keras.activations": ("gelu", GELU),
    "keras.ops, approximate by default": (keras.ops.gelu, TANH_GELU),
    "lambda": (lambda x: keras.activations.gelu(x, approximate=True), TANH_GELU),
    "partial": (functools.partial(keras.activations.gelu, approximate=True), TANH_GELU),
    "by hand": (gelu_by_hand, GELU),
    "quick": (lambda x: x * keras.ops.sigmoid(1.702 * x), {"function": "quick_gelu"}),
    "slope": (
        functools.partial(keras.activations.leaky_relu, negative_slope=0.15),
        {"function": "leaky_relu", "slope": 0.15},
    ),
    "hard": (lambda x: x * keras.ops.relu6(x + 3) / 6, {"function": "hard_silu"}),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CALLABLES)
def test_an_activation_is_what_its_callable_computes(name, dtype):
    function, expected = CALLABLES[name]
    in_dense = keras_steps((6,), L.Dense(4, activation=function, name="d"), dtype=dtype)
    assert [step.kind for step in in_dense] == ["dense", "activation"]
    assert in_dense[1].attributes == expected
    as_layer = keras_steps((6,), L.Dense(4), L.Activation(function, name="a"), dtype=dtype)
    assert [step.kind for step in as_layer] == ["dense", "activation"]
    assert as_layer[1].attributes == expected
    if callable(function):
        in_lambda = keras_steps((6,), L.Dense(4), L.Lambda(lambda x: function(x)), dtype=dtype)
        assert [(step.kind, step.attributes) for step in in_lambda[1:]] == [("activation", expected)]


class QuickGelu(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class HardSigmoid(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU6()

    def forward(self, x):
        return self.relu(x + 3) / 6


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * torch.relu(x)


@pytest.mark.parametrize(
    ("module", "function"), [(QuickGelu(), "quick_gelu"), (HardSigmoid(), "hard_sigmoid"), (nn.Mish(), "mish")]
)
def test_a_module_of_functions_is_the_activation_that_it_computes(module, function):
    steps = torch_steps((6,), nn.Linear(6, 4), module)
    assert [(step.name, step.kind, step.attributes) for step in steps[1:]] == [
        ("1", "activation", {"function": function})
    ]


def test_a_function_that_is_not_known_keeps_what_runs_in_it():
    assert [step.name for step in torch_steps((6,), Doubled())] == ["0.relu"]


@pytest.mark.parametrize("name", [n for n in activations.FUNCTIONS if n not in ("softmax", "log_softmax")])
def test_every_known_function_is_told_from_the_others(name):
    found = identify(lambda x: activations.FUNCTIONS[name](x).astype("float32"))
    word = {"gelu_tanh": "gelu"}.get(name, name.split("(")[0] if "leaky" in name else name)
    assert found is not None and found["function"] == word


def test_softmax_is_no_elementwise_function():
    assert identify(activations.softmax) is None
    assert identify(lambda x: x[:, :3]) is None


IDENTITIES = {
    "rescaling": keras_steps((6, 5, 3), L.Rescaling(1.0, name="i")),
    "resizing": keras_steps((6, 5, 3), L.Resizing(6, 5, name="i")),
    "linear": keras_steps((6, 5, 3), L.Activation("linear", name="i")),
    "dropout": keras_steps((6, 5, 3), L.Dropout(0.0, name="i")),
    "adaptive": torch_steps((3, 6, 5), nn.AdaptiveAvgPool2d((6, 5))),
    "adaptive None": torch_steps((3, 6, 5), nn.AdaptiveMaxPool2d((None, 5))),
    "upsample": torch_steps((3, 6, 5), nn.Upsample((6, 5), mode="bicubic")),
    "torch dropout": torch_steps((3, 6, 5), nn.Dropout(0.0)),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_a_layer_that_changes_nothing_is_an_identity(name):
    assert [step.kind for step in IDENTITIES[name]] == ["identity"]


@pytest.mark.parametrize(
    ("layer", "mode"),
    [
        (L.Resizing(12, 10), "bilinear"),
        (L.Resizing(12, 10, interpolation="bicubic"), "bicubic (a=-0.5)"),
        (L.Resizing(12, 10, interpolation="bicubic", antialias=True), "bicubic (a=-0.5)"),
        (L.Resizing(12, 10, interpolation="nearest"), "nearest"),
    ],
)
def test_resizing_is_an_upsampling_by_a_factor(layer, mode):
    (step,) = keras_steps((6, 5, 3), layer)
    assert (step.kind, step.attributes["mode"], step.attributes["factor"]) == ("upsample", mode, [2, 2])
    (step,) = keras_steps((6, 5, 3), L.Resizing(3, 10, antialias=True))
    assert step.attributes["mode"] == "bilinear (antialias=True)"
    (step,) = torch_steps((3, 6, 5), nn.Upsample((9, 5)))
    assert (step.kind, step.attributes["factor"]) == ("upsample", [1.5, 1])


def test_adapted_constants_do_not_cross():
    norm = L.Normalization(name="n")
    norm.adapt(np.random.default_rng(0).standard_normal((50, 6, 5, 3)))
    step = keras_steps((6, 5, 3), norm)[0]
    assert not step.parametrised


class Arithmetic(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(x / 127.5 - 1)


PAIRS = {
    "rescaling": lambda: (chain((8, 6, 3), L.Rescaling(1 / 127.5, offset=-1), L.Conv2D(4, 3)), Arithmetic()),
    "resizing": lambda: (
        chain((8, 6, 3), L.Resizing(16, 12), L.Conv2D(4, 3)),
        nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(3, 4, 3)),
    ),
    "rms layer": lambda: (
        chain((5, 6), L.Dense(4), L.RMSNormalization(epsilon=1e-6)),
        nn.Sequential(nn.Linear(6, 4), nn.RMSNorm(4, eps=1e-6)),
    ),
    "unit norm": lambda: (
        chain((8, 6, 3), L.Conv2D(4, 3), L.UnitNormalization()),
        Does(lambda self, x: F.normalize(self.c(x), dim=1, eps=1e-6), c=nn.Conv2d(3, 4, 3)),
    ),
    "same pooling": lambda: (
        chain((8, 6, 3), L.Conv2D(4, 3), L.ReLU()),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d((6, 4)), nn.ReLU()),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_a_faithful_pair_of_simple_layers_passes(name):
    reference, port = PAIRS[name]()
    verdict = parity.verify(reference, port)
    assert verdict.passed, verdict.to_text()
    assert verdict.coverage.judged == verdict.coverage.total
