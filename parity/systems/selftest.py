"""``parity selftest``: break a faithful port or trainer, once per mutant, and see every fault caught and named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from parity.systems.mutants import MUTANTS, Mutant
from parity.systems.network_pair import NetworkPair
from parity.systems.selection import select
from parity.systems.training.implementations import TORCH
from parity.systems.training.mutants import TrainingMutant
from parity.systems.training.registry import ONE_DEVICE
from parity.systems.training.training_pair import TrainingPair
from parity.systems.training.verification import verify_training
from parity.verdict import Verdict
from parity.verification import verify

AnyMutant = Mutant | TrainingMutant
LISTED = 6  # layers that a complaint names


@dataclass(frozen=True)
class Trial:
    """What the ladder made of one mutant; ``faults`` lists what it missed or blamed wrongly."""

    mutant: AnyMutant
    verdict: Verdict
    faults: list[str]

    @property
    def caught(self) -> bool:
        """The fault was found on its rung, at its layer, under its name, and nothing else was blamed."""
        return not self.faults


def trials(mutants: Sequence[AnyMutant] = MUTANTS, begin: Callable[[str], object] | None = None) -> Iterator[Trial]:
    """Try every mutant on all rungs; the port without its fault must pass."""
    for mutant in mutants:
        if begin is not None:
            begin(mutant.name)
        yield attempt(mutant)


def attempt(mutant: AnyMutant) -> Trial:
    """One mutant's trial."""
    (pair,) = select(mutant.pair.split())
    name = f"{pair.name} with {mutant.name}"
    if isinstance(mutant, TrainingMutant):
        assert isinstance(pair, TrainingPair)
        healthy = pair.verify(rungs=[mutant.rung])
        rungs = (*ONE_DEVICE, mutant.rung)
        verdict = verify_training(pair.config(), port=mutant.fault(TORCH), rungs=rungs, name=name)
    else:
        assert isinstance(pair, NetworkPair)
        reference, port = pair.build()
        healthy = verify(reference, port, rungs=[mutant.rung])
        mutant.put_into(port)
        verdict = verify(reference, port, name=name)
    return Trial(mutant, verdict, list(_missed(mutant, healthy, verdict)))


def _missed(mutant: AnyMutant, healthy: Verdict, verdict: Verdict) -> Iterator[str]:
    if not healthy.passed:
        yield f"the port fails {mutant.rung} without the fault"
    if verdict.passed:
        yield "not caught: the broken port passes"
        return
    failed = [check.layer.replace("/", ".") for check in verdict.rungs[mutant.rung].checks if check.judgement == "fail"]
    sought = (mutant.shows or mutant.layer).replace("/", ".")
    if sought not in failed:
        listed = ", ".join(failed[:LISTED]) + f" and {len(failed) - LISTED} more" * (len(failed) > LISTED)
        yield f"{mutant.rung} fails at {listed or 'no layer'} instead of {sought}"
    others = {name for name, rung in verdict.rungs.items() if rung.judgement == "fail"} - {mutant.rung, *mutant.besides}
    if others:
        yield f"{', '.join(sorted(others))} also fails"
    named = {finding.kind for finding in verdict.findings if mutant.layer in (finding.layer, finding.reference_layer)}
    if mutant.kind not in named:
        yield f"named {', '.join(sorted(named)) or 'nothing'} at {mutant.layer} instead of {mutant.kind}"
