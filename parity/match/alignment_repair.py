"""Repair of matched pairs by data flow, then by names. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator

from parity.capture.steps import Sources, Step, Trace
from parity.match.data_flow import all_names, output_sources, step_sources
from parity.match.similarity import TELLING, name_similarity, same_shapes, similarity

CONSISTENT, IN_ORDER = 1.0, 0.1
"""Score of a pair whose inputs come from paired steps, and from them in the same order, beside its similarity."""


class Pairing:
    """A one-to-one relation between two runs' steps; pairs of ``fixed`` reference names are never changed."""

    def __init__(self, reference: Trace, port: Trace, pairs: dict[str, str], fixed: frozenset[str]):
        self.reference, self.port, self.pairs, self.fixed = reference, port, pairs, fixed
        self.reference_steps = {step.name: step for step in reference.steps}
        self.port_steps = {step.name: step for step in port.steps}
        self._known_sources: dict[tuple[str, frozenset[str]], dict[str, Sources]] = {}

    def add(self, pairs: list[tuple[str, str]]) -> None:
        """Add pairs of names."""
        self.pairs |= dict(pairs)

    def unpaired_reference(self) -> list[Step]:
        """Reference steps without a partner."""
        return [step for step in self.reference.steps if step.name not in self.pairs]

    def unpaired_port(self) -> list[Step]:
        """Port steps without a partner."""
        taken = set(self.pairs.values())
        return [step for step in self.port.steps if step.name not in taken]

    def reference_sources(self) -> dict[str, Sources]:
        """For each reference step: which paired reference steps its inputs are computed from."""
        return self._sources("reference", frozenset(self.pairs))

    def port_sources(self) -> dict[str, Sources]:
        """For each port step: which paired port steps its inputs are computed from."""
        return self._sources("port", frozenset(self.pairs.values()))

    def _sources(self, side: str, known: frozenset[str]) -> dict[str, Sources]:
        """Sources by ``known`` steps, kept: most changes of a pairing exchange partners, and leave the paired steps."""
        key = side, known
        if key not in self._known_sources:
            steps = self.reference.steps if side == "reference" else self.port.steps
            self._known_sources[key] = step_sources(steps, known)
        return self._known_sources[key]

    def score(self) -> float:
        """Similarity of all pairs, plus the number of pairs whose inputs correspond, and of those in the same order."""
        total = sum(similarity(self.reference_steps[a], self.port_steps[b]) for a, b in self.pairs.items())
        inputs = list(self._compared_sources())
        same = sum(self._correspond(step, expected, got) for step, expected, got in inputs)
        return total + CONSISTENT * same + IN_ORDER * sum(expected == got for _, expected, got in inputs)

    def repair(self) -> None:
        """Give each step whose inputs do not correspond to its partner's a partner whose inputs do, if there is one.

        Steps are visited from the network's inputs on, so that a whole branch follows its first layer.
        """
        for _ in range(2 * len(self.pairs)):
            if not self._repaired_one():
                return

    def prefer_names(self) -> None:
        """Swap the partners of layers with equal weights where their names fit better and data flow allows it."""
        weighted = [a for a in self.pairs if self.reference_steps[a].parametrised and a not in self.fixed]
        for number, a in enumerate(weighted):
            for other in weighted[number + 1 :]:
                if self._better_names(a, other) and not self._parts(a, other):
                    self._try_swap(a, other)

    def prefer_settings(self) -> None:
        """Swap the partners of two layers without weights that read the same, where either then has its own setting.

        A mean and a maximum of one image are joined in some order: their partners are a mean and a maximum.
        """
        telling = [
            a for a in self.pairs
            if a not in self.fixed and self.reference_steps[a].kind in TELLING and not self._same_setting(a, a)
        ]  # fmt: skip
        for number, a in enumerate(telling):
            for other in telling[number + 1 :]:
                one, two = self.reference_steps[a], self.reference_steps[other]
                swapped = self._same_setting(a, other) and self._same_setting(other, a)
                if one.kind == two.kind and one.sources == two.sources and swapped:
                    self.pairs[a], self.pairs[other] = self.pairs[other], self.pairs[a]

    def _same_setting(self, a: str, other: str) -> bool:
        """Whether a reference step has the setting of the partner of another."""
        step, partner = self.reference_steps[a], self.port_steps[self.pairs[other]]
        setting, _ = TELLING[step.kind]
        return step.attributes.get(setting) == partner.attributes.get(setting)

    def _repaired_one(self) -> bool:
        of_reference = self.reference_sources()
        of_port = self.port_sources()
        holders = {b: a for a, b in self.pairs.items()}
        free = [step for step in self.unpaired_port() if step.matchable]
        for a, b in self.pairs.items():
            expected = all_names(self._translated(of_reference[a]))
            if a in self.fixed or not expected or not of_port[b] or all_names(of_port[b]) == expected:
                continue
            step = self.reference_steps[a]
            without = step_sources(self.port.steps, holders.keys() - {b}) if free else of_port
            fitting = [
                other for other in self.port.steps
                if other.name != b and other.matchable and holders.get(other.name) not in self.fixed
                and all_names((of_port if other.name in holders else without)[other.name]) == expected
                and self._may_take(step, other, holders, b)
            ]  # fmt: skip
            if fitting:
                self._assign(a, max(fitting, key=lambda other: similarity(step, other)).name, holders)
                return True
            if step.kind == "merge" and self._passed_on(a, b, of_port[b]):
                return True
        return False

    def _passed_on(self, a: str, b: str, sources: Sources) -> bool:
        """Give a merge's partner to a later merge of the reference whose inputs correspond to the partner's."""
        of_reference = step_sources(self.reference.steps, set(self.pairs) - {a})
        for step in self.unpaired_reference():
            expected = all_names(self._translated(of_reference[step.name]))
            if similarity(step, self.port_steps[b]) and expected == all_names(sources):
                del self.pairs[a]
                self.pairs[step.name] = b
                return True
        return False

    def _may_take(self, step: Step, other: Step, holders: dict[str, str], left: str) -> bool:
        """Whether ``step`` may take ``other``; the holder of ``other`` then takes the partner that ``step`` left."""
        if similarity(step, other) < similarity(step, self.port_steps[left]) - 1.0:
            return False
        holder = holders.get(other.name)
        return holder is None or similarity(self.reference_steps[holder], self.port_steps[left]) > 0

    def _assign(self, a: str, b: str, holders: dict[str, str]) -> None:
        holder = holders.get(b)
        if holder is not None:
            self.pairs[holder] = self.pairs[a]
        self.pairs[a] = b

    def _better_names(self, a: str, other: str) -> bool:
        one, two = self.reference_steps[a], self.reference_steps[other]
        partner_one, partner_two = self.port_steps[self.pairs[a]], self.port_steps[self.pairs[other]]
        if one.kind != two.kind or not same_shapes(one, partner_two) or not same_shapes(two, partner_one):
            return False
        now = name_similarity(one, partner_one) + name_similarity(two, partner_two)
        return name_similarity(one, partner_two) + name_similarity(two, partner_one) > now

    def _parts(self, a: str, other: str) -> bool:
        """Whether exchanging two partners takes away more agreement than there is to win in what reads these layers."""
        of_reference, of_port = self.reference_sources(), self.port_sources()

        def agrees(name: str, partner: str) -> bool:
            return all_names(self._translated(of_reference[name])) == all_names(of_port[self.pairs[partner]])

        lost = sum(agrees(one, one) - agrees(one, two) for one, two in ((a, other), (other, a)))
        if lost <= 0:
            return False
        partners = {self.pairs[a], self.pairs[other]}
        compared = ((all_names(expected), all_names(got)) for _, expected, got in self._compared_sources())
        return lost > sum(expected != got and bool(partners & (expected | got)) for expected, got in compared)

    def _try_swap(self, a: str, other: str) -> None:
        before, agreeing = dict(self.pairs), self._agreeing()
        self.pairs[a], self.pairs[other] = self.pairs[other], self.pairs[a]
        held = self.fixed
        self.fixed = held | {a, other}
        self.repair()
        self.fixed = held
        if self._agreeing() < agreeing:
            self.pairs = before

    def _compared_sources(self) -> Iterator[tuple[Step | None, Sources, Sources]]:
        """For each pair, and for the network's outputs: the expected sources of the port's step, and the actual."""
        of_reference = self.reference_sources()
        of_port = self.port_sources()
        for a, b in self.pairs.items():
            if of_reference[a]:
                yield self.reference_steps[a], self._translated(of_reference[a]), of_port[b]
        expected = self._translated(output_sources(self.reference, self.pairs))
        yield None, expected, output_sources(self.port, self.pairs.values())

    def _correspond(self, step: Step | None, expected: Sources, got: Sources) -> bool:
        if step is not None and step.commutative:
            return all_names(expected) == all_names(got)
        return [frozenset(names) for names in expected] == [frozenset(names) for names in got]

    def _agreeing(self) -> int:
        """How many pairs have the same sources, in whatever order."""
        return sum(all_names(expected) == all_names(got) for _, expected, got in self._compared_sources())

    def _translated(self, sources: Sources) -> Sources:
        """Reference sources by the names of their partners."""
        return tuple(tuple(self.pairs.get(name, name) for name in names) for names in sources)
