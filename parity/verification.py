"""``parity.verify``: one reference, one port, one verdict."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import metadata

import keras
import numpy as np
from torch import nn

from parity.capture.devices import validate_device
from parity.capture.dry_run import first_runs
from parity.capture.keras_adapter import KerasAdapter
from parity.capture.random_numbers import with_own_random_numbers
from parity.capture.source_lines import SourceLines
from parity.capture.torch_adapter import TorchAdapter
from parity.capture.torch_containers import is_module
from parity.checks.climbing import Climbed, climb_all
from parity.checks.context import CheckContext
from parity.checks.layer_rows import coverage, layer_rows, output_judged
from parity.checks.measuring import measure
from parity.checks.notes import notes
from parity.checks.registry import NETWORK, NETWORK_RUNGS, rungs_of, select_rungs
from parity.checks.withdrawal import withdraw_without_effect
from parity.diagnosis.causes import diagnose
from parity.match.alignment import match_steps
from parity.transfer.aligned_models import AlignedModels, align, check_finite
from parity.verdict import Scope, UnusableInput, Verdict

WEIGHTLESS = ("structure", "shapes", "padding")  # rungs whose measurements are not the weights' own
PACKAGES = ("tensorflow", "keras", "torch", "numpy")


@with_own_random_numbers
def verify(
    reference: keras.Model,
    port: nn.Module,
    inputs: Sequence[np.ndarray] | np.ndarray | None = None,
    *,
    rungs: Iterable[str] | None = None,
    seed: int = 0,
    mapping: Mapping[str, str] | None = None,
    mirrored: bool = False,
    brief: bool = False,
    scope: Scope = "training",
    copy_weights: bool = True,
    device: str = "cpu",
    name: str = "",
    progress: Callable[[str], None] | None = None,
) -> Verdict:
    """Measure whether ``port`` computes what ``reference`` computes, with the reference's weights or its own.

    The reference's weights are copied onto a copy of the port; neither of the caller's models is changed. Weights that
    are constant (fresh biases) get a spread on both copies, since a zero bias hides a missing one. Without
    ``copy_weights`` nothing is copied or spread: what the caller's own conversion put into the port is judged.

    Args:
        reference: a built Keras model, functional, sequential or subclassed, channels last.
        port: the torch module that stands for it, channels first, inputs in the same order.
        inputs: NumPy arrays in the reference's layout (batch first, at least one sample); None draws them from the
            reference's input shapes.
        rungs: names of the rungs to climb (default: all).
        seed: of everything drawn.
        mapping: ``{reference layer: port layer}``, overruling the matching.
        mirrored: compare in a mirror: images flipped at the edge of the network, kernels flipped in the copy.
        brief: compare values in evaluation mode alone, on one batch (a random sample, or ``inputs``, and an impulse):
            for networks that take seconds to run.
        scope: what the port is for. ``inference`` leaves out everything that only training sees (dropout, momenta,
            training mode, gradients, state).
        copy_weights: False judges the weights that the port holds, layer by layer, and names how a wrong copy was made;
            the rung ``weights`` is then always climbed.
        device: where both are measured: ``cpu``, also on a machine with a GPU, or ``cuda``.
        name: what to call the pair in the verdict.
        progress: called with ``tracing``, ``measuring`` and each rung's name as these begin.

    Raises:
        UnusableInput: nothing can be compared (unbuilt model, wrong input shape, NaN weights, unknown rung).
    """
    start = time.perf_counter()
    wanted, begin = select_rungs(rungs, rungs_of(scope)), progress or _silent
    if not copy_weights:
        wanted = [rung for rung in NETWORK_RUNGS if rung in wanted or rung == "weights"]
    _check_types(reference, port)
    begin("tracing")
    device = validate_device(device)
    sides, given = (KerasAdapter(reference, device), TorchAdapter(port, device)), _checked_inputs(inputs)
    check_finite(*sides)

    # capture
    runs = first_runs(*sides, given, seed, mirrored, brief)
    # match
    matching = match_steps(runs.reference, runs.port.trace, _checked_mapping(mapping))
    # transfer weights
    aligned = partial(align, *sides, runs, matching, seed=seed, mirrored=mirrored, brief=brief, scope=scope)
    models = aligned(copy_weights=copy_weights)
    # measure, check, and explain each layer that fails
    context, climbed = _judge(models, wanted, begin)
    if models.held is not None and not models.crash and (models.held.wrong or models.held.unneutral):
        others = [rung for rung in wanted if rung != "weights"]
        _separate(climbed, _judge(aligned(), others, begin)[1])
    # diagnose
    rows = layer_rows(context, climbed, SourceLines(reference, sides[1].original))
    diagnosis = diagnose(climbed.findings, climbed.checks, rows)
    # report
    return Verdict(
        name or f"{reference.name} / {type(port).__name__}",
        climbed.results,
        rows,
        diagnosis.findings,
        coverage(context),
        diagnosis.first_divergence,
        output_judged(context, climbed),
        seed,
        versions(),
        seconds=time.perf_counter() - start,
        scope=scope,
        not_asked=[rung for rung in NETWORK if rung not in wanted],
        weights="copied" if copy_weights else "own",
        notes=notes(context, climbed),
    )


def _judge(models: AlignedModels, wanted: list[str], begin: Callable[[str], object]) -> tuple[CheckContext, Climbed]:
    """Run both sides if any rung needs values, and climb."""
    needed = any(NETWORK_RUNGS[rung].measures for rung in wanted) and not models.crash
    if needed:
        begin("measuring")
    context = CheckContext(models, measure(models) if needed else None)
    climbed = withdraw_without_effect(climb_all(NETWORK_RUNGS, wanted, context, begin))
    # Of two layers that the port shares, one must differ: the rung ``weights`` says so.
    shared = {layer for conflict in models.conflicts if conflict.shared == "port" for layer, _ in conflict.keys}
    climbed.findings = [one for one in climbed.findings if one.kind != "numeric" or one.reference_layer not in shared]
    return context, climbed


def _separate(own: Climbed, right: Climbed) -> None:
    """Tell wrong weights from what else is wrong, which shows with ``right`` weights.

    Nothing that only follows from wrong weights stays a finding. The values, gradients and states judged remain those
    of the port's ``own`` weights.
    """
    own.results |= {name: right.results[name] for name in WEIGHTLESS if name in right.results}
    own.findings = [finding for finding in own.findings if finding.rung == "weights"] + right.findings
    own.paddings = right.paddings


def versions() -> dict[str, str]:
    """Versions of what was measured with."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}


