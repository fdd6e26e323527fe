"""Recording steps while a model runs, for the observers of both frameworks. Plain NumPy."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from parity.capture.steps import Step, Trace

# A crop directly after one of these belongs to it: `conv(x)[..., :-1]` is one layer written in two lines.
CROPPED = ("conv", "conv-transpose", "pool", "upsample")
# Interpolations that change an image even if its size stays.
SMOOTHING = ("gaussian", "mitchellcubic")
# What an antialiasing interpolation is while no axis shrinks: its kernel is widened by the step, which is below one.
ENLARGING = {
    "bilinear (antialias=True)": "bilinear",
    "bicubic (antialias=True)": "bicubic (a=-0.5)",
    "lanczos3 (antialias=True)": "lanczos3",
    "lanczos5 (antialias=True)": "lanczos5",
}
# What an operation does that is no step of its own.
MOVES, ARITHMETIC, COMPUTES = "moves", "arithmetic", "computes"


class TensorOrigins:
    """The steps that each tensor was computed from."""

    def __init__(self) -> None:
        self._origin: dict[int, tuple[weakref.ref, tuple[str, ...]]] = {}

    def of(self, tensor: Any) -> tuple[str, ...]:
        """The nearest recorded steps that a tensor was computed from."""
        known = self._origin.get(id(tensor))
        return known[1] if known is not None and known[0]() is tensor else ()

    def set(self, tensor: Any, names: tuple[str, ...]) -> None:
        """Set the steps that a tensor was computed from."""
        self._origin[id(tensor)] = (weakref.ref(tensor), names)

    def propagate(self, arguments: Iterable[Any], results: Iterable[Any]) -> None:
        """Give the results of an unrecorded operation the origins of all its arguments."""
        names = tuple(dict.fromkeys(name for x in arguments for name in self.of(x)))
        for x in results if names else ():
            self.set(x, names)

    def joins(self, arguments: Iterable[Any]) -> bool:
        """Whether two or more of these are computed from the network's inputs (not weights, not constants)."""
        return sum(bool(self.of(x)) for x in arguments) > 1


