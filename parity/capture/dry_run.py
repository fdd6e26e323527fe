"""Dry runs: on which inputs the reference runs, and in which layout the port accepts them. Plain NumPy."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import product

import numpy as np

from parity.capture import drawn_inputs
from parity.capture.adapter import ModelAdapter
from parity.capture.steps import Trace
from parity.numerics.array_layouts import Layout, reordered
from parity.verdict import UnusableInput, first_line

Array = np.ndarray
IMAGE_FIRST = ("conv", "conv-transpose", "batchnorm", "pool", "global-pool", "upsample")
ATTEMPTS = 16
"""Largest number of input layouts that are tried: more than four inputs of ambiguous layout are rare."""


@dataclass(frozen=True)
class DryRun:
    """A run of the port on ``layouts`` of its inputs; ``crash`` is its error in one line, ``stopped`` the module that
    raised it, both empty if it ran to its end."""

    layouts: list[Layout]
    trace: Trace
    crash: str = ""
    stopped: str = ""


@dataclass(frozen=True)
class FirstRuns:
    """Both sides' first runs on the same ``inputs``, which are in the reference's layout; ``given`` by the caller or
    drawn."""

    inputs: list[Array]
    reference: Trace
    port: DryRun
    given: bool = False


def first_runs(
    reference: ModelAdapter, port: ModelAdapter, inputs: list[Array] | None, seed: int, mirrored: bool, brief: bool
) -> FirstRuns:
    """Run both sides on the caller's inputs, or on two samples drawn for the reference (one if ``brief``).

    Both run in float64, in which they are measured; if that fails, in float32 too, which shows whether float64 is the
    reason.

    Raises:
        UnusableInput: the reference does not run.
    """
    samples = 1 if brief else 2
    with suppress(UnusableInput):
        random, trace = run_reference(reference, inputs, seed, samples, "float64")
        dry_run = run_port(port, random, reference.input_names(), trace, mirrored, "float64")
        if not dry_run.crash:
            return FirstRuns(random, trace, dry_run, inputs is not None)
    random, trace = run_reference(reference, inputs, seed, samples)
    dry_run = run_port(port, random, reference.input_names(), trace, mirrored)
    return FirstRuns(random, trace, in_float64(reference, port, random, dry_run), inputs is not None)


def run_reference(
    reference: ModelAdapter, inputs: list[Array] | None, seed: int, samples: int = 2, dtype: str = "float32"
) -> tuple[list[Array], Trace]:
    """Run the reference on the caller's inputs, or on ``samples`` samples drawn for its input shapes.

    Raises:
        UnusableInput: it does not run on them, or does not declare its input shapes.
    """
    with reference.precision(dtype):
        return _run_given(reference, inputs) if inputs is not None else _run_drawn(reference, seed, samples)


def run_port(
    port: ModelAdapter,
    random: list[Array],
    names: list[str],
    reference_trace: Trace,
    mirrored: bool,
    dtype: str = "float32",
) -> DryRun:
    """Run the port on the same inputs, in the layout that it accepts.

    That is the first layout under which its output shapes fit, else the first under which it runs, else the one under
    which most of its layers run. Inputs are passed in the reference's order, or by ``names`` if the port knows them.
    """
    computing = next((step.kind for step in reference_trace.steps if step.matchable), "")
    images = any(x.ndim > 3 for x in random) or computing in IMAGE_FIRST
    candidates = product(*(_input_layouts(x, images, mirrored) for x in random))
    tried: list[tuple[tuple[int, int], DryRun]] = []
    port.pass_inputs_by_name(names)
    port.return_outputs_by_name(reference_trace.names)
    with port.precision(dtype):
        for _, candidate in zip(range(ATTEMPTS), candidates, strict=False):
            layouts = list(candidate)
            attempt = port.attempt([layout.to_port(x) for layout, x in zip(layouts, random, strict=True)])
            dry_run = DryRun(layouts, attempt.trace, attempt.message, attempt.failed_module)
            if attempt.error is None and _shapes_fit(reference_trace, attempt.trace):
                return dry_run
            layers_run = sum(bool(step.output_shape) for step in attempt.trace.steps)
            tried.append(((attempt.error is None, 0 if attempt.error is None else layers_run), dry_run))
    return max(tried, key=lambda ranked: ranked[0])[1]


def in_float64(reference: ModelAdapter, port: ModelAdapter, random: list[Array], dry_run: DryRun) -> DryRun:
    """The dry run, replaced by its failure if the port does not run in float64, in which everything is measured.

    Raises:
        UnusableInput: the reference does not run in float64.
    """
    with reference.precision("float64"):
        attempt = reference.attempt(random)
    if attempt.error is not None:
        raise UnusableInput(
            f"the reference does not run in float64, in which parity measures ({_reason(attempt.error)}): give "
            "constants the dtype of what they meet (ops.cast(0.5, x.dtype))"
        ) from attempt.error
    if dry_run.crash:
        return dry_run
    with port.precision("float64"):
        attempt = port.attempt([layout.to_port(x) for layout, x in zip(dry_run.layouts, random, strict=True)])
    if attempt.error is None:
        return dry_run
    return DryRun(dry_run.layouts, attempt.trace, f"in float64: {attempt.message}", attempt.failed_module)


def _input_layouts(x: Array, images: bool, mirrored: bool) -> list[Layout]:
    """The layouts in which a port may accept an input, the likeliest first."""
    if x.ndim < 2 or x.ndim == 2 and x.dtype.kind != "f":
        return [Layout()]
    count = int(np.prod(x.shape[1:]))
    column = reordered(np.arange(count), x.shape, (len(x), count, 1, 1))
    if x.ndim == 2:
        return [Layout(), column]
    first, plain = Layout(channels_first=True, mirrored=mirrored), Layout(mirrored=mirrored)
    layouts = [first, plain] if images else [plain, first]
    if all(n == 1 for n in x.shape[1:-1]):
        layouts.append(reordered(np.arange(count), x.shape, (len(x), count)))
    return layouts


def _shapes_fit(reference_trace: Trace, trace: Trace) -> bool:
    """Whether every output of the port has the shape of the reference's in one of both layouts."""
    pairs = zip(reference_trace.result, trace.result, strict=False)
    same = len(reference_trace.result) == len(trace.result)
    return same and all(any(Layout(first).fits(a.shape, b.shape) for first in (True, False)) for a, b in pairs)


