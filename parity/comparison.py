"""A reference and its port, prepared for measuring: traced, matched, laid out, and given the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parity import probes
from parity.layouts import Layout, Layouts, find_layouts
from parity.matching import Matching, match_steps
from parity.tracing.steps import Trace
from parity.verdict import UnusableInput, first_line

Array = np.ndarray
NEUTRAL = {"gamma": 1.0, "beta": 0.0, "bias": 0.0}
IMAGE_FIRST = ("conv", "conv-transpose", "batchnorm", "pool", "global-pool", "upsample")


class WeightMismatch(ValueError):
    """The two models' weights do not correspond; the message lists every key and shape that is in the way."""


@dataclass(frozen=True)
class Conflict:
    """One parameter that cannot cross."""

    layer: str
    reference_layer: str
    slot: str
    message: str


@dataclass
class Comparison:
    """Everything that the rungs measure with.

    ``random`` is a random batch in the reference's layout; ``weights`` maps (reference step, slot) to the float64
    value both sides are given. ``crash`` is the port's error where it cannot run what the reference runs.
    """

    reference: Any
    port: Any
    random: list[Array]
    matching: Matching
    layouts: Layouts
    reference_trace: Trace
    port_trace: Trace
    weights: dict[tuple[str, str], Array]
    conflicts: list[Conflict]
    seed: int = 0
    crash: str = ""
    enlivened: list[str] = field(default_factory=list)

    @contextmanager
    def working(self, dtype: str) -> Iterator[None]:
        """Both sides in ``dtype``, carrying the same weights."""
        with ExitStack() as stack:
            stack.enter_context(self.reference.working(dtype))
            stack.enter_context(self.port.working(dtype))
            self.load()
            yield

    def load(self) -> None:
        """Give both sides :attr:`weights`; parameters that only the port has get their neutral value."""
        blocked = {(conflict.reference_layer, conflict.slot) for conflict in self.conflicts}
        for match in self.matching.matches:
            crossing = self.layouts.crossing(match)
            for slot in match.reference.shapes:
                value = self.weights[match.key, slot]
                self.reference.write(match.reference, slot, value)
                if slot in match.port.shapes and (match.key, slot) not in blocked:
                    self.port.write(match.port, slot, crossing.to_torch(slot, value))
            for slot in set(match.port.shapes) - set(match.reference.shapes):
                if slot in NEUTRAL:
                    self.port.write(match.port, slot, np.full(match.port.shapes[slot], NEUTRAL[slot]))
        self.reference.keep_state()
        self.port.keep_state()

    def to_port(self, inputs: list[Array]) -> list[Array]:
        """Network inputs in the port's layout."""
        return [layout.to_port(x) for layout, x in zip(self.layouts.inputs, inputs, strict=True)]


def prepare(
    reference: Any,
    port: Any,
    inputs: list[Array] | None = None,
    *,
    seed: int = 0,
    mapping: dict[str, str] | None = None,
    mirrored: bool = False,
    enliven: bool = True,
) -> Comparison:
    """Trace both sides in evaluation mode, match their layers, find every layout, and settle the weights.

    Raises:
        UnusableInput: the reference cannot run the inputs, or a weight is NaN or infinite.
    """
    random, reference_trace = _reference_run(reference, inputs, seed)
    input_layouts, port_trace, crash = _port_run(port, random, reference_trace, mirrored)
    matching = match_steps(reference_trace.steps, port_trace.steps, mapping)
    layouts = Layouts(input_layouts, mirrored=mirrored)
    to_port = lambda arrays: [layout.to_port(x) for layout, x in zip(input_layouts, arrays, strict=True)]  # noqa: E731
    if not crash:
        with reference.working("float64"), port.working("float64"):
            layouts = find_layouts(
                matching,
                input_layouts,
                lambda values: reference.run(random, replace=values),
                lambda values: port.run(to_port(random), replace=values),
                mirrored,
                seed,
            )
    comparison = Comparison(
        reference, port, random, matching, layouts, reference_trace, port_trace, {}, [], seed, crash
    )
    comparison.conflicts = find_conflicts(comparison)
    _settle_weights(comparison, enliven)
    return comparison


