"""Layouts and feature orders found by probing."""

from __future__ import annotations

import numpy as np
import pytest

from parity.capture.steps import Step, Trace
from parity.match.alignment import Match, Matching
from parity.numerics.array_layouts import Layout
from parity.transfer.layout_search import find_layouts
from parity.transfer.model_layouts import Layouts

SHAPE = (2, 4, 3, 2)
FIRST = np.moveaxis(np.arange(24).reshape(4, 3, 2), -1, 0).reshape(-1)
RNG = np.random.default_rng(0)


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
        [start.shape],
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


def test_flattening_channels_first_is_found_by_probing():
    layouts = found([("conv", SHAPE, (2, 2, 4, 3)), ("dense", (2, 24), (2, 24))], [same, flat], [same, flat])
    assert np.array_equal(layouts.into["dense 1"], FIRST)


def test_a_port_that_permutes_before_flattening_needs_no_order():
    layouts = found(
        [("conv", SHAPE, (2, 2, 4, 3)), ("dense", (2, 24), (2, 24))],
        [same, flat],
        [same, lambda x: flat(np.moveaxis(x, 1, -1))],
    )
    assert layouts.into == {}


@pytest.mark.parametrize("between", [[], ["activation"], ["activation", "batchnorm", "dropout"]])
def test_a_dense_layer_outputs_its_features_in_the_ports_order(between):
    layers = [
        ("dense", (2, 24), (2, 24)),
        *((kind, (2, 24), (2, 24)) for kind in between),
        ("conv", SHAPE, (2, 2, 4, 3)),
    ]
    moves = [same] * (len(layers) - 1)
    layouts = found(layers, [*moves, lambda x: x.reshape(SHAPE)], [*moves, lambda x: x.reshape(2, 2, 4, 3)])
    for match_key in [f"{kind} {n}" for n, (kind, _, _) in enumerate(layers[:-1])]:
        assert np.array_equal(layouts.out_of[match_key], FIRST)


def test_ambiguous_shapes_are_resolved_by_values():
    cube = (2, 3, 3, 3)
    layers = [("conv", cube, cube), ("activation", cube, cube)]
    assert found(layers, [same, same], [same, same]).outputs["activation 1"].channels_first
    turned = [same, lambda x: np.moveaxis(x, 1, -1)]
    assert not found(layers, [same, same], turned).outputs["activation 1"].channels_first
