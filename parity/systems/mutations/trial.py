"""One mutation, two, or a faithful variant put into a fresh port and judged: what was found, where, by which cause."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from torch import nn

from parity.systems.mutations.changes import Change
from parity.systems.mutations.networks import build
from parity.systems.mutations.table import MUTATIONS, Mutation
from parity.systems.mutations.variants import VARIANTS, Variant
from parity.transfer.copying import copy_to_torch
from parity.verdict import Finding, Verdict
from parity.verification import verify


@dataclass(frozen=True)
class Trial:
    """One port to judge: with no mutation (a faithful variant), with one, or with two."""

    network: str
    mutations: tuple[Mutation, ...] = ()
    variant: Variant | None = None

    @property
    def name(self) -> str:
        """What is tried, and in what."""
        names = [mutation.name for mutation in self.mutations] or [self.variant.name if self.variant else "unchanged"]
        return f"{self.network}: {' + '.join(names)}"


@dataclass(frozen=True)
class Outcome:
    """What was found. ``hits`` says of each mutation whether a finding has its layer, and whether one there its cause.

    ``killed``: the pair does not pass for the scope that the faults concern. ``noise``: findings at other layers, and
    causeless ones beside a named one.
    """

    killed: bool
    hits: tuple[tuple[bool, bool], ...]
    noise: tuple[str, ...]
    got: str
    seconds: float


@dataclass(frozen=True)
class TrialResult:
    """A trial and its outcome."""

    trial: Trial
    outcome: Outcome

    @property
    def false_alarm(self) -> bool:
        """A faithful port is blamed."""
        return not self.trial.mutations and self.outcome.killed

    @property
    def right_layer(self) -> bool:
        """Every fault is found at its layer, and nothing else is blamed."""
        return self.outcome.killed and all(layer for layer, _ in self.outcome.hits) and not self.outcome.noise

    @property
    def right_cause(self) -> bool:
        """Every fault is named at its layer."""
        return self.outcome.killed and all(cause for _, cause in self.outcome.hits)

    @property
    def right(self) -> bool:
        """Nothing is to be complained of."""
        return self.right_layer and self.right_cause if self.trial.mutations else not self.false_alarm

    @property
    def expected(self) -> str:
        """What is true of the port."""
        return "; ".join(f"{m.kinds.replace(' ', '|')} at {m.at}" for m in self.trial.mutations) or "faithful"


def run(trial: Trial) -> Outcome:
    """Build the pair, break or vary its port, and judge it."""
    start = time.perf_counter()
    reference, port = build(trial.network)
    own = any(mutation.own_weights for mutation in trial.mutations)
    if own:
        copy_to_torch(reference, port)
    for mutation in trial.mutations:
        mutate(reference, port, mutation)
    if trial.variant:
        exchange(port, trial.variant.at, trial.variant.change)
    verdict = verify(reference, port, copy_weights=not own, name=trial.name)
    keras.backend.clear_session()
    return outcome(trial, verdict, time.perf_counter() - start)


def mutate(reference: keras.Model, port: nn.Module, mutation: Mutation) -> None:
    """Put one mutation into a pair."""
    if mutation.reference:
        mutation.change(reference.get_layer(mutation.at))
    else:
        exchange(port, mutation.at, mutation.change, mutation.other)


def exchange(port: nn.Module, at: str, change: Change, other: str = "") -> None:
    """Exchange a layer, or an operation, of a port for what ``change`` makes of it, or of the layer ``other``."""
    new = change(_part(port, other or at))
    holder, _, name = at.rpartition(".")
    inside = port.get_submodule(holder)
    if name in inside._modules and not isinstance(new, nn.Module):
        del inside._modules[name]
    setattr(inside, name, new)


def outcome(trial: Trial, verdict: Verdict, seconds: float = 0.0) -> Outcome:
    """How a verdict compares with what was put in."""
    mutations, findings = trial.mutations, [x for x in verdict.findings if not x.known]
    hits = tuple(
        (bool(there), any(finding.kind in mutation.kinds.split() for finding in there))
        for mutation in mutations
        for there in [[finding for finding in findings if _names(finding) & mutation.places]]
    )
    places = frozenset[str]().union(*(mutation.places for mutation in mutations))
    wrong = [finding for finding in findings if not _names(finding) & places or _is_second(finding, findings)]
    scope = "" if not mutations or not all(mutation.training for mutation in mutations) else "inference"
    killed = not verdict.passed and (not mutations or verdict.faithful_for == scope)
    return Outcome(killed, hits, tuple(map(_told, wrong)), _got(verdict, findings), seconds)


def _names(finding: Finding) -> set[str]:
    names = {finding.layer, finding.reference_layer, *finding.layers}
    return names | {re.split(r"[.# :]", name)[0] for name in names if name}


def _is_second(finding: Finding, findings: Sequence[Finding]) -> bool:
    """A causeless finding at a layer that has a named one."""
    others = [other for other in findings if other is not finding and _names(other) & _names(finding) - {""}]
    return not finding.named and any(other.named for other in others)


def _told(finding: Finding) -> str:
    return f"{finding.kind} at {finding.layer or finding.reference_layer}"


def _got(verdict: Verdict, findings: Sequence[Finding]) -> str:
    scope = {"training": "faithful", "inference": "faithful for inference", "": "not faithful"}[verdict.faithful_for]
    return "; ".join([*([scope] * bool(verdict.faithful_for)), *map(_told, findings)]) or scope


def _part(port: nn.Module, name: str) -> Any:
    holder, _, last = name.rpartition(".")
    return getattr(port.get_submodule(holder), last)


def singles(mutations: Sequence[Mutation] = MUTATIONS) -> list[Trial]:
    """One trial a mutation."""
    return [Trial(mutation.network, (mutation,)) for mutation in mutations]


def pairs(mutations: Sequence[Mutation] = MUTATIONS) -> list[Trial]:
    """Two mutations of a network at different layers: every mutation that leaves shapes as they are, in one pair."""
    found = []
    for network in dict.fromkeys(mutation.network for mutation in mutations):
        waiting = [mutation for mutation in mutations if mutation.network == network and mutation.pairs]
        while waiting:
            first = waiting.pop(0)
            second = next((other for other in reversed(waiting) if compatible(first, other)), None)
            if second is not None:
                waiting.remove(second)
                found.append(Trial(network, (first, second)))
    return found


def compatible(one: Mutation, other: Mutation) -> bool:
    """Whether both can be put into one port and distinguished: at different places, of weights copied or own alike."""
    taken = (one.places | {one.other}) & (other.places | {other.other}) - {""}
    return one.own_weights == other.own_weights and not taken


def variants(rows: Sequence[Variant] = VARIANTS) -> list[Trial]:
    """One trial a faithful variant."""
    return [Trial(row.network, variant=row) for row in rows]
