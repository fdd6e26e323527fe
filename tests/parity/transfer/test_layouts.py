"""Layouts and feature orders: there and back, and found by probing."""

from __future__ import annotations

import numpy as np
import pytest

from parity.capture.drawn_inputs import adversarial, draw, full_shape, perturb_constant
from parity.capture.steps import Step, Trace
from parity.match.alignment import Match, Matching
from parity.numerics.layouts import Layout, describe_order, reordered, to_port_shape
from parity.numerics.weight_axes import WeightTransform
from parity.transfer.layout_search import find_layouts
from parity.transfer.layouts import Layouts

SHAPE = (2, 4, 3, 2)
FIRST = np.moveaxis(np.arange(24).reshape(4, 3, 2), -1, 0).reshape(-1)
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "layout",
    [
        Layout(),
        Layout(channels_first=True),
        Layout(channels_first=True, mirrored=True),
        reordered(RNG.permutation(24), SHAPE, (2, 24)),
        reordered(FIRST, SHAPE, (2, 2, 4, 3)),
    ],
)
def test_there_and_back(layout):
    x = RNG.standard_normal(SHAPE)
    there = layout.to_port(x)
    assert layout.fits(x.shape, there.shape)
    assert np.array_equal(layout.to_reference(there), x)


def test_the_channels_first_order_is_that_of_the_axes():
    x = RNG.standard_normal(SHAPE)
    assert np.array_equal(reordered(FIRST, SHAPE, (2, 2, 4, 3)).to_port(x), Layout(channels_first=True).to_port(x))
    assert to_port_shape((5, 4, 3, 2), True) == (5, 2, 4, 3) and to_port_shape((5, 4), True) == (5, 4)
    assert not Layout(channels_first=True).fits((2, 4, 3, 2), (2, 4, 3, 2))


@pytest.mark.parametrize(
    ("way", "name"), [((2, 0, 1), "(c, h, w)"), ((0, 1, 2), "(h, w, c)"), ((2, 1, 0), "(c, w, h)")]
)
def test_usual_orders_have_names(way, name):
    assert describe_order(np.arange(24).reshape(4, 3, 2).transpose(way).reshape(-1), (4, 3, 2)) == name


def test_an_unusual_order_has_none():
    assert describe_order(RNG.permutation(24), (4, 3, 2)) == "an order of its own"


