"""Running both sides of a large pair without keeping what they compute. Plain NumPy.

One network at a time, one precision at a time: the reference's values of one condition are held, the port's are
compared as they come. Weights that are many are freed as soon as a side has run. What the diagnosis of a failure
needs is computed again (:class:`parity.checks.conditions.Condition`).
"""

from __future__ import annotations

from dataclasses import replace

from parity.checks.comparison import Comparison
from parity.checks.conditions import (
    Condition,
    isolate,
    run_in_training,
    run_port32,
    run_port64,
    run_reference32,
    run_reference64,
)
from parity.checks.layer_measurement import SameConstants
from parity.checks.rounded_constants import describe_constants, known_constants, taking
from parity.numerics.constants import KnownConstants


def run_frugally(condition: Condition, constants: KnownConstants | None = None) -> None:
    """Run both sides under a condition in both precisions, and enter its measurements.

    The reference's float64 values are kept for evaluation, from which paddings are measured and a referee computes.
    ``constants`` replace the port's in float64.
    """
    models, first = condition.models, condition.keeps_reference
    condition.measured, condition.alike = None, frozenset()
    condition.traces.clear()
    with models.reference_in("float64"):
        runs = run_reference64(condition)
        if runs:
            run_in_training(condition, "reference64")
    models.release("reference", "float64")
    if runs:
        with models.reference_in("float32"):
            run_reference32(condition)
        _run_port(condition, constants)
    for name in list(condition.traces):
        if not (first and name == "reference64") and (name != "port64"):
            del condition.traces[name]


def compare_frugally_with_same_constants(condition: Condition) -> SameConstants | None:
    """Run both sides once more with the reference's constants in the port; None if it has them."""
    models = condition.models
    with models.reference_in("float64"):
        known = known_constants(models, condition.inputs, condition.training)
    models.release("reference", "float64")
    if known is None:
        return None
    with models.port_in("float64"), taking(models.port, known):
        models.port.run(models.to_port(condition.inputs), condition.training, values=False)
    models.release("port", "float64")
    if not known.exchanged:
        return None
    again = replace(condition, traces={}, keeps_reference=False)
    run_frugally(again, known)
    return None if again.measured is None else SameConstants(again.measured, describe_constants(known.exchanged))


def _run_port(condition: Condition, constants: KnownConstants | None) -> None:
    models = condition.models
    comparison = Comparison(condition, condition.reference64, condition.reference32, keep=False)
    with models.port_in("float64"), taking(models.port, constants):
        runs = run_port64(condition, comparison.take_chained)
        if runs:
            isolate(condition, comparison.take_isolated)
            run_in_training(condition, "port64")
    models.release("port", "float64")
    if not runs:
        return
    with models.port_in("float32"):
        run_port32(condition, comparison.take_single)
    models.release("port", "float32")
    if not condition.refused:
        condition.measured = comparison.layers()
        condition.alike = comparison.alike()
