"""``pytest parity``: every pair of the registry on every rung."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from parity.ladder_names import NAMES
from parity.pairs import Pair, registry
from parity.verdict import Verdict


@pytest.mark.parametrize("rung", NAMES)
@pytest.mark.parametrize("pair", registry(), ids=lambda pair: pair.name)
def test_rung(pair: Pair, rung: str, verdict_of: Callable[[Pair], Verdict]) -> None:
    verdict = verdict_of(pair)
    result = verdict.rungs[rung]
    if result.judgement == "abstain":
        pytest.skip(f"nothing to judge: {result.message}")
    assert result.judgement == "pass", verdict.to_text()


@pytest.mark.parametrize("pair", registry(), ids=lambda pair: pair.name)
def test_every_layer_is_judged(pair: Pair, verdict_of: Callable[[Pair], Verdict]) -> None:
    verdict = verdict_of(pair)
    assert verdict.output_judged
    assert verdict.coverage.judged == verdict.coverage.total > 0, str(verdict.coverage)
    assert not verdict.findings, verdict.to_text()
