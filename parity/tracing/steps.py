"""One vocabulary for both frameworks: a network's run is a list of steps of known kinds. Imports no framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

PARAMETRISED = ("conv", "conv-transpose", "dense", "batchnorm", "layernorm", "groupnorm", "embedding", "prelu")
ELEMENTWISE = ("activation", "dropout", "batchnorm", "prelu")
CHANNELS_FIRST = ("conv", "conv-transpose", "batchnorm", "groupnorm", "pool", "global-pool", "upsample", "prelu")
MOVEMENT = ("flatten", "reshape", "permute", "padding", "crop", "identity")
STATISTICS = ("moving_mean", "moving_variance")
MODE_DEPENDENT = ("batchnorm", "dropout")


@dataclass
class Step:
    """One call of one layer.

    ``name`` is the layer's path in its model (``block/conv`` or ``block.conv``; ``#2`` marks a second call).
    ``attributes`` hold the layer's settings in canonical terms, Keras's conventions where the frameworks differ.
    ``shapes`` gives each parameter's shape in its own framework. ``layout`` names the kernel layout of
    :data:`parity.weights.LAYOUTS`. A step whose value cannot be seen (the depthwise half of a separable
    convolution) is not ``visible``.
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
    float32_slope: bool = False

    @property
    def matchable(self) -> bool:
        """Steps that only move data are judged with the next layer that computes."""
        return self.kind not in MOVEMENT

    @property
    def parametrised(self) -> bool:
        """Whether the step owns weights."""
        return bool(self.shapes)

    @property
    def size(self) -> int:
        """Number of parameters, running statistics excluded."""
        return int(sum(np.prod(shape) for slot, shape in self.shapes.items() if not slot.startswith("moving_")))


@dataclass
class Trace:
    """A recorded run: steps in execution order, their first inputs and their outputs as NumPy arrays."""

    steps: list[Step] = field(default_factory=list)
    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    result: list[np.ndarray] = field(default_factory=list)

    def step(self, name: str) -> Step:
        """The step of that name."""
        return next(step for step in self.steps if step.name == name)


class Recorder:
    """Collects steps while a model runs; both sides' tracers feed it.

    ``replace`` maps a step's name to the value (own framework's layout) that its output is exchanged for, so that
    whatever follows is measured on that value.
    """

    def __init__(
        self,
        to_numpy: Callable[[Any], np.ndarray],
        from_numpy: Callable[[np.ndarray, Any], Any],
        replace: dict[str, np.ndarray] | None = None,
        values: bool = True,
    ):
        self.trace = Trace()
        self.replace = replace or {}
        self.values = values
        self._to_numpy = to_numpy
        self._from_numpy = from_numpy
        self._calls: dict[str, int] = {}

    def unique(self, name: str) -> str:
        """``name``, or ``name#2`` at its second call, and so on."""
        count = self._calls[name] = self._calls.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"

    def record(self, step: Step, given: Any, got: Any) -> Any:
        """Note a step's first input and output; returns the output, or its replacement."""
        step.input_shape = tuple(int(n) for n in getattr(given, "shape", ()))
        step.output_shape = tuple(int(n) for n in getattr(got, "shape", ()))
        self.trace.steps.append(step)
        if self.values and step.visible:
            if hasattr(given, "shape"):
                self.trace.inputs[step.name] = self._to_numpy(given)
            if hasattr(got, "shape"):
                self.trace.outputs[step.name] = self._to_numpy(got)
        if step.name in self.replace:
            return self._from_numpy(self.replace[step.name], got)
        return got

    def since(self, mark: int) -> list[Step]:
        """Steps recorded after the first ``mark`` ones."""
        return self.trace.steps[mark:]

    def drop_since(self, mark: int) -> None:
        """Forget those steps: they turned out to be the inside of one layer."""
        for step in self.since(mark):
            self.trace.inputs.pop(step.name, None)
            self.trace.outputs.pop(step.name, None)
        del self.trace.steps[mark:]