def _silent(stage: str) -> None:
    """The progress callback of those who want none."""


def _check_types(reference: object, port: object) -> None:
    if not isinstance(reference, keras.Model):
        hint = "; the reference comes first, the port second" if isinstance(reference, nn.Module) else ""
        raise UnusableInput(f"reference: got a {type(reference).__name__}, expected a keras.Model{hint}")
    if not is_module(port):
        raise UnusableInput(f"port: got a {type(port).__name__}, expected a torch.nn.Module")


def _checked_mapping(mapping: Mapping[str, str] | None) -> dict[str, str]:
    if mapping is None:
        return {}
    if not isinstance(mapping, Mapping) or not all(isinstance(x, str) for pair in mapping.items() for x in pair):
        raise UnusableInput(f"mapping: got {mapping!r}, expected {{reference layer: port layer}}, both by name")
    return dict(mapping)


def _checked_inputs(inputs: Sequence[np.ndarray] | np.ndarray | None) -> list[np.ndarray] | None:
    """The caller's inputs as arrays, floating ones in float64."""
    if inputs is None:
        return None
    if not isinstance(inputs, (np.ndarray, list, tuple)):
        raise UnusableInput(f"inputs: got a {type(inputs).__name__}, expected NumPy arrays in the reference's layout")
    arrays = [np.asarray(x) for x in ([inputs] if isinstance(inputs, np.ndarray) else inputs)]
    if any(x.ndim == 0 or not len(x) for x in arrays):
        raise UnusableInput(f"inputs of shape {[x.shape for x in arrays]}: expected at least one sample, batch first")
    if any(x.dtype.kind == "f" and not np.isfinite(x).all() for x in arrays):
        raise UnusableInput("inputs hold NaN or infinity: nothing can be compared on them")
    return [x.astype(np.float64) if x.dtype.kind == "f" else x for x in arrays]
