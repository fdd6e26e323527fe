"""Pairs of steps under repair: what feeds what decides, then names. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator

from parity.capture.steps import Step, Trace
from parity.match.data_flow import Fed, ends, everything, feeds
from parity.match.similarity import name_likeness, same_shapes, similarity

CONSISTENT, IN_ORDER = 1.0, 0.1
"""What a pair fed by paired steps is worth, and fed in the same order, in units of likeness.similarity."""


class Pairing:
    """A one-to-one relation between two runs' steps; ``fixed`` reference names are never paired anew."""

    def __init__(self, reference: Trace, port: Trace, pairs: dict[str, str], fixed: frozenset[str]):
        self.reference, self.port, self.pairs, self.fixed = reference, port, pairs, fixed
        self.reference_steps = {step.name: step for step in reference.steps}
        self.port_steps = {step.name: step for step in port.steps}

    def add(self, pairs: list[tuple[str, str]]) -> None:
        """Take these pairs in."""
        self.pairs |= dict(pairs)

    def free_reference(self) -> list[Step]:
        """Reference steps without a partner."""
        return [step for step in self.reference.steps if step.name not in self.pairs]

    def free_port(self) -> list[Step]:
        """Port steps without a partner."""
        taken = set(self.pairs.values())
        return [step for step in self.port.steps if step.name not in taken]

    def reference_feeds(self) -> dict[str, Fed]:
        """Which paired reference steps feed which."""
        return feeds(self.reference.steps, self.pairs)

    def score(self) -> float:
        """Similarity of all pairs, how many are fed by pairs, and how many in the same order."""
        alike = sum(similarity(self.reference_steps[a], self.port_steps[b]) for a, b in self.pairs.items())
        fed = list(self._fed())
        same = sum(self._agree(step, due, got) for step, due, got in fed)
        return alike + CONSISTENT * same + IN_ORDER * sum(due == got for _, due, got in fed)

    def mend(self) -> None:
        """Give each step that is fed by other steps than its partner a partner that is fed alike, where there is one.

        From the inputs on, so that a whole branch follows its first layer.
        """
        for _ in range(2 * len(self.pairs)):
            if not self._mended_one():
                return

    def follow_names(self) -> None:
        """Exchange the partners of layers with equal weights where their names say so and what feeds them allows."""
        weighty = [a for a in self.pairs if self.reference_steps[a].parametrised and a not in self.fixed]
        for number, a in enumerate(weighty):
            for other in weighty[number + 1 :]:
                if self._better_names(a, other):
                    self._try_exchange(a, other)

    def _mended_one(self) -> bool:
        mine = self.reference_feeds()
        theirs = feeds(self.port.steps, self.pairs.values())
        holders = {b: a for a, b in self.pairs.items()}
        for a, b in self.pairs.items():
            due = everything(self._translated(mine[a]))
            if a in self.fixed or not due or not theirs[b] or everything(theirs[b]) == due:
                continue
            step = self.reference_steps[a]
            without = feeds(self.port.steps, set(self.pairs.values()) - {b})
            fitting = [
                other for other in self.port.steps
                if other.name != b and other.matchable and holders.get(other.name) not in self.fixed
                and everything((theirs if other.name in holders else without)[other.name]) == due
                and self._may(step, other, holders, b)
            ]  # fmt: skip
            if fitting:
                self._give(a, max(fitting, key=lambda other: similarity(step, other)).name, holders)
                return True
            if step.kind == "merge" and self._handed_on(a, b, theirs[b]):
                return True
        return False

    def _handed_on(self, a: str, b: str, fed: Fed) -> bool:
        """Give a merge's partner to a later merge of the reference that is fed as the partner is."""
        mine = feeds(self.reference.steps, set(self.pairs) - {a})
        for step in self.free_reference():
            if similarity(step, self.port_steps[b]) and everything(self._translated(mine[step.name])) == everything(
                fed
            ):
                del self.pairs[a]
                self.pairs[step.name] = b
                return True
        return False

    def _may(self, step: Step, other: Step, holders: dict[str, str], left: str) -> bool:
        """Whether ``step`` may take ``other``, whose holder then takes what ``step`` leaves."""
        if similarity(step, other) < similarity(step, self.port_steps[left]) - 1.0:
            return False
        holder = holders.get(other.name)
        return holder is None or similarity(self.reference_steps[holder], self.port_steps[left]) > 0

    def _give(self, a: str, b: str, holders: dict[str, str]) -> None:
        holder = holders.get(b)
        if holder is not None:
            self.pairs[holder] = self.pairs[a]
        self.pairs[a] = b

    def _better_names(self, a: str, other: str) -> bool:
        one, two = self.reference_steps[a], self.reference_steps[other]
        mine, theirs = self.port_steps[self.pairs[a]], self.port_steps[self.pairs[other]]
        if one.kind != two.kind or not same_shapes(one, theirs) or not same_shapes(two, mine):
            return False
        now = name_likeness(one, mine) + name_likeness(two, theirs)
        return name_likeness(one, theirs) + name_likeness(two, mine) > now

    def _try_exchange(self, a: str, other: str) -> None:
        before, agreeing = dict(self.pairs), self._agreeing()
        self.pairs[a], self.pairs[other] = self.pairs[other], self.pairs[a]
        held = self.fixed
        self.fixed = held | {a, other}
        self.mend()
        self.fixed = held
        if self._agreeing() < agreeing:
            self.pairs = before

    def _fed(self) -> Iterator[tuple[Step | None, Fed, Fed]]:
        """For each pair, and for the network's outputs: what should feed the port's step, and what does."""
        mine = self.reference_feeds()
        theirs = feeds(self.port.steps, self.pairs.values())
        for a, b in self.pairs.items():
            if mine[a]:
                yield self.reference_steps[a], self._translated(mine[a]), theirs[b]
        yield None, self._translated(ends(self.reference, self.pairs)), ends(self.port, self.pairs.values())

    def _agree(self, step: Step | None, due: Fed, got: Fed) -> bool:
        if step is not None and step.commutative:
            return everything(due) == everything(got)
        return [frozenset(names) for names in due] == [frozenset(names) for names in got]

    def _agreeing(self) -> int:
        """How many pairs are fed by the same steps, in whatever order."""
        return sum(everything(due) == everything(got) for _, due, got in self._fed())

    def _translated(self, fed: Fed) -> Fed:
        return tuple(tuple(self.pairs.get(name, name) for name in names) for names in fed)
