"""One vocabulary for both frameworks: a network's run is a list of steps of known kinds. Imports no framework."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

PARAMETRISED = ("conv", "conv-transpose", "dense", "batchnorm", "layernorm", "groupnorm", "embedding", "prelu")
ELEMENTWISE = ("activation", "dropout", "batchnorm", "prelu")
CHANNELS_FIRST = ("conv", "conv-transpose", "batchnorm", "groupnorm", "pool", "global-pool", "upsample", "prelu")
MOVEMENT = ("flatten", "reshape", "permute", "padding", "crop", "identity")
STATISTICS = ("moving_mean", "moving_variance", "singular_u", "singular_v")
MODE_DEPENDENT = ("batchnorm", "dropout")
# A crop right behind one of these belongs to it: `conv(x)[..., :-1]` is one layer written in two lines.
CROPPED = ("conv", "conv-transpose", "pool", "upsample")
COMMUTATIVE = ("add", "multiply", "average", "maximum", "minimum")
PLAIN = frozenset({bool, int, float, str, type(None)})  # types of most arguments that are no tensors
Sources = tuple[tuple[str, ...], ...]


@dataclass
class Step:
    """One call of one layer.

    ``name`` is the layer's path in its model (``block/conv`` or ``block.conv``; ``#2`` marks a second call); ``named``
    is False where Keras made it up. ``attributes`` hold the layer's settings in canonical terms, Keras's conventions
    where the frameworks differ. ``shapes`` gives each parameter's shape in its own framework. ``layout`` names the
    kernel layout of :data:`parity.numerics.weight_axes.LAYOUTS`. A step whose value cannot be seen (the depthwise half of a
    separable convolution) is not ``visible``. ``sources`` names, for each tensor the step was given, the steps whose
    outputs it was computed from (``input 0`` is the network's first input). A block with parameters of its own beside
    its layers is a step of kind ``own``: what it does behind the last layer with weights among the steps ``inside``.
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
    named: bool = True
    sources: Sources = ()
    inside: tuple[str, ...] = ()

    @property
    def matchable(self) -> bool:
        """Steps that only move data are judged with the next layer that computes."""
        return self.kind not in MOVEMENT

    @property
    def parametrised(self) -> bool:
        """Whether the step owns weights."""
        return bool(self.shapes)

    @property
    def foreign(self) -> bool:
        """Whether the step has weights that no rule carries across."""
        return self.parametrised and (self.kind == "own" or self.kind.startswith("opaque"))

    @property
    def pointwise(self) -> bool:
        """Whether the step mixes channels only, as a dense layer and a convolution of ones do alike."""
        if self.kind != "conv":
            return self.kind == "dense"
        settings = (self.attributes.get(name, [0]) for name in ("kernel_size", "strides"))
        return self.attributes.get("groups") == 1 and all(n == 1 for values in settings for n in values)

    @property
    def mode_dependent(self) -> bool:
        """Whether the step computes something else in training than in evaluation."""
        return self.kind in MODE_DEPENDENT or self.kind.startswith("opaque") or "spectral_norm" in self.attributes

    @property
    def commutative(self) -> bool:
        """Whether the order of the step's inputs does not matter."""
        return self.kind != "merge" or self.attributes.get("operation") in COMMUTATIVE

    @property
    def products(self) -> int:
        """How many products each of the step's values adds up at most, by its kernel in Keras's layout."""
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

    ``inputs`` holds each step's first input, ``others`` the further ones of steps that join several. ``ends`` names the
    steps that each network output was computed from.
    """

    steps: list[Step] = field(default_factory=list)
    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    others: dict[str, list[np.ndarray]] = field(default_factory=dict)
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    result: list[np.ndarray] = field(default_factory=list)
    ends: Sources = ()

    def step(self, name: str) -> Step:
        """The step of that name."""
        return next(step for step in self.steps if step.name == name)


class Flow:
    """From which steps each tensor was computed."""

    def __init__(self) -> None:
        self._origin: dict[int, tuple[weakref.ref, tuple[str, ...]]] = {}

    def of(self, tensor: Any) -> tuple[str, ...]:
        """The nearest recorded steps behind a tensor."""
        known = self._origin.get(id(tensor))
        return known[1] if known is not None and known[0]() is tensor else ()

    def set(self, tensor: Any, names: tuple[str, ...]) -> None:
        """Say where a tensor comes from."""
        self._origin[id(tensor)] = (weakref.ref(tensor), names)

    def passed(self, given: Iterable[Any], got: Iterable[Any]) -> None:
        """An operation between the steps: its results come from wherever its arguments do."""
        names = tuple(dict.fromkeys(name for x in given for name in self.of(x)))
        for x in got if names else ():
            self.set(x, names)

    def joins(self, given: Iterable[Any]) -> bool:
        """Whether two or more of these are computed from the network's inputs (not weights, not constants)."""
        return sum(bool(self.of(x)) for x in given) > 1


class Recorder:
    """Collects steps while a model runs; both sides' tracers feed it.

    ``replace`` maps a step's name to the value (own framework's layout) that its output is exchanged for, so that
    whatever follows is measured on that value. ``channels`` is the axis that a crop of an image leaves alone.
    """

    def __init__(
        self,
        to_numpy: Callable[[Any], np.ndarray],
        from_numpy: Callable[[np.ndarray, Any], Any],
        channels: int,
        replace: dict[str, np.ndarray] | None = None,
        values: bool = True,
    ):
        self.trace = Trace()
        self.replace = replace or {}
        self.values = values
        self.flow = Flow()
        self._to_numpy = to_numpy
        self._from_numpy = from_numpy
        self._channels = channels
        self._calls: dict[str, int] = {}
        self._latest: Any = None

    def unique(self, name: str) -> str:
        """``name``, or ``name#2`` at its second call, and so on."""
        count = self._calls[name] = self._calls.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"

    def begin(self, inputs: list[Any]) -> None:
        """The network's inputs, before it runs."""
        for number, x in enumerate(inputs):
            self.flow.set(x, (f"input {number}",))

    def end(self, outputs: list[Any]) -> None:
        """The network's outputs, after it ran."""
        self.trace.result = [self._to_numpy(x) for x in outputs]
        self.trace.ends = tuple(self.flow.of(x) for x in outputs)

    def record(self, step: Step, given: list[Any], got: Any) -> Any:
        """Note a step's inputs and its output; returns the output, or its replacement."""
        step.input_shape = _shape(given[0]) if given else ()
        step.output_shape = _shape(got)
        host = self._host(step, given)
        step.sources = tuple(self.flow.of(x) for x in given)
        self.trace.steps.append(step)
        if self.values and step.visible and given:
            self.trace.inputs[step.name] = self._to_numpy(given[0])
            if step.kind == "merge":
                self.trace.others[step.name] = [self._to_numpy(x) for x in given[1:]]
        self._latest = got = self._observed(step if host is None else host, got)
        if got is not None:
            self.flow.set(got, ((step if host is None else host).name,))
        return got

    def record_closed(self, step: Step, given: list[Any], results: list[Any]) -> None:
        """Note a layer that returns several tensors, none of which is compared."""
        step.input_shape, step.output_shape = _shape(given[0]) if given else (), _shape(results[0]) if results else ()
        step.sources = tuple(self.flow.of(x) for x in given)
        self.trace.steps.append(step)
        for x in results:
            self.flow.set(x, (step.name,))

    def since(self, mark: int) -> list[Step]:
        """Steps recorded after the first ``mark`` ones."""
        return self.trace.steps[mark:]

    def tells(self, mark: int, given: list[Any], got: Any, settings: dict[str, Any]) -> bool:
        """Whether the functions seen since ``mark`` tell what a layer without weights of its own does.

        One function does; so do crops, and any movement in a layer without settings. Otherwise it is one closed layer,
        to be compared as a whole.
        """
        inner = self.since(mark)
        computed = [step.kind for step in inner if step.matchable]
        if computed:
            return len(computed) == 1 and (computed[0] != "merge" or len(given) > 1)
        cropped = all(step.kind == "crop" for step in inner) and got is self._latest
        return bool(inner) and (cropped or not settings)

    def drop_since(self, mark: int) -> None:
        """Forget those steps: they turned out to be the inside of one layer."""
        for step in self.since(mark):
            for table in (self.trace.inputs, self.trace.others, self.trace.outputs):
                table.pop(step.name, None)
        del self.trace.steps[mark:]

    def fold_since(self, mark: int) -> tuple[str, ...]:
        """Forget the steps behind the last one with weights, which a block with its own parameters does as a whole.

        Returns the names of those that stay.
        """
        last = max(place for place, step in enumerate(self.trace.steps) if place >= mark and step.parametrised)
        self.drop_since(last + 1)
        return tuple(step.name for step in self.since(mark))

    def _host(self, step: Step, given: list[Any]) -> Step | None:
        """The layer that a crop belongs to, if it stands right behind one."""
        if step.kind != "crop" or not given or given[0] is not self._latest or not self.trace.steps:
            return None
        host = next((s for s in reversed(self.trace.steps) if s.kind != "crop"), None)
        before, after = step.input_shape, step.output_shape
        if host is None or host.kind not in CROPPED or len(before) != len(after) or len(after) < 3:
            return None
        if before[0] != after[0] or before[self._channels] != after[self._channels]:
            return None
        host.output_shape = after
        return host

    def _observed(self, step: Step, got: Any) -> Any:
        if self.values and step.visible:
            self.trace.outputs[step.name] = self._to_numpy(got)
        value = self.replace.get(step.name)
        return got if value is None or value.shape != _shape(got) else self._from_numpy(value, got)


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in getattr(tensor, "shape", ()))