class Recorder:
    """Collects steps while a model runs; used by the observers of both frameworks.

    ``replace`` maps a step's name to the value (own framework's layout) that replaces its output, so that the steps
    after it are measured on that value. ``channels`` is the channel axis, which a crop of an image leaves alone.
    ``shape_of`` tells a tensor's shape in the layout in which values are kept.

    ``weights`` tells which tensors are weights, or computed from weights alone. ``unrecorded`` counts the operations
    outside of layers that change values and are no step, ``unaccounted`` those that are no constant arithmetic.
    ``random`` names the functions that drew random numbers.
    """

    def __init__(
        self,
        to_numpy: Callable[[Any], np.ndarray],
        from_numpy: Callable[[np.ndarray, Any], Any],
        channels: int,
        replace: dict[str, np.ndarray] | None = None,
        values: bool = True,
        shape_of: Callable[[Any], tuple[int, ...]] | None = None,
    ):
        self.trace = Trace()
        self.replace = replace or {}
        self.values = values
        self._shape_of = shape_of or _shape
        self.origins, self.weights = TensorOrigins(), TensorOrigins()
        self.unrecorded = self.unaccounted = 0
        self.random: list[str] = []
        self._to_numpy = to_numpy
        self._from_numpy = from_numpy
        self._channels = channels
        self._calls: dict[str, int] = {}
        self._latest: Any = None
        self._computed: Any = None

    def unique(self, name: str) -> str:
        """``name``, or ``name#2`` at its second call, and so on."""
        count = self._calls[name] = self._calls.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"

    def begin(self, inputs: list[Any]) -> None:
        """Register the network's inputs, before it runs."""
        for number, x in enumerate(inputs):
            self.origins.set(x, (f"input {number}",))

    def end(self, outputs: list[Any]) -> None:
        """Register the network's outputs, after it ran."""
        self.trace.result = [self._to_numpy(x) for x in outputs]
        self.trace.ends = tuple(self.origins.of(x) for x in outputs)

    def record(self, step: Step, given: list[Any], got: Any) -> Any:
        """Record a step with its inputs and output; returns the output, or its replacement."""
        step.input_shape = self._shape_of(given[0]) if given else ()
        step.output_shape = self._shape_of(got)
        _settle(step)
        host = self._host(step, given)
        step.sources = tuple(self.origins.of(x) for x in given)
        self.trace.steps.append(step)
        if self.values and step.visible and given:
            self.trace.inputs[step.name] = self._to_numpy(given[0])
            if step.kind == "merge":
                self.trace.others[step.name] = [self._to_numpy(x) for x in given[1:]]
        self._latest = got = self._observed(step if host is None else host, got)
        if got is not None:
            self.origins.set(got, ((step if host is None else host).name,))
        return got

    @property
    def latest(self) -> tuple[Step | None, Any]:
        """The step recorded last and its output; the step is None if it has none that is compared."""
        step = self.trace.steps[-1] if self.trace.steps else None
        return (step if step is not None and step.visible else None), self._latest

    def own_value(self, x: Any) -> Any:
        """What the step recorded last computed itself, if ``x`` is its output; any other tensor as it is."""
        return self._computed if x is self._latest and x is not None else x

    def complete(self, step: Step, got: Any) -> Any:
        """Extend the step recorded last by an operation that belongs to it; returns its output, or its replacement."""
        step.output_shape = self._shape_of(got)
        self._latest = got = self._observed(step, got)
        self.origins.set(got, (step.name,))
        return got

    def record_closed(self, step: Step, given: list[Any], results: list[Any]) -> None:
        """Record a layer that returns several tensors, none of which is compared."""
        step.input_shape, step.output_shape = (
            self._shape_of(given[0]) if given else (),
            self._shape_of(results[0]) if results else (),
        )
        step.sources = tuple(self.origins.of(x) for x in given)
        self.trace.steps.append(step)
        for x in results:
            self.origins.set(x, (step.name,))

    def pass_on(self, given: list[Any], results: list[Any], effect: str = COMPUTES, name: str = "") -> None:
        """Register an operation that is no step, outside of layers: one of :data:`MOVES`, :data:`ARITHMETIC`, ..."""
        if name and results:
            for origin in dict.fromkeys(origin for x in given for origin in self.origins.of(x)):
                self.trace.operations.setdefault(origin, []).append(name)
        weighted = any(self.weights.of(x) for x in given)
        fed = any(self.origins.of(x) for x in given)
        if fed and results and (effect == COMPUTES or effect == ARITHMETIC and weighted):
            self.unaccounted += 1
        self.unrecorded += fed and bool(results) and effect != MOVES
        if weighted and not fed:
            self.weights.propagate(given, results)
        self.origins.propagate(given, results)

    def since(self, mark: int) -> list[Step]:
        """Steps recorded after the first ``mark`` ones."""
        return self.trace.steps[mark:]

    def explained_by_functions(self, mark: int, given: list[Any], got: Any, settings: dict[str, Any]) -> bool:
        """Whether the functions recorded since ``mark`` are all that a layer without weights computes.

        True for one computing function, for crops, and for any data movement in a layer without settings. Otherwise
        the layer is recorded as one step of unknown kind and compared as a whole.
        """
        inner = self.since(mark)
        computed = [step.kind for step in inner if step.matchable]
        if computed:
            return len(computed) == 1 and (computed[0] != "merge" or len(given) > 1)
        cropped = all(step.kind in ("crop", "identity") for step in inner) and got is self._latest
        return bool(inner) and (cropped or not settings)

    def drop_since(self, mark: int) -> None:
        """Remove these steps: they are the inside of one layer, which may take the name of one of them."""
        for step in self.since(mark):
            self._calls[step.name.partition("#")[0]] -= 1
            for table in (self.trace.inputs, self.trace.others, self.trace.outputs):
                table.pop(step.name, None)
        del self.trace.steps[mark:]

    def rename_last(self, name: str, got: Any) -> None:
        """Call the step recorded last, whose output is ``got``, by another name: it is all that a layer computes."""
        step = self.trace.steps[-1]
        self._calls[step.name.partition("#")[0]] -= 1
        old, step.name = step.name, self.unique(name)
        for table in (self.trace.inputs, self.trace.others, self.trace.outputs):
            if old in table:
                table[step.name] = table.pop(old)
        self.origins.set(got, (step.name,))

    def drop_after_last_weights(self, mark: int) -> tuple[str, ...]:
        """Remove the steps after the last one with weights, which a block with weights of its own computes as a whole.

        Returns the names of the steps since ``mark`` that remain.
        """
        last = max(place for place, step in enumerate(self.trace.steps) if place >= mark and step.parametrised)
        self.drop_since(last + 1)
        return tuple(step.name for step in self.since(mark))

    def _host(self, step: Step, given: list[Any]) -> Step | None:
        """The layer that a crop belongs to, if it directly follows one."""
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
        self._computed = got
        if self.values and step.visible:
            self.trace.outputs[step.name] = self._to_numpy(got)
        value = self.replace.get(step.name)
        return got if value is None or value.shape != self._shape_of(got) else self._from_numpy(value, got)


def _settle(step: Step) -> None:
    """Settings that depend on the input: a resize to a size is by a factor, and to the present size it is none.

    Every interpolation that is known by name, adaptive pooling, and a slice of all there is leave an image of the same
    size as it is.
    """
    before, after = step.input_shape, step.output_shape
    if step.kind == "crop" and before == after:
        step.kind = "identity"
    if step.kind not in ("upsample", "global-pool") or len(before) != len(after):
        return
    sized = step.kind == "upsample" or "size" in step.attributes
    if sized and before == after and step.attributes["mode"] not in SMOOTHING:
        step.kind, step.attributes = "identity", {}
    elif step.kind == "upsample" and "factor" not in step.attributes and before[0] == after[0]:
        ratios = [m / n for n, m in zip(before, after, strict=True) if n]
        axes = ratios[1:-1] if before[-1] == after[-1] and before[1] != after[1] else ratios[2:]
        step.attributes["factor"] = [int(ratio) if ratio.is_integer() else ratio for ratio in axes]
    factors = step.attributes.get("factor")
    if step.kind == "upsample" and factors and min(factors) >= 1:
        step.attributes["mode"] = ENLARGING.get(step.attributes["mode"], step.attributes["mode"])
    if step.kind == "upsample" and factors and all(isinstance(n, int) for n in factors):
        step.attributes["mode"] = {"nearest-exact": "nearest"}.get(step.attributes["mode"], step.attributes["mode"])


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in getattr(tensor, "shape", ()))
