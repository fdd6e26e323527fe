"""Containers around modules, nested inputs and outputs, and what cannot be compared: a line, never a traceback."""

from __future__ import annotations

import dataclasses
import warnings
from collections import OrderedDict, namedtuple

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from keras import layers as L
from torch import nn

import parity
from parity import UnusableInput, copy_to_torch
from parity.capture.torch_adapter import TorchAdapter
from tests.cases.layers import Does, chain

X = torch.zeros(2, 3, 8, 6)


class Net(nn.Module):
    def __init__(self, function=F.relu):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 2)
        self.function = function

    def forward(self, x):
        return self.head(F.relu(self.conv(x)).mean((2, 3)))


class Wrong(Net):
    def forward(self, x):
        return self.head(F.elu(self.conv(x)).mean((2, 3)))


def reference() -> keras.Model:
    return chain((8, 6, 3), L.Conv2D(4, 3, activation="relu", name="conv"), L.GlobalAveragePooling2D(), L.Dense(2))


CONTAINERS = {
    "compiled": torch.compile,
    "compiled inside": lambda net: nn.Sequential(torch.compile(net)),
    "compiled in place": lambda net: (net.compile(), net)[1],
    "parallel": nn.DataParallel,
    "scripted": torch.jit.script,
    "traced": lambda net: torch.jit.trace(net.eval(), X),
    "scripted inside": lambda net: nn.Sequential(torch.jit.script(net)),
    "exported": lambda net: torch.export.export(net.eval(), (X,)),
    "exported module": lambda net: torch.export.export(net.eval(), (X,)).module(),
    "symbolic": torch.fx.symbolic_trace,
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_module_in_a_container_is_judged_layer_by_layer(name):
    verdict = parity.verify(reference(), CONTAINERS[name](Net()))
    assert verdict.passed, verdict.to_text()
    assert verdict.coverage.judged == verdict.coverage.total == 4
    finding = parity.verify(reference(), CONTAINERS[name](Wrong())).findings[0]
    assert (finding.kind, finding.reference_layer) == ("activation-kind", "conv:relu")


@pytest.mark.parametrize("name", ["compiled", "parallel", "scripted", "traced", "scripted inside"])
def test_weights_are_copied_into_a_container(name):
    keras_model, port = reference(), CONTAINERS[name](Net())
    x = np.random.default_rng(0).standard_normal((2, 8, 6, 3)).astype("float32")
    copy_to_torch(keras_model, port)
    if name == "compiled":
        port = port._orig_mod
    got = port(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).detach().numpy()
    assert np.abs(got - np.asarray(keras_model(x))).max() < 64 * 2.0**-24 * np.abs(got).max()


def test_a_script_with_branches_loops_and_buffers_is_run_as_it_is():
    class Looping(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4)
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x, times: int = 3):
            for count in range(times):
                x = x + count if count > 0 else self.norm(x)
            if self.training:
                self.seen += 1
            return {"y": x, "z": F.leaky_relu(x[:, :2], 0.3)}

    net = Looping()
    x = torch.randn(5, 4)
    for training in (True, False):
        side = TorchAdapter(torch.jit.script(net))
        with side.precision("float64"):
            found = side.run([x.numpy().astype(float)], training=training)
        expected = net.double().train(training)(x.double())
        assert all(
            np.allclose(a, b.detach().numpy(), rtol=1e-14) for a, b in zip(found.result, expected.values(), strict=True)
        )
        assert [step.kind for step in found.steps] == ["batchnorm", "identity", "crop", "activation"]
        net.float()


# Inputs and outputs


@dataclasses.dataclass
class Fields:
    q: torch.Tensor
    p: torch.Tensor
    more: object = None


Named = namedtuple("Named", "p q more")
BY_PLACE = {
    "list": lambda p, q: [p, q],
    "nested": lambda p, q: (p, (q, None)),
    "namedtuple": lambda p, q: Named(p, q, None),
    "dict": lambda p, q: {"b": p, "a": q},
}
BY_KEY = {
    "dict": lambda p, q: {"q": q, "p": p, "more": None},
    "ordered": lambda p, q: OrderedDict(q=q, p=p),
    "dataclass": lambda p, q: Fields(q, p),
    "namedtuple": lambda p, q: Named(p, q, None),
}


def branches(join):
    given = keras.Input((6,))
    return keras.Model(given, join(L.Dense(3, name="p")(given), L.Dense(3, name="q")(given)))


