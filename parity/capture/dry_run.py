"""The first run of each side: on what inputs, in which layout, and how far the port gets. Plain NumPy."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from parity.capture import drawn_inputs
from parity.capture.steps import Trace
from parity.numerics.layouts import Layout, ordered
from parity.verdict import UnusableInput, first_line

Array = np.ndarray
IMAGE_FIRST = ("conv", "conv-transpose", "batchnorm", "pool", "global-pool", "upsample")
ATTEMPTS = 16
"""Ways of handing the inputs over that are tried at most: more than four inputs of open layout are rare."""


@dataclass(frozen=True)
class Trial:
    """A first run of the port; ``crash`` is its error where it stopped, in the module ``stopped``."""

    layouts: list[Layout]
    trace: Trace
    crash: str = ""
    stopped: str = ""


def first_runs(
    reference: Any, port: Any, inputs: list[Array] | None, seed: int, mirrored: bool, brief: bool
) -> tuple[list[Array], Trace, Trial]:
    """Both sides on the caller's inputs, or on two samples drawn for the reference (one if ``brief``): those inputs,
    the reference's trace and the port's trial.

    They run in float64, in which they are measured; where that fails, in float32 too, which tells whether it is the
    precision that they cannot take.

    Raises:
        UnusableInput: the reference does not run.
    """
    samples = 1 if brief else 2
    with suppress(UnusableInput):
        random, trace = run_reference(reference, inputs, seed, samples, "float64")
        trial = run_port(port, random, reference.input_names(), trace, mirrored, "float64")
        if not trial.crash:
            return random, trace, trial
    random, trace = run_reference(reference, inputs, seed, samples)
    trial = run_port(port, random, reference.input_names(), trace, mirrored)
    return random, trace, in_float64(reference, port, random, trial)


def run_reference(
    reference: Any, inputs: list[Array] | None, seed: int, samples: int = 2, dtype: str = "float32"
) -> tuple[list[Array], Trace]:
    """The reference on the caller's inputs, or on so many samples drawn for its shapes.

    Raises:
        UnusableInput: it does not run on them, or does not tell its input shape.
    """
    with reference.working(dtype):
        return _on_given(reference, inputs) if inputs is not None else _on_drawn(reference, seed, samples)


def run_port(
    port: Any, random: list[Array], names: list[str], reference_trace: Trace, mirrored: bool, dtype: str = "float32"
) -> Trial:
    """The port on the same inputs, in the layout that it accepts: the first under which its outputs fit, else the first
    under which it runs, else the one under which it gets furthest. Inputs are passed in the reference's order, or by
    their ``names`` where the port knows them."""
    computing = next((step.kind for step in reference_trace.steps if step.matchable), "")
    images = any(x.ndim > 3 for x in random) or computing in IMAGE_FIRST
    ways = product(*(_ways(x, images, mirrored) for x in random))
    trials: list[tuple[tuple[int, int], Trial]] = []
    port.take_names(names)
    with port.working(dtype):
        for _, way in zip(range(ATTEMPTS), ways, strict=False):
            layouts = list(way)
            trace, crash = port.attempt([layout.to_port(x) for layout, x in zip(layouts, random, strict=True)])
            trial = Trial(layouts, trace, crash, port.stopped if crash else "")
            if not crash and _fits(reference_trace, trace):
                return trial
            reached = sum(bool(step.output_shape) for step in trace.steps)
            trials.append(((not crash, 0 if not crash else reached), trial))
    return max(trials, key=lambda ranked: ranked[0])[1]


def in_float64(reference: Any, port: Any, random: list[Array], trial: Trial) -> Trial:
    """The same trial, or its failure where a side does not run in float64, in which everything is measured.

    Raises:
        UnusableInput: the reference does not.
    """
    with reference.working("float64"):
        try:
            reference.run(random, values=False)
        except Exception as error:
            raise UnusableInput(
                f"the reference does not run in float64, in which parity measures ({_reason(error)}): give "
                "constants the dtype of what they meet (ops.cast(0.5, x.dtype))"
            ) from error
    if trial.crash:
        return trial
    with port.working("float64"):
        trace, crash = port.attempt([layout.to_port(x) for layout, x in zip(trial.layouts, random, strict=True)])
    return Trial(trial.layouts, trace, f"in float64: {crash}", port.stopped) if crash else trial


def _ways(x: Array, images: bool, mirrored: bool) -> list[Layout]:
    """The layouts in which a port may take an input, the likeliest first."""
    if x.ndim < 2 or x.ndim == 2 and x.dtype.kind != "f":
        return [Layout()]
    count = int(np.prod(x.shape[1:]))
    column = ordered(np.arange(count), x.shape, (len(x), count, 1, 1))
    if x.ndim == 2:
        return [Layout(), column]
    first, plain = Layout(channels_first=True, mirrored=mirrored), Layout(mirrored=mirrored)
    ways = [first, plain] if images else [plain, first]
    if all(n == 1 for n in x.shape[1:-1]):
        ways.append(ordered(np.arange(count), x.shape, (len(x), count)))
    return ways


def _fits(reference_trace: Trace, trace: Trace) -> bool:
    pairs = zip(reference_trace.result, trace.result, strict=False)
    same = len(reference_trace.result) == len(trace.result)
    return same and all(any(Layout(first).fits(a.shape, b.shape) for first in (True, False)) for a, b in pairs)


def _on_given(reference: Any, inputs: list[Array]) -> tuple[list[Array], Trace]:
    expected = reference.input_specs()
    if expected is not None and len(expected) == len(inputs):
        inputs = [x if "int" in dtype else x.astype(np.float64) for x, (_, dtype) in zip(inputs, expected, strict=True)]
    try:
        return inputs, reference.run(inputs, values=False)
    except Exception as error:
        raise UnusableInput(
            f"the reference does not accept inputs of shape {[x.shape for x in inputs]}"
            + (f"; it expects {[shape for shape, _ in expected]}" if expected else "")
            + f" (batch first, channels last): {_reason(error)}"
        ) from error


def _on_drawn(reference: Any, seed: int, samples: int) -> tuple[list[Array], Trace]:
    specs = reference.input_specs()
    if specs is None:
        raise UnusableInput(
            "the reference does not tell its input shape: pass inputs=, NumPy arrays in its own layout "
            "(on the command line --input N,H,W,C)"
        )
    shapes = [shape for shape, _ in specs]
    error: Exception | None = None
    for size in range(len(drawn_inputs.FREE_SIZES)):
        try:
            if reference.embeds():  # indices into an embedding are told by a run on what every embedding has
                zeros = [np.zeros(drawn_inputs.closed(shape, samples, size), _kind(dtype)) for shape, dtype in specs]
                trace = reference.run(zeros, values=False)
                return drawn_inputs.draw(shapes, _vocabularies(specs, trace), samples, seed, size), trace
            random = drawn_inputs.draw(shapes, _vocabularies(specs, Trace()), samples, seed, size)
            return random, reference.run(random, values=False)
        except UnusableInput:
            raise
        except Exception as failed:
            error = failed
            if all(n is not None for shape in shapes for n in shape[1:]):
                break
    raise UnusableInput(f"the reference does not run on inputs drawn for {specs}: {_reason(error)}") from error


def _reason(error: Exception | None) -> str:
    """The error in one line, without Keras's frame around it."""
    lines = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    return f"{type(error).__name__}: {telling[0]}" if telling else first_line(error)


def _kind(dtype: str) -> str:
    return "int64" if "int" in dtype else "float64"


def _vocabularies(specs: list[Any], trace: Trace) -> list[int | None]:
    """Of how many kinds the integers of each input are: indices into an embedding, or else 0 and 1."""
    found: list[int | None] = []
    for number, (_, dtype) in enumerate(specs):
        sizes = [step.attributes["vocabulary"] for step in trace.steps
                 if step.kind == "embedding" and f"input {number}" in step.sources[0]]  # fmt: skip
        found.append(min(sizes) if sizes else 2 if "int" in dtype else None)
    return found
