"""The layouts of a matched pair of models: its inputs, its steps' outputs, orders of flat features. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from parity.capture.steps import OWN_WEIGHTS
from parity.match.alignment import Match
from parity.numerics.array_layouts import Layout
from parity.numerics.weight_axes import WeightTransform

Array = np.ndarray


@dataclass
class Layouts:
    """The layouts of one matched pair of models.

    Attributes:
        inputs: of the network's inputs.
        outputs: of every matched step's output, by the reference step's name.
        into: the order in which the port passes flat features to a layer, by the same name.
        out_of: the order in which the port takes flat features from a layer; both orders as in
            :class:`parity.numerics.weight_axes.WeightTransform`.
        results: of those network outputs whose shapes are ambiguous.
        mirrored: whether images are compared mirrored.
    """

    inputs: list[Layout]
    outputs: dict[str, Layout] = field(default_factory=dict)
    into: dict[str, Array] = field(default_factory=dict)
    out_of: dict[str, Array] = field(default_factory=dict)
    results: dict[int, Layout] = field(default_factory=dict)
    mirrored: bool = False

    def weight_transform(self, match: Match) -> WeightTransform:
        """How that layer's parameters are transferred."""
        if match.reference.own_weights:
            return WeightTransform(OWN_WEIGHTS, shapes=match.port.shapes)
        kernel = match.reference.layout
        output = self.outputs.get(match.key)
        if kernel == "layernorm" and output is not None and not output.channels_first:
            kernel = "vector"
        ones = 0
        if match.reference.kind != match.port.kind:
            ones = match.port.attributes.get("rank", 0) - match.reference.attributes.get("rank", 0)
        return WeightTransform(kernel, self.into.get(match.key), self.out_of.get(match.key), self.mirrored, ones)
