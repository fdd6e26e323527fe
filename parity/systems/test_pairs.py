"""``pytest parity``: every pair of the registry on every rung that it has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from parity.systems.network_pair import NetworkPair
from parity.systems.registry import AnyPair, network_pairs, registry, training_pairs
from parity.systems.training.training_pair import TrainingPair
from parity.systems.worker_pool import in_running_order
from parity.verdict import Verdict

pytestmark = pytest.mark.slow

# Known differences of pairs; the rung proves that it is this difference and no other.
NORMALISING = ("dcgan", "upsample_dcgan", "conditional_dcgan")  # by batches; known without synchronised batch norm
KNOWN = {(f"{system}.training", "distribution"): "known-difference" for system in NORMALISING}
EVERY = [
    pytest.param(pair, rung, id=f"{pair.name}-{rung}") for pair in in_running_order(registry()) for rung in pair.rungs
]


@pytest.mark.parametrize(("pair", "rung"), EVERY)
def test_rung(pair: AnyPair, rung: str, verdict_of: Callable[[AnyPair], Verdict]) -> None:
    verdict = verdict_of(pair)
    result = verdict.rungs[rung]
    if result.judgement == "abstain":
        pytest.skip(f"nothing to judge: {result.message}")
    assert result.judgement in ("pass", KNOWN.get((pair.name, rung))), verdict.to_text()


@pytest.mark.parametrize("pair", network_pairs(), ids=lambda pair: pair.name)
def test_every_layer_is_judged(pair: NetworkPair, verdict_of: Callable[[AnyPair], Verdict]) -> None:
    verdict = verdict_of(pair)
    assert verdict.output_judged
    assert verdict.coverage.judged == verdict.coverage.total > 0, str(verdict.coverage)
    assert not verdict.findings, verdict.to_text()


@pytest.mark.parametrize("pair", training_pairs(), ids=lambda pair: pair.name)
def test_every_parameter_is_judged_or_noise_for_a_reason(
    pair: TrainingPair, verdict_of: Callable[[AnyPair], Verdict]
) -> None:
    verdict = verdict_of(pair)
    coverage = verdict.coverage
    assert verdict.output_judged and not verdict.findings, verdict.to_text()
    assert coverage.judged + len(coverage.abstained) == coverage.total and coverage.judged > 0
    allowed = (
        "subtracts the mean",
        "raises real and fake alike",
        "softmax takes no notice",
        "a sign, which stays",
        "bfloat16 rounds by 2^-9",
    )
    assert all(any(words in why for words in allowed) for why in coverage.abstained.values()), str(coverage)