def port_of(join):
    return Does(lambda self, x: join(self.p(x), self.q(x)), p=nn.Linear(6, 3), q=nn.Linear(6, 3))


@pytest.mark.parametrize("name", BY_PLACE)
def test_outputs_without_common_keys_are_matched_by_place(name):
    assert parity.verify(branches(lambda p, q: [p, q]), port_of(BY_PLACE[name])).passed
    assert not parity.verify(branches(lambda p, q: [q, p]), port_of(BY_PLACE[name])).passed


@pytest.mark.parametrize("name", BY_KEY)
def test_outputs_with_the_same_keys_are_matched_by_key(name):
    keyed = branches(lambda p, q: {"q": q, "p": p})
    assert parity.verify(keyed, port_of(BY_KEY[name])).passed
    assert not parity.verify(keyed, port_of(lambda p, q: BY_KEY[name](q, p))).passed


def test_inputs_may_be_taken_as_a_dictionary_or_a_list():
    def two():
        a, b = keras.Input((6,), name="b"), keras.Input((6,), name="a")
        return keras.Model({"b": a, "a": b}, L.Subtract()([L.Dense(3, name="p")(a), L.Dense(3, name="q")(b)]))

    layers = {"p": nn.Linear(6, 3), "q": nn.Linear(6, 3)}
    assert parity.verify(two(), Does(lambda self, x: self.p(x["b"]) - self.q(x["a"]), **layers)).passed
    assert not parity.verify(two(), Does(lambda self, x: self.p(x["a"]) - self.q(x["b"]), **layers)).passed


# What cannot be compared


class NeedsMask(nn.Module):
    def forward(self, x, mask):
        return x * mask


class Noisy(Net):
    def forward(self, x):
        return super().forward(x + torch.rand_like(x))


class Quantised(Net):
    def __init__(self):
        super().__init__()
        self.head = torch.ao.nn.quantized.dynamic.Linear(4, 2)


def sparse():
    given = keras.Input((6,), sparse=True)
    return keras.Model(given, L.Dense(2)(given))


UNUSABLE = {
    "further arguments": (reference, NeedsMask, "needs 2 inputs"),
    "random": (reference, Noisy, "rand_like"),
    "quantised": (reference, Quantised, "quantised"),
    "half": (reference, lambda: Net().half(), "float16"),
    "frozen script": (reference, lambda: torch.jit.freeze(torch.jit.script(Net().eval())), "frozen"),
    "sparse": (sparse, lambda: nn.Linear(6, 2), "sparse"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_cannot_be_compared_is_refused_in_one_line(name, capfd):
    build, port, word = UNUSABLE[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair = build(), port()
    capfd.readouterr()
    with pytest.raises(UnusableInput, match=word) as raised:
        parity.verify(*pair)
    assert "\n" not in str(raised.value)
    assert "Warning" not in capfd.readouterr().err


class InPlace(Net):
    def forward(self, x):
        x += 1
        return self.head(F.relu(self.conv(x), inplace=True).mean((2, 3)))


class Branching(Net):
    def forward(self, x):
        h = self.conv(x)
        return self.head((F.relu(h) if h.sum() > h.sum() - 1 else h).mean((2, 3)))


class Warning_(Net):
    def forward(self, x):
        warnings.warn("odd", stacklevel=1)
        return super().forward(x)


def shifted():
    return chain((8, 6, 3), L.Rescaling(1.0, offset=1.0), *reference().layers)


@pytest.mark.parametrize(
    ("build", "port"), [(shifted, InPlace), (reference, Branching), (reference, Warning_)], ids=lambda x: x.__name__
)
def test_unusual_code_is_judged_without_a_word(build, port, capfd):
    pair = build(), port()
    capfd.readouterr()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert parity.verify(*pair).passed
    assert not caught
    assert "Warning" not in capfd.readouterr().err


def test_a_half_precision_policy_is_compared_in_full_precision():
    model = keras.Sequential([keras.Input((6,)), L.Dense(4, dtype="float16"), L.Dense(2, dtype="float16")])
    assert parity.verify(model, nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2))).passed


@pytest.mark.parametrize(("settings", "word"), [({"mapping": [1, 2]}, "mapping"), ({"inputs": 3}, "inputs")])
def test_arguments_of_another_type_are_refused(settings, word):
    with pytest.raises(UnusableInput, match=word):
        parity.verify(reference(), Net(), **settings)
