"""Layouts of arrays and axes of weights: reversible, and described by their axes."""

from __future__ import annotations

import numpy as np
import pytest

from parity.numerics.array_layouts import Layout, describe_order, in_place, reordered, to_port_shape
from parity.numerics.weight_axes import WeightTransform

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
def test_a_layout_is_reversible(layout):
    x = RNG.standard_normal(SHAPE)
    there = layout.to_port(x)
    assert layout.fits(x.shape, there.shape)
    assert np.array_equal(layout.to_reference(there), x)


def test_the_channels_first_order_equals_moving_the_channel_axis():
    x = RNG.standard_normal(SHAPE)
    assert np.array_equal(reordered(FIRST, SHAPE, (2, 2, 4, 3)).to_port(x), Layout(channels_first=True).to_port(x))
    assert to_port_shape((5, 4, 3, 2), True) == (5, 2, 4, 3) and to_port_shape((5, 4), True) == (5, 4)
    assert not Layout(channels_first=True).fits((2, 4, 3, 2), (2, 4, 3, 2))


@pytest.mark.parametrize(
    ("way", "name"), [((2, 0, 1), "(c, h, w)"), ((0, 1, 2), "(h, w, c)"), ((2, 1, 0), "(c, w, h)")]
)
def test_usual_orders_are_described_by_their_axes(way, name):
    assert describe_order(np.arange(24).reshape(4, 3, 2).transpose(way).reshape(-1), (4, 3, 2)) == name


def test_an_unusual_order_is_described_as_such():
    assert describe_order(RNG.permutation(24), (4, 3, 2)) == "an order of its own"


IMAGES = [(4, 3, 2), (2, 2, 3)]
SECOND = np.moveaxis(np.arange(12).reshape(2, 2, 3), -1, 0).reshape(-1)


@pytest.mark.parametrize(
    ("order", "mirrored", "moves"),
    [
        (np.arange(9), False, True),  # nothing moves
        (FIRST, False, True),
        (np.concatenate([FIRST, 24 + SECOND]), False, True),  # two images, one after another
        (np.concatenate([np.arange(5), 5 + FIRST, [29, 30]]), False, True),  # features before and behind one
        (np.concatenate([24 + np.arange(24), np.arange(24)]), False, False),  # two images exchanged
        (np.concatenate([24 + FIRST, FIRST]), False, False),
        (np.arange(24)[::-1], False, False),
        (np.arange(24).reshape(4, 3, 2).transpose(2, 1, 0).reshape(-1), False, False),  # height and width exchanged
        (np.arange(24).reshape(4, 3, 2)[::-1, ::-1].reshape(-1), False, False),
        (np.arange(24).reshape(4, 3, 2)[::-1, ::-1].reshape(-1), True, True),
        (np.moveaxis(np.arange(24).reshape(4, 3, 2)[::-1, ::-1], -1, 0).reshape(-1), True, True),
        (RNG.permutation(24), True, False),
    ],
)
def test_an_order_moves_features_within_images_alone_or_not(order, mirrored, moves):
    assert in_place(order, IMAGES, mirrored) == moves


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
def test_the_transform_of_every_parameter_is_reversible(layout, slot, shape, mirrored):
    inputs = RNG.permutation(24) if layout == "dense" else None
    outputs = RNG.permutation(4) if layout in ("dense", "embedding") else None
    crossing, value = WeightTransform(layout, inputs, outputs, mirrored), RNG.standard_normal(shape)
    there = crossing.to_torch(slot, value)
    assert there.shape == crossing.shape(slot, shape)
    assert np.array_equal(crossing.to_keras(slot, there, shape), value)
