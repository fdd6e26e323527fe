"""``parity.verify``: one reference, one port, one verdict."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

import keras
import numpy as np
from torch import nn

from parity.capture.keras_adapter import KerasSide
from parity.capture.source_lines import SourceLines
from parity.capture.torch_adapter import TorchSide
from parity.checks.context import CheckContext
from parity.checks.layer_rows import coverage, layer_rows
from parity.checks.registry import NETWORK, NETWORK_RUNGS, climb, select_rungs
from parity.transfer.aligned_models import prepare
from parity.verdict import Check, Finding, LayerRow, RungResult, UnusableInput, Verdict

LEARNING = ("gradients", "penalty")
PACKAGES = ("tensorflow", "keras", "torch", "numpy")


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
    name: str = "",
    progress: Callable[[str], None] | None = None,
) -> Verdict:
    """Measure whether ``port`` computes what ``reference`` computes, once it carries the reference's weights.

    The reference's weights are copied onto a copy of the port; neither of the caller's models is changed. Weights that
    are constant (fresh biases) get a spread on both copies, since a zero bias hides a missing one.

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
        name: what to call the pair in the verdict.
        progress: called with each rung's name as it begins.

    Raises:
        UnusableInput: nothing can be compared (unbuilt model, wrong input shape, NaN weights, unknown rung).
    """
    start = time.perf_counter()
    wanted = select_rungs(rungs, NETWORK)
    _check_kinds(reference, port)
    tell = progress or (lambda rung: None)
    tell("tracing")
    comparison = prepare(
        KerasSide(reference),
        TorchSide(port),
        _as_list(inputs),
        seed=seed,
        mapping=dict(mapping or {}),
        mirrored=mirrored,
        brief=brief,
    )
    context = CheckContext(comparison)
    results: dict[str, RungResult] = {}
    findings: list[Finding] = []
    for rung in wanted:
        tell(rung)
        results[rung], outcome = climb(NETWORK_RUNGS, rung, context)
        findings += outcome.findings
    checks = [check for result in results.values() for check in result.checks]
    rows = layer_rows(context, checks, SourceLines(reference, port))
    return Verdict(
        name or f"{reference.name} / {type(port).__name__}",
        results,
        rows,
        _worth_telling(findings),
        coverage(context, checks),
        _first_divergence(rows, findings, checks),
        _output_judged(context, checks),
        seed,
        versions(),
        seconds=time.perf_counter() - start,
    )


def versions() -> dict[str, str]:
    """Versions of what was measured with."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}


def _check_kinds(reference: Any, port: Any) -> None:
    if not isinstance(reference, keras.Model):
        hint = "; the reference comes first, the port second" if isinstance(reference, nn.Module) else ""
        raise UnusableInput(f"reference: got a {type(reference).__name__}, expected a keras.Model{hint}")
    if not isinstance(port, nn.Module):
        raise UnusableInput(f"port: got a {type(port).__name__}, expected a torch.nn.Module")


def _as_list(inputs: Sequence[np.ndarray] | np.ndarray | None) -> list[np.ndarray] | None:
    if inputs is None:
        return None
    arrays = [np.asarray(x) for x in ([inputs] if isinstance(inputs, np.ndarray) else inputs)]
    if any(x.ndim == 0 or not len(x) for x in arrays):
        raise UnusableInput(f"inputs of shape {[x.shape for x in arrays]}: expected at least one sample, batch first")
    if any(x.dtype.kind == "f" and not np.isfinite(x).all() for x in arrays):
        raise UnusableInput("inputs hold NaN or infinity: nothing can be compared on them")
    return [x.astype(np.float64) if x.dtype.kind == "f" else x for x in arrays]


def _worth_telling(findings: list[Finding]) -> list[Finding]:
    """One finding per kind and layer; unexplained gradients count only where the values themselves agree."""
    explained = any(finding.rung not in LEARNING for finding in findings)
    once = {(finding.kind, finding.layer, finding.reference_layer): finding for finding in reversed(findings)}
    return [f for f in reversed(once.values()) if not (explained and f.kind == "numeric" and f.rung in LEARNING)]


def _first_divergence(rows: list[LayerRow], findings: list[Finding], checks: list[Check]) -> LayerRow | None:
    """The first layer that is wrong by itself; failing that, the first that differs at all."""
    failing = [row for row in rows if row.judgement == "fail"]
    alone = {check.layer for check in checks if check.judgement == "fail" and not check.what.startswith("chained")}
    culprits = [
        row for row in failing if (row.reference_layer or row.layer) in alone and not row.note.startswith("right")
    ]
    named = {(f.layer, f.reference_layer) for f in findings}
    blamed = [row for row in culprits if (row.layer, row.reference_layer) in named]
    return next(iter(blamed or culprits or failing), None)


def _output_judged(context: CheckContext, checks: list[Check]) -> bool:
    if context.comparison.crash:
        return False
    if "measurements" not in vars(context) or not any(check.rung == "forward" for check in checks):
        return True
    return all(not r.chain_abstain for r in context.measurements.readings if r.match is None)
