"""``parity selftest``: break a faithful port or trainer, once per mutant; every fault must be caught and named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from parity.systems.mutants import MUTANTS, Mutant
from parity.systems.network_pair import NetworkPair
from parity.systems.selection import select
from parity.systems.training.context import ReferenceRuns
from parity.systems.training.implementations import TORCH, Implementation
from parity.systems.training.mutants import TrainingMutant
from parity.systems.training.registry import ONE_DEVICE
from parity.systems.training.training_pair import TrainingPair
from parity.systems.training.verification import verify_training
from parity.verdict import Verdict
from parity.verification import verify

AnyMutant = Mutant | TrainingMutant
LISTED = 6  # layers that a complaint names


@dataclass(frozen=True)
class MutantResult:
    """The verdict on one mutant; ``complaints`` lists what it missed or blamed wrongly.

    ``found``: the rung fails at the layer, and no other does that should not; ``named``: a finding there has the cause.
    """

    mutant: AnyMutant
    verdict: Verdict
    complaints: list[str]
    found: bool = True
    named: bool = True

    @property
    def caught(self) -> bool:
        """The fault was found on its rung, at its layer, under its name, and nothing else was blamed."""
        return not self.complaints


def run_mutants(
    mutants: Sequence[AnyMutant] = MUTANTS, begin: Callable[[str], object] | None = None
) -> Iterator[MutantResult]:
    """Verify every mutant on all rungs; the port without its fault must pass."""
    for mutant in mutants:
        if begin is not None:
            begin(mutant.name)
        yield run_mutant(mutant)


def run_mutant(mutant: AnyMutant) -> MutantResult:
    """The result of one mutant."""
    if isinstance(mutant, TrainingMutant):
        healthy = _train(mutant.pair, TORCH, (mutant.rung,))
        verdict = _train(mutant.pair, mutant.fault(TORCH), (*ONE_DEVICE, mutant.rung), mutant.name)
    else:
        pair, healthy = _network_pair(mutant.pair), _healthy_networks(mutant.pair)
        reference, port = pair.build()
        mutant.put_into(port)
        verdict = verify(reference, port, name=f"{pair.name} with {mutant.name}")
    misplaced, misnamed = list(_misplaced(mutant, healthy, verdict)), list(_misnamed(mutant, verdict))
    return MutantResult(mutant, verdict, misplaced + misnamed, not misplaced, not misnamed)


def _network_pair(words: str) -> NetworkPair:
    (pair,) = select(words.split())
    assert isinstance(pair, NetworkPair)
    return pair


@cache
def _healthy_networks(words: str) -> Verdict:
    """The verdict without a fault, the same for all mutants of a pair."""
    return verify(*_network_pair(words).build())


@lru_cache(maxsize=1)
def _reference_runs(words: str) -> tuple[str, ReferenceRuns]:
    """The pair's name, and the runs that its port with and without a fault is held against."""
    (pair,) = select(words.split())
    assert isinstance(pair, TrainingPair)
    return pair.name, ReferenceRuns(pair.config())


def _train(words: str, port: Implementation, rungs: Sequence[str], fault: str = "") -> Verdict:
    name, runs = _reference_runs(words)
    name += f" with {fault}" * bool(fault)
    return verify_training(runs.config, port=port, rungs=rungs, name=name, reference_runs=runs)


def _misplaced(mutant: AnyMutant, healthy: Verdict, verdict: Verdict) -> Iterator[str]:
    if healthy.rungs[mutant.rung].judgement == "fail":
        yield f"the port fails {mutant.rung} without the fault"
    if verdict.passed:
        yield "not caught: the broken port passes"
        return
    failed = [check.layer.replace("/", ".") for check in verdict.rungs[mutant.rung].checks if check.judgement == "fail"]
    expected = (mutant.shows or mutant.layer).replace("/", ".")
    if expected not in failed:
        listed = ", ".join(failed[:LISTED]) + f" and {len(failed) - LISTED} more" * (len(failed) > LISTED)
        yield f"{mutant.rung} fails at {listed or 'no layer'} instead of {expected}"
    others = {name for name, rung in verdict.rungs.items() if rung.judgement == "fail"} - {mutant.rung, *mutant.besides}
    if others:
        yield f"{', '.join(sorted(others))} also fails"


def _misnamed(mutant: AnyMutant, verdict: Verdict) -> Iterator[str]:
    if verdict.passed:
        return
    named = {finding.kind for finding in verdict.findings if mutant.layer in (finding.layer, finding.reference_layer)}
    if mutant.kind not in named:
        yield f"named {', '.join(sorted(named)) or 'nothing'} at {mutant.layer} instead of {mutant.kind}"
