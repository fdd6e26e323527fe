"""The vocabulary shared by both frameworks: a network's run is a list of steps of known kinds. Plain NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NORMS = ("batchnorm", "layernorm", "groupnorm")
NORMS = ("batchnorm", "layernorm", "groupnorm")
PARAMETRISED = ("conv", "conv-transpose", "dense", *NORMS, "embedding", "prelu", "affine")
ELEMENTWISE = ("activation", "dropout", "batchnorm", "prelu", "affine")
CHANNELS_FIRST = ("conv", "conv-transpose", "batchnorm", "groupnorm", "pool", "global-pool", "upsample", "prelu")
MOVEMENT = ("flatten", "reshape", "permute", "padding", "crop", "identity")
STATISTICS = ("moving_mean", "moving_variance", "singular_u", "singular_v")
MODE_DEPENDENT = ("batchnorm", "dropout")
OWN_WEIGHTS = "own"
"""Kind of a block that holds parameters of its own beside its layers."""
_UNKNOWN = "opaque:"
COMMUTATIVE = ("add", "multiply", "average", "maximum", "minimum")
PLAIN = frozenset({bool, int, float, str, type(None)})  # types of most arguments that are no tensors
Sources = tuple[tuple[str, ...], ...]


def unknown(class_name: str) -> str:
    """The kind of a layer or function whose class is not in the tables."""
    return _UNKNOWN + class_name


def is_unknown(kind: str) -> bool:
    """Whether a kind is one that :func:`unknown` made."""
    return kind.startswith(_UNKNOWN)


def class_name_of(kind: str) -> str:
    """The class name in an unknown kind; any other kind as it is."""
    return kind.removeprefix(_UNKNOWN)


@dataclass
class Step:
    """One call of one layer.

    Attributes:
        name: the layer's path in its model (``block/conv`` or ``block.conv``; ``#2`` marks a second call).
        kind: one of the kinds above, :data:`OWN_WEIGHTS`, or an :func:`unknown` one.
        attributes: the layer's settings in canonical terms, Keras's conventions where the frameworks differ.
        shapes: each parameter's shape in its own framework, by slot (``kernel``, ``bias``, ``gamma`` ...).
        layout: the kernel layout, a key of :data:`parity.numerics.weight_axes.AXIS_RULES`.
        visible: False if its value cannot be recorded (the depthwise half of some separable convolutions).
        owner: the module or function that made the step.
        handle: where the adapter finds each parameter, by slot.
        named: False if Keras generated the name.
        sources: for each input tensor, the steps whose outputs it was computed from (``input 0``: the network's first).
        fixed: a layer of unknown kind whose weights are constants that training never moves: they need not cross.
        inside: of a block with weights of its own, the recorded steps in it; the block itself stands for what it
            computes after the last of them that has weights.
    """

    name: str
    kind: str
    attributes: dict[str, Any]
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    layout: str = "vector"
    input_shape: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    visible: bool = True
    owner: str = ""
    handle: Any = None
    named: bool = True
    sources: Sources = ()
    inside: tuple[str, ...] = ()
    fixed: bool = False

    @property
    def matchable(self) -> bool:
        """Whether the step computes; steps that only move data are judged with the next one that does."""
        return self.kind not in MOVEMENT

    @property
    def parametrised(self) -> bool:
        """Whether the step owns weights."""
        return bool(self.shapes)

    @property
    def unknown_kind(self) -> bool:
        """Whether the layer's class is not in the tables."""
        return is_unknown(self.kind)

    @property
    def own_weights(self) -> bool:
        """Whether the step is a block with parameters of its own beside its layers."""
        return self.kind == OWN_WEIGHTS

    def lacks_offset(self, owner: str) -> bool:
        """Whether the step is a factor that ``owner`` applies, without an offset so far."""
        return self.kind == "affine" and self.owner == owner and "offset" not in self.shapes

    @property
    def class_name(self) -> str:
        """The class name of a layer of unknown kind; the kind of any other."""
        return class_name_of(self.kind)

    @property
    def untransferable(self) -> bool:
        """Whether the step has weights that no rule transfers."""
        return self.parametrised and not self.fixed and (self.own_weights or self.unknown_kind)

    @property
    def pointwise(self) -> bool:
        """Whether the step mixes channels only: a dense layer, or a convolution whose kernel and strides are 1."""
        if self.kind != "conv":
            return self.kind == "dense"
        settings = (self.attributes.get(name, [0]) for name in ("kernel_size", "strides"))
        return self.attributes.get("groups") == 1 and all(n == 1 for values in settings for n in values)

    @property
    def mode_dependent(self) -> bool:
        """Whether the step may compute something else in training than in evaluation."""
        return self.kind in MODE_DEPENDENT or self.unknown_kind or "spectral_norm" in self.attributes

    @property
    def commutative(self) -> bool:
        """Whether the order of the step's inputs does not matter."""
        return self.kind != "merge" or self.attributes.get("operation") in COMMUTATIVE

    @property
    def products(self) -> int:
        """Largest number of products summed for one output value, from the kernel in Keras's layout."""
        kernel = self.shapes.get("kernel", (1,))
        if self.layout != "conv-transpose":
            outputs = 2 if self.layout == "depthwise" else 1
            return math.prod(kernel[:-outputs])
        strides = self.attributes.get("strides", [1] * len(kernel[:-2]))
        return kernel[-1] * math.prod(-(-taps // stride) for taps, stride in zip(kernel, strides, strict=False))

    @property
    def size(self) -> int:
        """Number of parameters, running statistics excluded."""
        return int(sum(np.prod(shape) for slot, shape in self.shapes.items() if slot not in STATISTICS))


@dataclass
class Trace:
    """A recorded run: steps in execution order, their inputs and outputs as NumPy arrays.

    Attributes:
        inputs: each step's first input, by step name.
        others: the further inputs of merging steps.
        outputs: each step's output.
        shapes: the shape of each step's output, also where the values themselves are not kept.
        result: the network's outputs.
        ends: for each network output, the steps it was computed from.
        operations: by step, the operations that are no steps and work on what is computed from it, by module and name.
        names: for each network output, its key or field; empty if it only has a place.
    """

    steps: list[Step] = field(default_factory=list)
    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    others: dict[str, list[np.ndarray]] = field(default_factory=dict)
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    result: list[np.ndarray] = field(default_factory=list)
    ends: Sources = ()
    operations: dict[str, list[str]] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def step(self, name: str) -> Step:
        """The step of that name."""
        return next(step for step in self.steps if step.name == name)