@pytest.mark.parametrize(
    ("layout", "slot", "shape"),
    [
        ("conv", "kernel", (3, 5, 2, 4)),
        ("conv-transpose", "kernel", (5, 2, 4)),
        ("depthwise", "kernel", (3, 5, 2, 4)),
        ("dense", "kernel", (24, 4)),
        ("prelu", "alpha", (1, 1, 4)),
        ("prelu", "alpha", (3, 2, 4)),
        ("layernorm", "gamma", (3, 2, 4)),
        ("embedding", "embeddings", (7, 4)),
        ("own", "gamma", ()),
    ],
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_every_parameter_crosses_there_and_back(layout, slot, shape, mirrored):
    inputs = RNG.permutation(24) if layout == "dense" else None
    outputs = RNG.permutation(4) if layout in ("dense", "embedding") else None
    crossing, value = WeightTransform(layout, inputs, outputs, mirrored), RNG.standard_normal(shape)
    there = crossing.to_torch(slot, value)
    assert there.shape == crossing.shape(slot, shape)
    assert np.array_equal(crossing.to_keras(slot, there, shape), value)


class Chain:
    """A network of layers that pass their input on, in the layout given by ``moves``, one function before each."""

    def __init__(self, names, moves):
        self.names, self.moves = names, moves

    def run(self, x, values):
        trace = Trace()
        for name, move in zip(self.names, self.moves, strict=True):
            x = move(x)
            trace.inputs[name] = trace.outputs[name] = x
            x = values.get(name, x)
        return trace


def matching(*layers):
    """Matched layers ``(kind, reference shape, port shape)``, each fed by the one before."""
    matches, sources = [], {}
    for number, (kind, shape, port_shape) in enumerate(layers):
        name = f"{kind} {number}"
        weighty = {"kernel": (1, 1)} if kind in ("dense", "conv") else {}
        one = Step(name, kind, {}, weighty, input_shape=shape, output_shape=shape)
        other = Step(f"p{number}", kind, {}, weighty, input_shape=port_shape, output_shape=port_shape)
        sources[name] = ((matches[-1].key if matches else "input 0",),)
        matches.append(Match(one, other))
    return Matching(matches, [], [], sources)


def found(layers, reference_moves, port_moves) -> Layouts:
    pairs = matching(*layers)
    start = RNG.standard_normal(layers[0][1])
    reference = Chain([match.key for match in pairs.matches], reference_moves)
    port = Chain([match.port.name for match in pairs.matches], port_moves)
    entry = Layout(channels_first=len(layers[0][1]) > 2)
    return find_layouts(
        pairs,
        [entry],
        [],
        lambda values: reference.run(start, values),
        lambda values: port.run(entry.to_port(start), values),
        False,
        0,
    )


def same(x):
    return x


def flat(x):
    return x.reshape(len(x), -1)


def test_a_port_that_flattens_channels_first_is_found_out():
    layouts = found([("conv", SHAPE, (2, 2, 4, 3)), ("dense", (2, 24), (2, 24))], [same, flat], [same, flat])
    assert np.array_equal(layouts.into["dense 1"], FIRST)


def test_a_port_that_permutes_first_needs_no_order():
    layouts = found(
        [("conv", SHAPE, (2, 2, 4, 3)), ("dense", (2, 24), (2, 24))],
        [same, flat],
        [same, lambda x: flat(np.moveaxis(x, 1, -1))],
    )
    assert layouts.into == {}


@pytest.mark.parametrize("between", [[], ["activation"], ["activation", "batchnorm", "dropout"]])
def test_a_dense_layer_hands_its_features_over_in_the_ports_order(between):
    layers = [
        ("dense", (2, 24), (2, 24)),
        *((kind, (2, 24), (2, 24)) for kind in between),
        ("conv", SHAPE, (2, 2, 4, 3)),
    ]
    moves = [same] * (len(layers) - 1)
    layouts = found(layers, [*moves, lambda x: x.reshape(SHAPE)], [*moves, lambda x: x.reshape(2, 2, 4, 3)])
    for match_key in [f"{kind} {n}" for n, (kind, _, _) in enumerate(layers[:-1])]:
        assert np.array_equal(layouts.out_of[match_key], FIRST)


def test_where_sizes_do_not_tell_values_do():
    cube = (2, 3, 3, 3)
    layers = [("conv", cube, cube), ("activation", cube, cube)]
    assert found(layers, [same, same], [same, same]).outputs["activation 1"].channels_first
    turned = [same, lambda x: np.moveaxis(x, 1, -1)]
    assert not found(layers, [same, same], turned).outputs["activation 1"].channels_first


def test_drawn_inputs_have_unequal_sides_and_hide_nothing():
    assert full_shape((None, None, None, 3), 2, 0) == (2, 37, 29, 3)
    image, words = draw([(None, None, None, 3), (None, 7)], [None, 11], 2, 0, 0)
    assert image.shape == (2, 37, 29, 3) and words.max() < 11 and words.dtype.kind == "i"
    batch = adversarial([image, words])
    assert [len(x) for x in batch] == [4, 4]
    assert np.count_nonzero(batch[0][2]) == 3 and np.unique(batch[0][3]).size == batch[0][3].size
    bias = perturb_constant("bias", np.zeros(5), RNG)
    assert np.ptp(bias) > 0 and perturb_constant("bias", bias, RNG) is bias
    assert (perturb_constant("moving_variance", np.ones(5), RNG) > 1).all()
