"""The layouts of a matched pair of models: inputs, outputs of steps, orders of flat features. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from parity.match.alignment import Match
from parity.numerics.layouts import Layout
from parity.numerics.weight_axes import WeightTransform

Array = np.ndarray


@dataclass
class Layouts:
    """The layouts of one matched pair of models: network inputs, every step's output, flat feature orders.

    ``results`` are the layouts of network outputs where shapes leave them open. ``into[key]`` is the order in which the
    port hands features to that layer, ``out_of[key]`` the order in which it takes them from it, both as in
    :class:`parity.numerics.weight_axes.WeightTransform`.
    """

    inputs: list[Layout]
    outputs: dict[str, Layout] = field(default_factory=dict)
    into: dict[str, Array] = field(default_factory=dict)
    out_of: dict[str, Array] = field(default_factory=dict)
    results: dict[int, Layout] = field(default_factory=dict)
    mirrored: bool = False

    def weight_transform(self, match: Match) -> WeightTransform:
        """How that layer's parameters cross."""
        if match.reference.own_weights:
            return WeightTransform("own", shapes=match.port.shapes)
        kernel = match.reference.layout
        output = self.outputs.get(match.key)
        if kernel == "layernorm" and output is not None and not output.channels_first:
            kernel = "vector"
        ones = 0
        if match.reference.kind != match.port.kind:
            ones = match.port.attributes.get("rank", 0) - match.reference.attributes.get("rank", 0)
        return WeightTransform(kernel, self.into.get(match.key), self.out_of.get(match.key), self.mirrored, ones)
