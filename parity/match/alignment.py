"""Matching: which layer of the port corresponds to which layer of the reference. Plain NumPy.

Layers are matched by order, kind and shape: the alignment of greatest score, as in sequence alignment; layers that it
leaves unmatched are paired by kind and shape. Branches have no fixed order, so the layers are aligned twice, in
execution order and in the order in which the outputs need them; data flow decides between both and repairs single
pairs. Names break ties. A mapping ``{reference layer: port layer}`` overrides all of this. Steps that only move data
are paired for display and judged with the next layer that computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from parity.capture.steps import Sources, Step, Trace
from parity.match.alignment_repair import Pairing
from parity.match.data_flow import execution_order, order_of_need
from parity.match.similarity import counterparts, same_shapes, same_size, similarity
from parity.verdict import UnusableInput


@dataclass(frozen=True)
class Match:
    """A pair of steps; ``in_order`` is False if the port runs its step at another place."""

    reference: Step
    port: Step
    in_order: bool = True

    @property
    def key(self) -> str:
        """The reference step's name, which names the pair everywhere."""
        return self.reference.name

    @property
    def label(self) -> str:
        """The port's name of the layer, and the reference's if that differs."""
        port, reference = self.port.name, self.reference.name
        return port if port.replace(".", "/") == reference else f"{port} (reference {reference})"


@dataclass(frozen=True)
class Matching:
    """Matched pairs in the reference's order, and the unmatched steps of either side.

    ``sources`` names, for each match and each input tensor of its layer, the matches that it is computed from.
    """

    matches: list[Match]
    only_reference: list[Step]
    only_port: list[Step]
    sources: dict[str, Sources] = field(default_factory=dict)


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
        pairing.repair()
        pairing.prefer_names()
        pairing.prefer_settings()
        pairings.append(pairing)
    best = max(pairings, key=Pairing.score)
    return _completed(best)


def _completed(pairing: Pairing) -> Matching:
    """The pairing with its unmatched steps paired by kind and shape, wherever the port runs them."""
    left = [step for step in pairing.unpaired_reference() if step.matchable]
    right = [step for step in pairing.unpaired_port() if step.matchable]
    out_of_order = dict(_pair_unmatched(left, right))
    pairing.add(list(out_of_order.items()))
    matches = [
        Match(step, _renamed(step, pairing.port_steps[pairing.pairs[step.name]]), step.name not in out_of_order)
        for step in pairing.reference.steps
        if step.name in pairing.pairs
    ]
    return Matching(
        matches,
        [step for step in pairing.unpaired_reference() if step.matchable],
        [step for step in pairing.unpaired_port() if step.matchable],
        pairing.reference_sources(),
    )


def _renamed(a: Step, b: Step) -> Step:
    """The port's step with the reference's names for the block's own parameters."""
    names = counterparts(a, b) if a.own_weights else None
    if not names:
        return b
    shapes, handle = ({slot: table[other] for slot, other in names.items()} for table in (b.shapes, b.handle))
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
        weighted = one.parametrised or other.parametrised
        ambiguous = one.own_weights and other.own_weights and counterparts(one, other) is None
        if weighted and (
            one.unknown_kind or ambiguous or one.kind != other.kind and not (one.pointwise and other.pointwise)
        ):
            raise UnusableInput(
                f"the mapping pairs {a} ({one.class_name}) with {b} ({other.class_name}), and no rule carries weights "
                f"from one to the other; {listed}"
            )
    return dict(mapping)


def _align(left: Sequence[Step], right: Sequence[Step]) -> list[tuple[int, int]]:
    """Index pairs of the alignment of greatest total similarity (Needleman and Wunsch 1970, gaps free)."""
    scores = [[similarity(a, b) for b in right] for a in left]
    best = [[0.0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            together = best[i + 1][j + 1] + scores[i][j] if scores[i][j] else -1.0
            best[i][j] = max(best[i + 1][j], best[i][j + 1], together)
    pairs, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if scores[i][j] and best[i][j] == best[i + 1][j + 1] + scores[i][j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _pair_unmatched(left: list[Step], right: list[Step]) -> list[tuple[str, str]]:
    """Pairs of steps of equal kind and size, with equal parameter shapes or, without parameters, equal settings."""
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
