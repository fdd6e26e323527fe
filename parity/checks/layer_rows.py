"""The line-by-line table of a verdict: one row a layer, with everything measured about it. Plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.capture.source_lines import SourceLines
from parity.capture.steps import MOVEMENT, Step
from parity.checks.context import CheckContext
from parity.checks.measurements import Condition, Measurements, Reading
from parity.checks.values import evidence_for
from parity.numerics.layouts import describe_order
from parity.verdict import SEVERITY, Check, Coverage, Judgement, LayerRow

MOVES = "moves data; judged with the next layer"


def layer_rows(context: CheckContext, checks: list[Check], sources: SourceLines) -> list[LayerRow]:
    """Rows in the reference's execution order; the port's own layers stand where it runs them."""
    comparison = context.comparison
    measured = context.measurements if not comparison.crash and "measurements" in vars(context) else None
    by_reference = {match.reference.name: match for match in comparison.matching.matches}
    matched_port = {match.port.name for match in comparison.matching.matches}
    port_steps = list(comparison.port_trace.steps)
    judgements = _judgements(checks)
    rows = []
    for step in comparison.reference_trace.steps:
        match = by_reference.get(step.name)
        if match is None:
            twin = _moving_twin(step, port_steps, matched_port)
            rows.append(_lone_row(step, twin, "reference", judgements, sources))
            continue
        while port_steps and port_steps[0].name != match.port.name and match.in_order:
            lone = port_steps.pop(0)
            if lone.name not in matched_port:
                rows.append(_lone_row(None, lone, "port", judgements, sources))
        port_steps = [other for other in port_steps if other.name != match.port.name]
        rows.append(_row(context, match, measured, judgements, sources))
    rows += [_lone_row(None, s, "port", judgements, sources) for s in port_steps if s.name not in matched_port]
    return rows


def coverage(context: CheckContext, checks: list[Check]) -> Coverage:
    """Layers judged by value (or, without value rungs, by what was asked) out of all layers that compute."""
    comparison = context.comparison
    matching = comparison.matching
    alone = [*matching.only_reference, *matching.only_port]
    abstained = dict(comparison.unmatchable)
    if not comparison.crash and "measurements" in vars(context):
        abstained |= {r.key: r.abstain for r in context.measurements.readings if r.abstain and r.match is not None}
    elif comparison.crash:
        abstained |= {match.key: "the port does not run to its end" for match in matching.matches}
    total = len(matching.matches) + len([step for step in alone if step.parametrised or step.kind == "dropout"])
    return Coverage(total - len(abstained), total, abstained)


def _row(
    context: CheckContext, match: Any, measured: Measurements | None, judgements: Any, sources: SourceLines
) -> LayerRow:
    a, b = match.reference, match.port
    row = LayerRow(
        a.kind, a.name, b.name, list(a.output_shape), list(b.output_shape), sources.reference(a), sources.port(b),
        a.size, dict(a.attributes), dict(b.attributes), judgement=judgements.get(a.name, "pass"),
    )  # fmt: skip
    if a.name in context.paddings:
        own, other = context.paddings[a.name]
        row.reference_padding = [list(pair) for pair in own] if own else None
        row.padding = [list(pair) for pair in other] if other else None
    if measured is None:
        return row
    readings = [reading for reading in measured.readings if reading.key == a.name]
    row.float64 = _worst(readings, "chained")
    row.isolated = _worst(readings, "isolated")
    row.rounding = max((r.rounding for r in readings if r.rounding is not None), default=None)
    row.note = next((r.abstain for r in readings if r.abstain), "") or _order(context, a)
    if row.judgement == "fail" and _isolated_passes(readings):
        row.note = row.note or "right by itself; inherits the error of a layer before it"
    condition = _first_running(measured)
    evidence = evidence_for(context, match, condition) if condition and a.visible else None
    row.referee = evidence.verdict_of_referee() if evidence is not None else ""
    return row


def _order(context: CheckContext, step: Step) -> str:
    """In which order the port flattens or unflattens the features of a dense layer, if not in the reference's."""
    comparison = context.comparison
    for side, orders in (("reads", comparison.layouts.into), ("writes", comparison.layouts.out_of)):
        order = orders.get(step.name)
        images = [other.output_shape[1:] for other in comparison.reference_trace.steps if len(other.output_shape) > 2]
        fitting = [shape for shape in images if order is not None and int(np.prod(shape)) == len(order)]
        if order is not None and fitting and step.kind == "dense":
            return f"{side} the image as {describe_order(order, fitting[0])}; weights reordered to match"
    return ""


def _first_running(measured: Measurements) -> Condition | None:
    return next((condition for condition in measured.conditions if not condition.refused), None)


def _worst(readings: list[Reading], which: str) -> float | None:
    found = [getattr(reading, which) for reading in readings if getattr(reading, which) is not None]
    return max((one.relative for one in found), default=None)


def _isolated_passes(readings: list[Reading]) -> bool:
    return bool(readings) and all(r.isolated is not None and r.isolated.absolute <= r.limit for r in readings)


def _lone_row(own: Step | None, other: Step | None, side: str, judgements: Any, sources: SourceLines) -> LayerRow:
    step = own or other
    assert step is not None
    note = MOVES if step.kind in MOVEMENT else "no counterpart; judged with the next layer"
    return LayerRow(
        step.kind,
        own.name if own else "",
        other.name if other else "",
        list(own.output_shape) if own else [],
        list(other.output_shape) if other else [],
        sources.reference(own) if own else "",
        sources.port(other) if other else "",
        step.size,
        dict(own.attributes) if own else {},
        dict(other.attributes) if other else {},
        judgement=judgements.get(step.name, "pass"),
        note="" if judgements.get(step.name, "pass") == "fail" else note,
    )


def _moving_twin(step: Step, port_steps: list[Step], matched_port: set[str]) -> Step | None:
    """The port's next step of the same moving kind, for display beside it."""
    if step.kind not in MOVEMENT:
        return None
    for place, other in enumerate(port_steps):
        if other.name in matched_port:
            return None
        if other.kind == step.kind or {other.kind, step.kind} <= {"flatten", "reshape", "permute"}:
            return port_steps.pop(place)
    return None


def _judgements(checks: list[Check]) -> dict[str, Judgement]:
    found: dict[str, Judgement] = {}
    for check in checks:
        if check.judgement == "abstain" and check.layer in found:
            continue
        known = found.get(check.layer, "pass")
        found[check.layer] = max(known, check.judgement, key=SEVERITY.__getitem__)
    return found
