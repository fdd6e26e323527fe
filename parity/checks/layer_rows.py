"""The line-by-line table of a verdict: one row a layer, with everything measured about it. Plain NumPy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from parity.capture.source_lines import SourceLines
from parity.capture.steps import MOVEMENT, Step
from parity.checks.climbing import Amounts, Climbed, Paddings
from parity.checks.context import CheckContext
from parity.checks.layer_evidence import gather_evidence
from parity.checks.measurements import LayerMeasurement, Measurements
from parity.match.alignment import Match
from parity.transfer.aligned_models import AlignedModels
from parity.verdict import SEVERITY, Check, Coverage, Judgement, LayerRow

MOVES = "moves data; judged with the next layer"
LONE = "no counterpart; judged with the next layer"
NOT_REACHED = "not reached: the port does not run to its end"
INHERITS = "right by itself; inherits the error of a layer before it"
REORDERING = {"flatten", "reshape", "permute"}


def layer_rows(context: CheckContext, climbed: Climbed, sources: SourceLines) -> list[LayerRow]:
    """Rows in the reference's execution order; the port's own layers stand where it runs them."""
    models = context.models
    by_reference = {match.reference.name: match for match in models.matching.matches}
    matched_port = {match.port.name for match in models.matching.matches}
    port_steps = list(models.port_trace.steps)
    judgements = _judgements(climbed.checks)
    rows = []
    for step in models.reference_trace.steps:
        match = by_reference.get(step.name)
        if match is None:
            twin = _moving_twin(step, port_steps, matched_port)
            rows.append(_lone_row(step, twin, judgements, sources))
            continue
        while port_steps and port_steps[0].name != match.port.name and match.in_order:
            lone = port_steps.pop(0)
            if lone.name not in matched_port:
                rows.append(_lone_row(None, lone, judgements, sources))
        port_steps = [other for other in port_steps if other.name != match.port.name]
        row = _matched_row(match, judgements, climbed.paddings, sources)
        if context.measured is not None:
            _add_measured(row, models, match, context.measured)
        rows.append(row)
    rows += [_lone_row(None, step, judgements, sources) for step in port_steps if step.name not in matched_port]
    return rows


def coverage(context: CheckContext) -> Coverage:
    """Layers judged by value (or, without rungs that measure, by what was asked) out of all layers that compute.

    A layer without a counterpart counts by itself, also where the other side has one of the same name.
    """
    models, matching = context.models, context.models.matching
    reasons = {match.key: "the port does not run to its end" for match in matching.matches} if models.crash else {}
    if context.measured is not None and not models.crash:
        reasons |= {x.key: x.abstain for x in context.measured.layers if x.abstain and x.match is not None}
    alone = [(step, "reference") for step in matching.only_reference] + [(step, "port") for step in matching.only_port]
    counted = [(step, side) for step, side in alone if _counts(step) or step.name in models.unmatched.reasons]
    names = Counter([*reasons, *(step.name for step, _ in counted)])
    for step, side in counted:
        name = step.name if names[step.name] == 1 else f"{step.name} ({side})"
        unreached = NOT_REACHED if models.crash and side == "reference" else ""
        reason = models.unmatched.reasons.get(step.name, unreached)
        reasons |= {name: reason} if reason else {}
    total = len(matching.matches) + len(counted)
    return Coverage(total - len(reasons), total, reasons)


def _counts(step: Step) -> bool:
    return step.parametrised or step.kind == "dropout"


def output_judged(context: CheckContext, climbed: Climbed) -> bool:
    """Whether the output of the whole network was among what was judged, where its values were asked for."""
    if context.models.crash:
        return False
    if context.measured is None or "forward" not in climbed.results:
        return True
    return not any(layer.chain_abstain for layer in context.measured.layers if layer.match is None)


def _matched_row(match: Match, judgements: dict[str, Judgement], paddings: Paddings, sources: SourceLines) -> LayerRow:
    a, b = match.reference, match.port
    own, other = paddings.get(a.name, (None, None))
    return LayerRow(
        a.kind, a.name, b.name, list(a.output_shape), list(b.output_shape), sources.reference(a), sources.port(b),
        a.size, dict(a.attributes), dict(b.attributes), _listed(own), _listed(other),
        judgement=judgements.get(a.name, "pass"),
    )  # fmt: skip


def _listed(amounts: Amounts) -> list[list[int]] | None:
    return [list(pair) for pair in amounts] if amounts else None


def _add_measured(row: LayerRow, models: AlignedModels, match: Match, measured: Measurements) -> None:
    """Errors, the third referee's word, and what is to be said about the layer."""
    layers = measured.of(match.key)
    row.float64, row.isolated = _worst(layers, "chained"), _worst(layers, "isolated")
    row.rounding = max((layer.rounding for layer in layers if layer.rounding is not None), default=None)
    abstain = next((layer.abstain for layer in layers if layer.abstain), "")
    order = models.reordering(match.reference)
    # A layer whose features were reordered is not cleared: the fault may be the order in which it is read.
    row.inherits = row.judgement == "fail" and _isolated_passes(layers) and not (abstain or order)
    said = "; ".join(dict.fromkeys(x for layer in layers for x in (layer.float32_abstain, layer.note) if x))
    row.note = abstain or order or INHERITS * row.inherits or said
    if measured.running and match.reference.visible:
        evidence = gather_evidence(models, match, measured.running[0])
        row.referee = evidence.verdict_of_referee() if evidence is not None else ""


def _worst(layers: list[LayerMeasurement], which: Literal["chained", "isolated"]) -> float | None:
    found = [layer.chained if which == "chained" else layer.isolated for layer in layers]
    return max((one.relative for one in found if one is not None), default=None)


def _isolated_passes(layers: list[LayerMeasurement]) -> bool:
    return bool(layers) and all(x.isolated is not None and x.isolated.absolute <= x.limit for x in layers)


def _lone_row(
    reference: Step | None, port: Step | None, judgements: dict[str, Judgement], sources: SourceLines
) -> LayerRow:
    step = reference or port
    assert step is not None
    judgement = judgements.get(step.name, "pass")
    note = "" if judgement == "fail" else MOVES if step.kind in MOVEMENT else LONE
    return LayerRow(
        step.kind,
        reference.name if reference else "",
        port.name if port else "",
        list(reference.output_shape) if reference else [],
        list(port.output_shape) if port else [],
        sources.reference(reference) if reference else "",
        sources.port(port) if port else "",
        step.size,
        dict(reference.attributes) if reference else {},
        dict(port.attributes) if port else {},
        judgement=judgement,
        note=note,
    )


def _moving_twin(step: Step, port_steps: list[Step], matched_port: set[str]) -> Step | None:
    """The port's next step of the same moving kind, for display beside it; it is taken out of ``port_steps``."""
    if step.kind not in MOVEMENT:
        return None
    for place, other in enumerate(port_steps):
        if other.name in matched_port:
            return None
        if other.kind == step.kind or {other.kind, step.kind} <= REORDERING:
            return port_steps.pop(place)
    return None


def _judgements(checks: Sequence[Check]) -> dict[str, Judgement]:
    """The gravest judgement of each layer; an abstaining check only counts where nothing else was judged before."""
    found: dict[str, Judgement] = {}
    for check in checks:
        if check.judgement == "abstain" and check.layer in found:
            continue
        known = found.get(check.layer, "pass")
        found[check.layer] = max(known, check.judgement, key=SEVERITY.__getitem__)
    return found
