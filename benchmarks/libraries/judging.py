"""Holds parity's verdict about a variant against what is true of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from benchmarks.libraries.pair import Difference, Variant, touched
from parity.verdict import Finding, Verdict


@dataclass
class Row:
    """A line of the table. ``label``: how the verdict stands to the truth; ``peak``: of the process's memory, in MB."""

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
    named = {d: [f for f in findings if f.kind in d.kinds] for d in variant.left}
    extra = [f for f in findings if not any(f in found for found in named.values())]
    unnamed = [d for d in variant.left if not named[d]]
    places = {d: _places(variant, d, found) for d, found in named.items() if found}
    if unnamed:
        row.label = "wrong cause"
        row.detail = "not named: " + ", ".join(d.kinds[0] for d in unnamed) + "; said: " + _summary(findings)
    elif any(place.startswith("elsewhere") for place in places.values()):
        row.label = "wrong layer"
    elif verdict.faithful_for != variant.faithful_for:
        row.label = "wrong scope"
        row.detail = f"said to be faithful for {verdict.faithful_for or 'nothing'}"
    else:
        row.label = "right, with noise" if extra else "right"
    remarks = [f"{d.kinds[0]} {place}" for d, place in places.items() if place]
    remarks += ["noise: " + _summary(extra)] if extra else []
    row.detail = "; ".join([row.detail, *remarks] if row.detail else remarks)
    return row


def _places(variant: Variant, difference: Difference, found: list[Finding]) -> str:
    """How the layers that findings name stand to those where the difference is; empty where they are the same.

    A layer that the port lacks is named as the reference calls it, and stands nowhere in the port.
    """
    named = {_plain(name) for finding in found if finding.layer for name in (finding.layers or [finding.layer])}
    true = touched(variant.pair, difference)
    if not true or not named:
        return ""
    within = {name for name in named if any(name == one or name.startswith(one + ".") for one in true)}
    reached = {one for one in true if any(name == one or name.startswith(one + ".") for name in named)}
    if not within:
        return f"elsewhere: {', '.join(sorted(named)[:3])}"
    remarks = [f"at {len(reached)} of {len(true)} layers"] if len(reached) < len(true) else []
    beyond = sorted(named - within)
    remarks += [f"also at {len(beyond)} others: {', '.join(beyond[:3])}"] if beyond else []
    return ", ".join(remarks)


def _plain(name: str) -> str:
    return name.split(":")[0].split(" ")[0]


def _summary(findings: list[Finding], most: int = 4) -> str:
    """Kinds with how often each occurs and where first."""
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(finding.kind, []).append(finding)
    shown = [f"{len(fs)}x {kind}@{fs[0].reference_layer or fs[0].layer}" for kind, fs in kinds.items()]
    return "; ".join(shown[:most]) + ("; ..." if len(shown) > most else "")