def _run_given(reference: ModelAdapter, inputs: list[Array]) -> tuple[list[Array], Trace]:
    expected, inputs = reference.input_specs(), reference.channels_last(inputs)
    if expected is not None and len(expected) == len(inputs):
        inputs = [_as_declared(x, dtype) for x, (_, dtype) in zip(inputs, expected, strict=True)]
    attempt = reference.attempt(inputs)
    if attempt.error is not None:
        raise UnusableInput(
            f"the reference does not accept inputs of shape {[x.shape for x in inputs]}"
            + (f"; it expects {[shape for shape, _ in expected]}" if expected else "")
            + f" (batch first, channels last): {_reason(attempt.error)}"
        ) from attempt.error
    return inputs, attempt.trace


def _as_declared(x: Array, dtype: str) -> Array:
    """The array as an input of ``dtype``; floating ones are compared in float64."""
    if dtype == "bool" or "int" in dtype:
        return x.astype(dtype)
    return x.astype(np.float64) if x.dtype.kind in "biuf" else x


def _run_drawn(reference: ModelAdapter, seed: int, samples: int) -> tuple[list[Array], Trace]:
    specs = reference.input_specs()
    if specs is None:
        raise UnusableInput(
            "the reference does not tell its input shape: pass inputs=, NumPy arrays in its own layout "
            "(on the command line --input N,H,W,C)"
        )
    unknown = [dtype for _, dtype in specs if not any(word in dtype for word in ("float", "int", "bool"))]
    if unknown:
        raise UnusableInput(
            f"the reference takes inputs of dtype {', '.join(unknown)}, of which no port can be fed the same: compare "
            "the network behind the layer that turns them into numbers"
        )
    shapes = [shape for shape, _ in specs]
    error: Exception | None = None
    for size in range(len(drawn_inputs.FREE_SIZES)):
        try:
            if reference.has_embedding():  # a run on zeros, valid in every embedding, shows the vocabularies
                zeros = [np.zeros(drawn_inputs.full_shape(shape, samples, size), _numpy_dtype(dtype))
                         for shape, dtype in specs]  # fmt: skip
                trace = reference.run(zeros, values=False)
                return _drawn(specs, trace, samples, seed, size), trace
            random = _drawn(specs, Trace(), samples, seed, size)
            return random, reference.run(random, values=False)
        except UnusableInput:
            raise
        except Exception as failed:
            error = failed
            if all(n is not None for shape in shapes for n in shape[1:]):
                break
    raise UnusableInput(f"the reference does not run on inputs drawn for {specs}: {_reason(error)}") from error


def _reason(error: Exception | None) -> str:
    """The error in one line, without the text that Keras puts around it."""
    lines = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in str(error).splitlines()]
    relevant = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    return f"{type(error).__name__}: {relevant[0]}" if relevant else first_line(error)


def _drawn(
    specs: list[tuple[tuple[int | None, ...], str]], trace: Trace, samples: int, seed: int, size: int
) -> list[Array]:
    shapes = [shape for shape, _ in specs]
    random = drawn_inputs.draw(shapes, _vocabularies(specs, trace), samples, seed, size)
    return [_as_declared(x, dtype) for x, (_, dtype) in zip(random, specs, strict=True)]


def _numpy_dtype(dtype: str) -> str:
    return dtype if "int" in dtype or dtype == "bool" else "float64"


def _vocabularies(specs: list[tuple[tuple[int | None, ...], str]], trace: Trace) -> list[int | None]:
    """For each input the number of valid integers (an embedding's vocabulary, else 2); None for other inputs."""
    found: list[int | None] = []
    for number, (_, dtype) in enumerate(specs):
        sizes = [step.attributes["vocabulary"] for step in trace.steps
                 if step.kind == "embedding" and f"input {number}" in step.sources[0]]  # fmt: skip
        found.append(min(sizes) if sizes else 2 if "int" in dtype or dtype == "bool" else None)
    return found