def find_conflicts(comparison: Comparison) -> list[Conflict]:
    """Every parameter without a counterpart of the right shape, in execution order."""
    conflicts = []
    for match in comparison.matching.matches:
        a, b = match.reference, match.port
        crossing = comparison.layouts.crossing(match)
        for slot in [*a.shapes, *(slot for slot in b.shapes if slot not in a.shapes)]:
            if slot not in b.shapes:
                message = f"{a.name}.{slot} {a.shapes[slot]} has no counterpart in {b.name}"
            elif slot not in a.shapes:
                message = f"{b.name}.{slot} {b.shapes[slot]} has no counterpart in {a.name}"
            else:
                try:
                    crossed = crossing.to_torch(slot, np.empty(a.shapes[slot], np.int8)).shape
                except (IndexError, ValueError):
                    crossed = None
                if crossed == tuple(b.shapes[slot]):
                    continue
                message = f"{a.name}.{slot} {a.shapes[slot]} becomes {crossed}, but {b.name} holds {b.shapes[slot]}"
            conflicts.append(Conflict(b.name, a.name, slot, message))
    for step in comparison.matching.only_reference:
        conflicts += [
            Conflict("", step.name, slot, f"{step.name}.{slot} {shape} finds no layer in the port")
            for slot, shape in step.shapes.items()
        ]
    for step in comparison.matching.only_port:
        conflicts += [
            Conflict(step.name, "", slot, f"{step.name}.{slot} {shape} finds no layer in the reference")
            for slot, shape in step.shapes.items()
        ]
    conflicts += [
        Conflict("", path, "", f"{path} belongs to no layer that ran in the reference")
        for path in comparison.reference.unclaimed(comparison.reference_trace.steps)
    ]
    if not comparison.crash:
        conflicts += [
            Conflict(path, "", "", f"{path} belongs to no layer that ran in the port")
            for path in comparison.port.unclaimed(comparison.port_trace.steps)
        ]
    return conflicts


def _settle_weights(comparison: Comparison, enliven: bool) -> None:
    sick = []
    for number, match in enumerate(comparison.matching.matches):
        for slot in match.reference.shapes:
            value = comparison.reference.read(match.reference, slot).astype(np.float64)
            if not np.isfinite(value).all():
                sick.append(f"{match.key}.{slot} ({int((~np.isfinite(value)).sum())} of {value.size} values)")
            rng = np.random.default_rng([comparison.seed, number, *slot.encode()])
            lively = probes.lively(slot, value, rng) if enliven else value
            if lively is not value:
                comparison.enlivened.append(f"{match.key}.{slot}")
            comparison.weights[match.key, slot] = lively
    if sick:
        raise UnusableInput(f"the reference's weights hold NaN or infinity: {', '.join(sick)}; nothing can be compared")
    sick = [name for name, array in comparison.port.named_arrays().items() if not np.isfinite(array).all()]
    if sick:
        raise UnusableInput(f"the port's weights hold NaN or infinity: {', '.join(sick)}; nothing can be compared")


def _reference_run(reference: Any, inputs: list[Array] | None, seed: int) -> tuple[list[Array], Trace]:
    if inputs is not None:
        try:
            return inputs, reference.run(inputs)
        except Exception as error:
            expected = reference.input_specs()
            raise UnusableInput(
                f"the reference does not accept inputs of shape {[x.shape for x in inputs]}"
                + (f"; it expects {[shape for shape, _ in expected]}" if expected else "")
                + f" (batch first, channels last): {first_line(error)}"
            ) from error
    specs = reference.input_specs()
    if specs is None:
        raise UnusableInput(
            "the reference does not tell its input shape: pass inputs=, NumPy arrays in its own layout "
            "(on the command line --input N,H,W,C)"
        )
    error: Exception | None = None
    for size in range(len(probes.FREE_SIZES)):
        shapes = [shape for shape, _ in specs]
        try:
            vocabularies = _vocabularies(reference, specs, seed, size)
            random = probes.draw(shapes, vocabularies, 2, seed, size)
            return random, reference.run(random)
        except UnusableInput:
            raise
        except Exception as failed:
            error = failed
            if all(n is not None for shape in shapes for n in shape[1:]):
                break
    raise UnusableInput(f"the reference does not run on inputs drawn for {specs}: {first_line(error)}") from error


def _vocabularies(reference: Any, specs: list[Any], seed: int, size: int) -> list[int | None]:
    """Which inputs are indices into an embedding, told by a run on zeros."""
    zeros = [
        np.zeros(probes.closed(shape, 1, size), "int64" if "int" in dtype else "float64") for shape, dtype in specs
    ]
    trace = reference.run(zeros)
    found: list[int | None] = []
    for x, (_, dtype) in zip(zeros, specs, strict=True):
        sizes = [step.attributes["vocabulary"] for step in trace.steps
                 if step.kind == "embedding" and step.input_shape == x.shape]  # fmt: skip
        found.append(min(sizes) if sizes else 2 if "int" in dtype else None)
    return found


def _port_run(
    port: Any, random: list[Array], reference_trace: Trace, mirrored: bool
) -> tuple[list[Layout], Trace, str]:
    computing = next((step.kind for step in reference_trace.steps if step.matchable), "")
    images = any(x.ndim > 3 for x in random) or computing in IMAGE_FIRST
    attempts = []
    for first in (images, not images):
        layouts = [Layout(channels_first=first and x.ndim > 2, mirrored=mirrored and x.ndim > 2) for x in random]
        trace, crash = port.attempt([layout.to_port(x) for layout, x in zip(layouts, random, strict=True)])
        if not crash:
            return layouts, trace, ""
        attempts.append((len(trace.steps), not attempts, layouts, trace, crash))
    _, _, layouts, trace, crash = max(attempts, key=lambda attempt: attempt[:2])
    return layouts, trace, crash
