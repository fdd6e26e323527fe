"""Values decide: differences of structure that the values show to be without effect are notes. Imports no framework."""

from __future__ import annotations

from dataclasses import replace

from parity.checks.climbing import Climbed
from parity.verdict import Check, Finding, worst_judgement

WITHOUT_EFFECT = "{} (arranged differently, computes the same)"
DIFFERENTIATION = ("gradients", "penalty")


def withdraw_without_effect(climbed: Climbed) -> Climbed:
    """The rungs' results, with those failures passed that other rungs would show if they mattered, and do not.

    A rung shows that nothing matters if it was climbed and passed; where nothing can be differentiated, gradients are
    not asked.
    """
    passed = {name for name, result in climbed.results.items() if result.judgement in ("pass", "known-difference")}
    passed |= {name for name in DIFFERENTIATION if name in climbed.results and not _fails(climbed, name)}
    withdrawn = [
        check for check in climbed.checks
        if check.judgement == "fail" and check.shown_by and passed >= set(check.shown_by)
    ]  # fmt: skip
    if not withdrawn:
        return climbed
    results = {}
    for name, result in climbed.results.items():
        checks = [_as_note(check) if check in withdrawn else check for check in result.checks]
        judgement = worst_judgement(checks)
        message = result.message
        if judgement != result.judgement:
            count = sum(check in withdrawn for check in result.checks)
            message = f"{count} differences without effect on values; first: {_first(result.checks, withdrawn).message}"
        results[name] = replace(result, checks=checks, judgement=judgement, message=message)
    findings = [finding for finding in climbed.findings if not any(_tells(finding, check) for check in withdrawn)]
    return Climbed(results, findings, climbed.paddings)


def _fails(climbed: Climbed, rung: str) -> bool:
    return climbed.results[rung].judgement == "fail"


def _as_note(check: Check) -> Check:
    return replace(check, judgement="pass", message=WITHOUT_EFFECT.format(check.message))


def _first(checks: list[Check], withdrawn: list[Check]) -> Check:
    return next(check for check in checks if check in withdrawn)


def _tells(finding: Finding, check: Check) -> bool:
    """Whether a finding was made of a check."""
    return finding.rung == check.rung and finding.message == check.message
