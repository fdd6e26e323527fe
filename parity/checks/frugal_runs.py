"""Running both sides of a large pair without keeping what they compute. Plain NumPy.

One network at a time, one precision at a time: the reference's values of one condition are held, the port's are
compared as they come. Weights that are many are freed as soon as a side has run. What the diagnosis of a failure
needs is computed again (:class:`parity.checks.conditions.Condition`).
"""

from __future__ import annotations

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


def run_frugally(condition: Condition) -> None:
    """Run both sides under a condition in both precisions, and enter its measurements.

    The reference's float64 values are kept for evaluation, from which paddings are measured and a referee computes.
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
        _run_port(condition)
    for name in list(condition.traces):
        if not (first and name == "reference64") and (name != "port64"):
            del condition.traces[name]


def _run_port(condition: Condition) -> None:
    models = condition.models
    comparison = Comparison(condition, condition.reference64, condition.reference32, keep=False)
    with models.port_in("float64"):
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
