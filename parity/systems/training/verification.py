"""The verdict on a system's training: two trainers of one configuration."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

from parity.checks.climbing import climb_all
from parity.checks.registry import select_rungs
from parity.systems.conversion.states import NETWORKS, converted_arrays
from parity.systems.training.context import ReferenceRuns, TrainingContext
from parity.systems.training.first_difference import D_LOSSES, G_LOSSES, port_name
from parity.systems.training.implementations import KERAS, TORCH, Implementation, one_thread
from parity.systems.training.noise import owner
from parity.systems.training.registry import BFLOAT16_RUNGS, TRAINING, TRAINING_RUNGS
from parity.verdict import (
    SEVERITY,
    Check,
    Coverage,
    Curve,
    Finding,
    Judgement,
    LayerRow,
    Training,
    Verdict,
)
from parity.verification import versions
from shared_impl.config.schema import Config

LOSSES = (*D_LOSSES, *G_LOSSES)
BLURRED = "rounding alone moves it as far as training does"
WEIGHTS = tuple(f"{network}/" for network in NETWORKS)


def verify_training(
    config: Config,
    *,
    reference: Implementation = KERAS,
    port: Implementation = TORCH,
    rungs: Iterable[str] | None = None,
    name: str = "",
    progress: Callable[[str], None] | None = None,
    fresh: bool = True,
    reference_runs: ReferenceRuns | None = None,
) -> Verdict:
    """Measure whether ``port`` trains as ``reference`` does under ``config``, whose ``training.steps`` are taken.

    ``fresh``: a run that was stopped is resumed by a trainer of its own (see :class:`TrainingContext`).
    ``reference_runs`` of the same configuration and reference, made for another port, are not made again.

    Raises UnusableInput if the reference does not train at all, or for an unknown rung.
    """
    start = time.perf_counter()
    wanted = select_rungs(rungs, TRAINING)
    context = TrainingContext(reference_runs or ReferenceRuns(config, reference), port, fresh)
    ladder = TRAINING_RUNGS if context.exact else BFLOAT16_RUNGS
    with one_thread():
        climbed = climb_all(ladder, wanted, context, progress or (lambda rung: None))
    checks = climbed.checks
    rows = _rows(context, checks)
    return Verdict(
        name or f"{config.model.system}.training",
        climbed.results,
        rows,
        climbed.findings,
        _coverage(rows, checks),
        _first_row(climbed.findings, rows),
        not any(check.layer in LOSSES and check.judgement == "abstain" for check in checks),
        config.training.seed,
        versions(),
        seconds=time.perf_counter() - start,
        training=_training(context) if context.trained and context.port_trains else None,
    )


def _rows(context: TrainingContext, checks: list[Check]) -> list[LayerRow]:
    """A row for each parameter and running statistic of a run in float64; its slots' checks count with it."""
    if not context.trained or not context.exact:
        return []
    judgements: dict[str, Judgement] = {}
    for check in checks:
        name = check.layer if check.layer.startswith(WEIGHTS) else owner(check.layer)
        judgements[name] = max(judgements.get(name, "pass"), check.judgement, key=SEVERITY.__getitem__)
    names = [name for name in context.expected.states[0] if name.startswith(WEIGHTS)]
    return [_row(context, name, judgements.get(name, "pass")) for name in names]


def _row(context: TrainingContext, name: str, judgement: Judgement) -> LayerRow:
    network, _, parameter = name.partition("/")
    entry = next(p for p in converted_arrays(context.config.model, NETWORKS[network]) if p.keras == parameter)
    row = LayerRow(
        entry.slot, name, port_name(context, name), [*entry.keras_shape], [*entry.torch_shape],
        parameters=math.prod(entry.keras_shape) if entry.trainable else 0, judgement=judgement,
    )  # fmt: skip
    if context.port_trains and name in context.states:
        series = context.states[name]
        row.float64, row.isolated, row.rounding = max(series.shares), series.shares[1], series.multiple
        row.note = context.noise.get(name, "")
    return row


def _coverage(rows: list[LayerRow], checks: list[Check]) -> Coverage:
    """Parameters judged; where nothing was trained in float64, checks."""
    if rows:
        reasons = {row.reference_layer: row.note or BLURRED for row in rows if row.judgement == "abstain"}
        return Coverage(len(rows) - len(reasons), len(rows), reasons, "parameters")
    reasons = {f"{check.layer}, {check.what}": check.message for check in checks if check.judgement == "abstain"}
    return Coverage(len(checks) - len(reasons), len(checks), reasons, "checks")


def _first_row(findings: list[Finding], rows: list[LayerRow]) -> LayerRow | None:
    """What the first finding is about: a parameter's row, or one made for a loss, a slot or a kind of data."""
    if not findings:
        return None
    name, layer = findings[0].reference_layer, findings[0].layer
    own = LayerRow("state", name, layer, judgement="fail", note=findings[0].message)
    return next((row for row in rows if row.reference_layer == name), own)


def _training(context: TrainingContext) -> Training:
    """The curves of both runs."""
    expected, got = context.expected.losses, context.got.losses
    curves = [
        Curve(name, [step[name] for step in expected], [step[name] for step in got])
        for name in expected[0]
        if name in got[0]
    ]
    judged = list(context.judged.values()) if context.exact else []
    steps = range(1, context.steps + 1) if judged else range(0)
    return Training(
        context.steps,
        context.conditions,
        curves,
        apart=[max(series.shares[i] for series in judged) for i in steps],
        rounding=[max(series.deviation[i] / (series.scales[i] or 1.0) for series in judged) for i in steps],
    )
