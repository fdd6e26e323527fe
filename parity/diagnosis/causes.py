"""What the findings of all rungs amount to: one finding a cause, and the first layer that is wrong. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from parity.verdict import TRAINING_RUNGS, Check, Finding, LayerRow

ORDER = "layer-order"  # two layers exchanged are one fault, which shows at both
LONE = ("missing-layer", "extra-layer")
SHOWN = 6
"""Largest number of layers that a message lists by name."""


@dataclass(frozen=True)
class Diagnosis:
    """The findings to show, and the first layer that is wrong (None if all are right)."""

    findings: list[Finding]
    first_divergence: LayerRow | None


def diagnose(findings: Sequence[Finding], checks: Sequence[Check], rows: Sequence[LayerRow]) -> Diagnosis:
    """One finding a cause, and the first layer that is wrong."""
    return Diagnosis(_by_cause(_without_noise(_distinct(findings))), _first_divergence(findings, checks, rows))


def _distinct(findings: Sequence[Finding]) -> list[Finding]:
    """One finding per kind and layer: the first."""
    return list({(f.kind, f.layer, f.reference_layer): f for f in reversed(findings)}.values())[::-1]


def _without_noise(findings: list[Finding]) -> list[Finding]:
    """Findings without a cause only where no cause is known that they may follow from.

    A named cause explains what else is wrong at its own layer, and shapes everywhere; a layer that is missing explains
    its values; unexplained gradients and statistics count only where the values themselves agree, and those of a
    gradient only where the gradient itself does.
    """
    named = {name for f in findings if f.named and not f.known for name in (f.reference_layer, f.layer) if name}
    lone = {f.reference_layer or f.layer for f in findings if f.kind in LONE}
    values = any(f.rung not in TRAINING_RUNGS and not f.known for f in findings)
    gradients = any(f.rung == "gradients" and not f.named for f in findings)
    causes = any(f.named and f.rung not in TRAINING_RUNGS for f in findings)

    def follows(f: Finding) -> bool:
        if f.named:
            return f.kind not in LONE and (f.reference_layer or f.layer) in lone
        elsewhere = values and f.rung in TRAINING_RUNGS or causes and f.rung == "shapes"
        once_more = gradients and f.rung == "penalty"
        return bool({f.reference_layer, f.layer} & named) or elsewhere or once_more

    return [f for f in findings if not follows(f)]


def _by_cause(findings: list[Finding]) -> list[Finding]:
    """Findings of one kind with one fix, or one ``cause`` that needs many, joined: the first, with all layers."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for place, finding in enumerate(findings):
        cause = finding.evidence.get("cause", finding.fix if finding.kind != ORDER else "")
        joins = finding.named and "layers" not in finding.evidence
        key = (finding.kind, finding.rung, cause) if joins else (place,)
        groups.setdefault(key, []).append(finding)
    return [_joined(group) for group in groups.values()]


def _joined(group: list[Finding]) -> Finding:
    first = group[0]
    layers = [finding.layer or finding.reference_layer for finding in group]
    if len(group) == 1:
        return replace(first, layers=first.evidence.get("layers", layers))
    settings = [finding.evidence.get("attribute") and finding.evidence for finding in group]
    if settings[0] and all(one == settings[0] for one in settings):
        text = f"{first.message.partition(': ')[2]} at {len(layers)} layers: {_listed(layers)}"
    else:
        text = f"{first.message}; likewise at {len(layers) - 1} more: {_listed(layers[1:])}"
    others = "" if all(finding.fix == first.fix for finding in group) else "; the others likewise, each by its settings"
    return replace(first, layers=layers, message=text, fix=first.fix + others)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _first_divergence(
    findings: Iterable[Finding], checks: Sequence[Check], rows: Sequence[LayerRow]
) -> LayerRow | None:
    """The first layer that is wrong by itself, one with a finding before others; else the first that differs."""
    failing = [row for row in rows if row.judgement == "fail"]
    wrong_alone = {check.layer for check in checks if check.judgement == "fail" and not check.chained}
    culprits = [row for row in failing if (row.reference_layer or row.layer) in wrong_alone and not row.inherits]
    named = {name for finding in findings for name in (finding.reference_layer or finding.layer,)}
    blamed = [row for row in culprits if (row.reference_layer or row.layer) in named]
    return next(iter(blamed or culprits or failing), None)
