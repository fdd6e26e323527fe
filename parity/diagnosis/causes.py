"""What the findings of all rungs amount to: one finding a cause, and the first layer that is wrong. Plain NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parity.verdict import Check, Finding, LayerRow

DIFFERENTIATION = ("gradients", "penalty")


@dataclass(frozen=True)
class Diagnosis:
    """The findings to show, and the first layer that is wrong (None if all are right)."""

    findings: list[Finding]
    first_divergence: LayerRow | None


def diagnose(findings: Sequence[Finding], checks: Sequence[Check], rows: Sequence[LayerRow]) -> Diagnosis:
    """One finding a cause, and the first layer that is wrong."""
    return Diagnosis(_distinct(findings), _first_divergence(findings, checks, rows))


def _distinct(findings: Sequence[Finding]) -> list[Finding]:
    """One finding per kind and layer; unexplained gradients count only where the values themselves agree."""
    explained = any(finding.rung not in DIFFERENTIATION for finding in findings)
    once = {(f.kind, f.layer, f.reference_layer): f for f in reversed(findings)}
    return [f for f in reversed(once.values()) if not (explained and f.kind == "numeric" and f.rung in DIFFERENTIATION)]


def _first_divergence(
    findings: Sequence[Finding], checks: Sequence[Check], rows: Sequence[LayerRow]
) -> LayerRow | None:
    """The first layer that is wrong by itself, one with a finding before others; else the first that differs."""
    failing = [row for row in rows if row.judgement == "fail"]
    wrong_alone = {check.layer for check in checks if check.judgement == "fail" and not check.chained}
    culprits = [row for row in failing if (row.reference_layer or row.layer) in wrong_alone and not row.inherits]
    named = {(finding.layer, finding.reference_layer) for finding in findings}
    blamed = [row for row in culprits if (row.layer, row.reference_layer) in named]
    return next(iter(blamed or culprits or failing), None)
