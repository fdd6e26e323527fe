"""Faults reported in public: what each port may be used for, the first cause and its layer, and nothing besides."""

from __future__ import annotations

import pytest

import parity
from parity.verdict import Finding, Verdict
from tests.cases import reported_between, reported_networks  # noqa: F401  (they fill the table)
from tests.cases.reported import REPORTED, TRAINING


def judge(name: str) -> Verdict:
    pair = REPORTED[name]
    case = pair.build()
    return parity.verify(case.reference, case.port, case.inputs, **pair.settings)


def causes(verdict: Verdict) -> list[Finding]:
    return [finding for finding in verdict.findings if not finding.message.startswith("known difference")]


@pytest.mark.parametrize("name", REPORTED)
def test_what_holds_and_why(name: str) -> None:
    pair, verdict = REPORTED[name], judge(name)
    found = causes(verdict)
    assert verdict.faithful_for == pair.holds, verdict.to_text()
    assert [finding.kind for finding in found] == [kind for kind in (pair.kind, *pair.also) if kind], verdict.to_text()
    assert verdict.passed == (not pair.kind)
    if pair.kind:
        where = (found[0].reference_layer, found[0].layer)
        assert pair.layer in (where[0] or where[1], where[0].partition(":")[0]), verdict.to_text()
        assert len(found[0].layers) > 1 or pair.layer in verdict.headline or where[1] in verdict.headline
    elif pair.holds == TRAINING:
        assert verdict.coverage.judged == verdict.coverage.total, str(verdict.coverage)
        assert verdict.output_judged and not verdict.coverage.abstained
