"""What the diagnosis may look at for one layer, gathered from the runs under one condition. Plain NumPy."""

from __future__ import annotations

import numpy as np

from parity.capture.steps import Step, Trace
from parity.checks.conditions import Condition
from parity.diagnosis.evidence import Evidence
from parity.match.alignment import Match
from parity.numerics.spectral_norm import effective_kernel
from parity.transfer.aligned_models import AlignedModels

Array = np.ndarray


def gather_evidence(models: AlignedModels, match: Match, condition: Condition) -> Evidence | None:
    """The layer fed the reference's input, with its weights; None where that input was not recorded."""
    given = logical_input(condition.reference64, match.reference)
    expected = condition.reference64.outputs.get(match.key)
    if given is None or expected is None:
        return None
    layout = models.layouts.outputs[match.key]
    got = expected if match.key in condition.alike else condition.isolated.outputs.get(match.port.name)
    if got is not None and got is not expected:
        got = layout.to_reference(got) if got.ndim == expected.ndim or layout.order is not None else None
    weights = {slot: models.weights[match.key, slot] for slot in match.reference.shapes}
    weights = effective_weights(match.reference, weights, condition.training)
    values = (given, expected, got, weights)
    return Evidence(match, *values, condition.training, models.matching, condition.reference64, models.port_trace)


def effective_weights(step: Step, weights: dict[str, Array], training: bool) -> dict[str, Array]:
    """The weights that a layer computes with: a spectrally normalised kernel, with the kept one as ``original``."""
    if "spectral_norm" not in step.attributes:
        return weights
    kernel = effective_kernel(weights["kernel"], weights, step.kind, step.attributes, training)
    return {**weights, "original": weights["kernel"], **({} if kernel is None else {"kernel": kernel})}


def logical_input(trace: Trace, step: Step) -> Array | None:
    """The layer's input before any explicit padding layers right in front of it."""
    place = next(i for i, other in enumerate(trace.steps) if other.name == step.name)
    given = trace.inputs.get(step.name)
    shape = step.input_shape if given is None else given.shape
    for earlier in reversed(trace.steps[:place]):
        if earlier.kind != "padding" or earlier.output_shape != shape:
            break
        given, shape = trace.inputs.get(earlier.name), earlier.input_shape
    return given
