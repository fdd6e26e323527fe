"""Holds parity's verdict about a variant against what is true of it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from benchmarks.libraries.pair import Difference, Variant
from parity.verdict import Finding, Verdict


@dataclass
class Row:
    """A line of the table. ``label``: how the verdict stands to the truth; ``peak``: memory in MB beyond the start."""

    name: str
    truth: str
    label: str
    detail: str = ""
    findings: int = 0
    lines: int = 0
    coverage: str = ""
    seconds: float = 0.0
    peak: float = 0.0
    text: str = ""

    def line(self) -> str:
        """One line of the table."""
        return (
            f"{self.name} | {self.truth or 'not faithful'} | {self.label} | {self.findings} findings, "
            f"{self.lines} lines | {self.coverage} | {self.seconds:.1f} s | {self.peak:.0f} MB | {self.detail}"
        )

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def judge(variant: Variant, verdict: Verdict) -> Row:
    """Compare verdict, causes and layers with the variant's differences."""
    findings = [f for f in verdict.findings if not f.message.startswith("known difference")]
    failing = [name for name, rung in verdict.rungs.items() if rung.judgement == "fail"]
    row = Row(variant.name, variant.faithful_for, "", findings=len(findings), text=verdict.to_text())
    row.lines, row.coverage = len(row.text.splitlines()), f"{verdict.coverage.judged}/{verdict.coverage.total}"
    row.seconds = verdict.seconds
    if not variant.left:
        row.label = "right" if verdict.passed else "false alarm" if failing else "abstained"
        row.detail = "" if verdict.passed else _summary(findings) or ",".join(failing)
        return row
    if verdict.passed or not failing:
        row.label = "missed" if verdict.passed else "abstained"
        return row
    unnamed = [d for d in variant.left if not any(_names(f, d) for f in findings)]
    misplaced = [d for d in unnamed if any(f.kind in d.kinds for f in findings)]
    extra = [f for f in findings if not any(_names(f, d) for d in variant.left)]
    if unnamed:
        row.label = "wrong layer" if len(misplaced) == len(unnamed) else "wrong cause"
        row.detail = "not named: " + ", ".join(d.kinds[0] for d in unnamed) + "; said: " + _summary(findings)
    else:
        row.label = "right, with noise" if extra else "right"
        row.detail = ("noise: " + _summary(extra)) if extra else ""
    return row


def _names(finding: Finding, difference: Difference) -> bool:
    names = (finding.layer, finding.reference_layer)
    return finding.kind in difference.kinds and any(re.search(difference.layers, name) for name in names)


def _summary(findings: list[Finding], most: int = 4) -> str:
    """Kinds with how often each occurs and where first."""
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(finding.kind, []).append(finding)
    shown = [f"{len(fs)}x {kind}@{fs[0].reference_layer or fs[0].layer}" for kind, fs in kinds.items()]
    return "; ".join(shown[:most]) + ("; ..." if len(shown) > most else "")
