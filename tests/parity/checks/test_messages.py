"""What the rungs say: shapes in one layout, causes of a stop, numbers of outputs, notes."""

from __future__ import annotations

import keras
import pytest
import torch
from torch import nn
from torch.nn import functional

import parity
from parity.checks.messages import describe_shapes

L = keras.layers


def reference(*layers: keras.Layer, shape: tuple[int, ...] = (8, 8, 3)) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *layers])


def conv(**settings: object) -> keras.Layer:
    return L.Conv2D(4, 3, name="c", **settings)


class Port(nn.Module):
    """A convolution and what ``call`` makes of it."""

    def __init__(self, call, channels=3, **settings):
        super().__init__()
        self.c = nn.Conv2d(channels, 4, 3, **settings)
        self.pad = nn.ZeroPad2d(1)
        self.call = call

    def forward(self, x):
        return self.call(self, x)


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        ((2, 4, 6, 6), (2, 5, 5, 4), "got (2, 4, 6, 6), expected (2, 4, 5, 5) as [N, C, H, W]"),
        ((2, 6, 6, 4), (2, 5, 5, 4), "got (2, 6, 6, 4), expected (2, 5, 5, 4) as [N, H, W, C]"),
        ((2, 4, 6, 6), (2, 4, 4, 8), "got (2, 4, 6, 6), expected (2, 8, 4, 4) as [N, C, H, W]"),
        ((2, 9, 4), (2, 7, 4), "got (2, 9, 4), expected (2, 7, 4) as [N, L, C]"),
        ((2, 9), (2, 7), "got (2, 9), expected (2, 7)"),
        (None, (2, 7), "got no output, expected (2, 7)"),
    ],
)
def test_both_shapes_of_a_sentence_stand_in_one_layout(got: tuple | None, expected: tuple, words: str) -> None:
    assert describe_shapes(got, expected) == words


@pytest.mark.parametrize(
    ("layers", "port", "words", "fix"),
    [
        ([conv()], nn.Conv2d(4, 4, 3), "it takes 4 channels, expected 3", "build conv2d with in_channels=3"),
        (
            [conv(), L.ReLU(), L.Conv2D(4, 3, name="d")],
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(5, 4, 3)),
            "it takes 5 channels, expected 4",
            "build 2 with in_channels=4",
        ),
        (
            [L.Flatten(), L.Dense(4)],
            nn.Sequential(nn.Flatten(), nn.Linear(100, 4)),
            "it takes 100 features, expected 192",
            "build 1 with in_features=192",
        ),
        (
            [L.DepthwiseConv2D(3, name="c")],
            nn.Conv2d(6, 6, 3, groups=6),
            "it takes 6 channels, expected 3",
            "in_channels=3, out_channels=3",
        ),
    ],
)
def test_a_layer_built_for_other_inputs_is_named(layers: list, port: nn.Module, words: str, fix: str) -> None:
    (found,) = [one for one in parity.verify(reference(*layers), port).findings if one.kind == "channels"]
    assert words in found.message and fix in found.fix


def test_a_momentum_is_said_in_the_terms_of_both_frameworks() -> None:
    port = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=1e-3, momentum=0.99))
    verdict = parity.verify(reference(conv(), L.BatchNormalization(name="bn")), port, rungs="structure")
    (found,) = [one for one in verdict.findings if one.kind == "batchnorm-momentum"]
    assert found.message.endswith("momentum is 0.01, expected 0.99 (Keras's; in torch 0.99, expected 0.01)")
    assert found.fix.startswith("set momentum=0.01")


def test_a_stop_before_the_first_layer_is_not_said_to_be_after_one() -> None:
    verdict = parity.verify(reference(conv()), Port(lambda port, x: port.c(x.reshape(7))))
    text = verdict.to_text()
    assert "the port stops before its first layer" in text and "rows above" not in text


@pytest.mark.parametrize("only_training", [False, True])
def test_another_number_of_outputs_is_a_finding(only_training: bool) -> None:
    def call(port, x):
        y = port.c(x)
        return (y, y) if port.training or not only_training else y

    verdict = parity.verify(reference(conv()), Port(call))
    (found,) = [one for one in verdict.findings if one.kind == "output-count"]
    assert "returns 2 outputs, the reference 1" in found.message
    assert verdict.faithful_for == ("inference" if only_training else "")


def test_a_shape_alone_has_a_finding() -> None:
    port = Port(lambda port, x: port.c(x), padding=1)
    verdict = parity.verify(reference(conv()), port, rungs="shapes")
    assert [(one.kind, one.layer) for one in verdict.findings] == [("output-shape", "c")]
    verdict = parity.verify(reference(conv()), port)
    assert [one.kind for one in verdict.findings] == ["padding-alignment"]


@pytest.mark.parametrize("layer", [True, False])
def test_a_recipe_for_padding_says_what_to_drop(layer: bool) -> None:
    def call(port, x):
        return port.c(port.pad(x) if layer else functional.pad(x, (1, 1, 1, 1)))

    (found,) = parity.verify(reference(conv(padding="same", strides=2)), Port(call, stride=2)).findings
    assert found.kind == "padding-alignment" and "drop pad, which pads before it" in found.fix


def test_what_a_reader_should_know_is_told() -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")

    class Swapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.d = nn.Linear(4, 3)

        def forward(self, b, a):
            return self.d(a - 2 * b)

    verdict = parity.verify(keras.Model([a, b], L.Dense(3)(a - 2 * b)), Swapped())
    assert verdict.passed and "inputs are matched by name" in verdict.rungs["structure"].message
    assert any("in the order b, a, the reference in the order a, b" in note for note in verdict.notes)

    flat = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    verdict = parity.verify(reference(conv(), L.Flatten(), L.Dense(2)), flat)
    assert verdict.notes == ["2: reads the image as (c, h, w); weights reordered to match"]


def test_layers_of_one_name_count_on_each_side() -> None:
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return torch.cumsum(x * self.w, 1)

    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.odd = Own()

        def forward(self, x):
            return self.odd(x)

    class Odd(keras.layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(3, 3), name="kernel")

        def call(self, x):
            return keras.ops.sin(x @ self.kernel)

    coverage = parity.verify(reference(Odd(name="odd"), shape=(3,)), Holder()).coverage
    assert coverage.judged + len(coverage.abstained) == coverage.total
    assert not coverage.judged or "odd" not in " ".join(coverage.abstained)
