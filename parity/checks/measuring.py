"""Measuring a pair: its runs, which differences are of arrangement alone, and weights drawn afresh. Plain NumPy."""

from __future__ import annotations

from parity.checks.arrangement import forget_rearranged
from parity.checks.conditions import run_conditions, run_with_fresh_weights
from parity.checks.measurements import Measurements, compare_layers
from parity.transfer.aligned_models import AlignedModels


def measure(models: AlignedModels) -> Measurements:
    """Run both sides under every condition and compare every layer; weights are loaded in float64 and float32.

    Where both sides are arranged differently, values must also agree with weights drawn afresh: a ReLU behind a large
    bias changes nothing until its weights do.

    Raises:
        UnusableInput: the reference does not run in evaluation mode, or in float32.
    """
    models.load_weights("float64")
    models.load_weights("float32")
    conditions = run_conditions(models)
    layers = compare_layers(conditions)
    if forget_rearranged(models, conditions, layers):
        layers = compare_layers(conditions)
    if models.arrangement_differs and not models.brief:
        fresh = run_with_fresh_weights(models)
        conditions.append(fresh)
        layers += compare_layers([fresh])
    return Measurements(conditions, layers)
