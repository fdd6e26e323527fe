"""Which layer of the port stands for which layer of the reference. Plain NumPy.

Layers are matched by order, kind and shape: the alignment of greatest score, as in sequence alignment, with the layers
that it leaves over paired by kind and shape. Branches have no order of their own, so the layers are aligned twice, as
they ran and as they are needed; what feeds what decides between both and mends single pairs. Names break ties. A
mapping ``{reference layer: port layer}`` overrules. Steps that only move data are paired for display and judged with
the next layer that computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from parity.capture.steps import Step, Trace
from parity.match.data_flow import Fed, execution_order, order_of_need
from parity.match.repair import Pairing
from parity.match.similarity import counterparts, same_shapes, same_size, similarity
from parity.verdict import UnusableInput


@dataclass(frozen=True)
class Match:
    """A pair of steps; ``in_order`` is False where the port runs it at another place."""

    reference: Step
    port: Step
    in_order: bool = True

    @property
    def key(self) -> str:
        """The reference step's name, which names the pair everywhere."""
        return self.reference.name

    @property
    def label(self) -> str:
        """The port's name of the layer, and the reference's where it is another."""
        here, there = self.port.name, self.reference.name
        return here if here.replace(".", "/") == there else f"{here} (reference {there})"


@dataclass(frozen=True)
class Matching:
    """Matched pairs in the reference's order, and what stands alone on either side.

    ``sources`` names, for each match and each tensor that its layer is given, the matches that feed it.
    """

    matches: list[Match]
    only_reference: list[Step]
    only_port: list[Step]
    sources: dict[str, Fed] = field(default_factory=dict)


def match_steps(reference: Trace, port: Trace, mapping: dict[str, str] | None = None) -> Matching:
    """Match two runs' steps.

    Raises:
        UnusableInput: ``mapping`` names a layer that did not run, or one layer twice; both sides' layers are listed.
    """
    fixed = _mapped(reference.steps, port.steps, mapping or {})
    pairings = []
    for arranged in (execution_order, order_of_need):
        left = [s for s in arranged(reference) if s.matchable and s.name not in fixed]
        right = [s for s in arranged(port) if s.matchable and s.name not in fixed.values()]
        pairs = [(left[i].name, right[j].name) for i, j in _align(left, right)]
        pairing = Pairing(reference, port, dict(fixed), frozenset(fixed))
        pairing.add(pairs)
        pairing.mend()
        pairing.follow_names()
        pairings.append(pairing)
    best = max(pairings, key=Pairing.score)
    return _completed(best)


def _completed(pairing: Pairing) -> Matching:
    """The pairing with what it left over paired by kind and shape, wherever the port runs it."""
    left = [step for step in pairing.free_reference() if step.matchable]
    right = [step for step in pairing.free_port() if step.matchable]
    late = dict(_leftovers(left, right, pairing))
    pairing.add(list(late.items()))
    matches = [
        Match(step, _renamed(step, pairing.port_steps[pairing.pairs[step.name]]), step.name not in late)
        for step in pairing.reference.steps
        if step.name in pairing.pairs
    ]
    return Matching(
        matches,
        [step for step in pairing.free_reference() if step.matchable],
        [step for step in pairing.free_port() if step.matchable],
        pairing.reference_feeds(),
    )


def _renamed(a: Step, b: Step) -> Step:
    """The port's step with the names that the reference's block gives to the parameters of its own."""
    names = counterparts(a, b) if a.own_weights else None
    if not names:
        return b
    shapes, handle = ({mine: table[other] for mine, other in names.items()} for table in (b.shapes, b.handle))
    return replace(b, shapes=shapes, handle=handle)


def _mapped(reference: Sequence[Step], port: Sequence[Step], mapping: dict[str, str]) -> dict[str, str]:
    by_reference = {step.name: step for step in reference if step.matchable}
    by_port = {step.name: step for step in port if step.matchable}
    wrong = [f"reference layer '{name}'" for name in mapping if name not in by_reference]
    wrong += [f"port layer '{name}'" for name in mapping.values() if name not in by_port]
    listed = f"reference layers: {', '.join(by_reference)}; port layers: {', '.join(by_port)}"
    if wrong:
        raise UnusableInput(f"the mapping names what did not run: {', '.join(wrong)}; {listed}")
    twice = sorted({name for name in mapping.values() if list(mapping.values()).count(name) > 1})
    if twice:
        raise UnusableInput(f"the mapping gives more than one reference layer to {', '.join(twice)}; {listed}")
    for a, b in mapping.items():
        one, other = by_reference[a], by_port[b]
        weighty = one.parametrised or other.parametrised
        open_own = one.own_weights and other.own_weights and counterparts(one, other) is None
        if weighty and (
            one.unknown_kind or open_own or one.kind != other.kind and not (one.pointwise and other.pointwise)
        ):
            raise UnusableInput(
                f"the mapping pairs {a} ({_kind(one)}) with {b} ({_kind(other)}), and no rule carries weights from one "
                f"to the other; {listed}"
            )
    return dict(mapping)


def _align(left: Sequence[Step], right: Sequence[Step]) -> list[tuple[int, int]]:
    """Index pairs of the alignment of greatest total similarity (Needleman and Wunsch 1970, gaps free)."""
    alike = [[similarity(a, b) for b in right] for a in left]
    score = [[0.0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            together = score[i + 1][j + 1] + alike[i][j] if alike[i][j] else -1.0
            score[i][j] = max(score[i + 1][j], score[i][j + 1], together)
    pairs, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if alike[i][j] and score[i][j] == score[i + 1][j + 1] + alike[i][j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif score[i][j] == score[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _leftovers(left: list[Step], right: list[Step], pairing: Pairing) -> list[tuple[str, str]]:
    free, pairs = list(right), []
    for step in left:
        fitting = [
            other for other in free if similarity(step, other) and same_size(step.output_shape, other.output_shape)
        ]
        if step.parametrised:
            fitting = [other for other in fitting if same_shapes(step, other)]
        elif step.kind == "merge":
            fitting = []
        else:
            fitting = [other for other in fitting if step.attributes == other.attributes]
        if fitting:
            best = max(fitting, key=lambda other: similarity(step, other))
            free.remove(best)
            pairs.append((step.name, best.name))
    return pairs


def _kind(step: Step) -> str:
    return step.class_name
