"""Which layer of the port stands for which layer of the reference. Plain NumPy.

Layers are matched by execution order, kind and shape: the alignment of greatest score, as in sequence alignment, with
the layers that it leaves over paired by kind and shape (branches that run in another order). A mapping
``{reference layer: port layer}`` overrules. Steps that only move data are paired for display and judged with the
next layer that computes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from parity.tracing.steps import Step
from parity.verdict import UnusableInput
from parity.weights import Crossing


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
    """Matched pairs in the reference's order, and what stands alone on either side."""

    matches: list[Match]
    only_reference: list[Step]
    only_port: list[Step]

    def of_port(self, name: str) -> Match | None:
        """The match that a port step belongs to."""
        return next((match for match in self.matches if match.port.name == name), None)


def match_steps(reference: Sequence[Step], port: Sequence[Step], mapping: dict[str, str] | None = None) -> Matching:
    """Match two runs' steps.

    Raises:
        UnusableInput: ``mapping`` names a layer that did not run; both sides' layers are listed.
    """
    reference = [step for step in reference if step.matchable]
    port = [step for step in port if step.matchable]
    fixed = _mapped(reference, port, mapping or {})
    taken_reference = {match.reference.name for match in fixed}
    taken_port = {match.port.name for match in fixed}
    left = [step for step in reference if step.name not in taken_reference]
    right = [step for step in port if step.name not in taken_port]
    pairs = _align(left, right)
    matches = fixed + [Match(left[i], right[j]) for i, j in pairs]
    left = [step for i, step in enumerate(left) if i not in {i for i, _ in pairs}]
    right = [step for j, step in enumerate(right) if j not in {j for _, j in pairs}]
    late = _leftovers(left, right)
    matches += [Match(a, b, in_order=False) for a, b in late]
    order = {step.name: place for place, step in enumerate(reference)}
    matches.sort(key=lambda match: order[match.reference.name])
    paired = {id(step) for pair in late for step in pair}
    return Matching(
        matches,
        [step for step in left if id(step) not in paired],
        [step for step in right if id(step) not in paired],
    )


def similarity(a: Step, b: Step) -> float:
    """Alignment score of two steps: 0 if they cannot stand for each other, more the more they have in common."""
    if a.kind != b.kind or a.attributes.get("rank") != b.attributes.get("rank"):
        return 0.0
    if a.kind.startswith("opaque") and (a.parametrised or b.parametrised):
        return 0.0
    if a.parametrised != b.parametrised:
        return 1.0 if a.kind in ("batchnorm", "layernorm", "groupnorm") else 0.0
    score = 3.0 if a.parametrised else 1.0
    score += 2.0 * (a.parametrised and same_shapes(a, b))
    score += 0.5 * same_size(a.output_shape, b.output_shape)
    score += 0.5 * (a.kind == "activation" and a.attributes.get("function") == b.attributes.get("function"))
    return score + 0.75 * (_last_name(a.name) == _last_name(b.name))


def same_shapes(a: Step, b: Step) -> bool:
    """Whether every parameter of ``a`` has the shape of ``b``'s once it has crossed."""
    crossing = Crossing(a.layout)
    shared = set(a.shapes) & set(b.shapes)
    return bool(shared) and all(
        crossing.to_torch(slot, np.empty(a.shapes[slot], np.int8)).shape == tuple(b.shapes[slot]) for slot in shared
    )


def same_size(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether two arrays hold equally many values."""
    return int(np.prod(a)) == int(np.prod(b))


def _mapped(reference: Sequence[Step], port: Sequence[Step], mapping: dict[str, str]) -> list[Match]:
    by_reference, by_port = {step.name: step for step in reference}, {step.name: step for step in port}
    wrong = [f"reference layer '{name}'" for name in mapping if name not in by_reference]
    wrong += [f"port layer '{name}'" for name in mapping.values() if name not in by_port]
    if wrong:
        raise UnusableInput(
            f"the mapping names what did not run: {', '.join(wrong)}; reference layers: {', '.join(by_reference)}; "
            f"port layers: {', '.join(by_port)}"
        )
    return [Match(by_reference[a], by_port[b]) for a, b in mapping.items()]


def _align(left: Sequence[Step], right: Sequence[Step]) -> list[tuple[int, int]]:
    score = np.zeros((len(left) + 1, len(right) + 1))
    alike = np.array([[similarity(a, b) for b in right] for a in left]).reshape(len(left), len(right))
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            together = score[i + 1, j + 1] + alike[i, j] if alike[i, j] else -1.0
            score[i, j] = max(score[i + 1, j], score[i, j + 1], together)
    pairs, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if alike[i, j] and score[i, j] == score[i + 1, j + 1] + alike[i, j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif score[i, j] == score[i + 1, j]:
            i += 1
        else:
            j += 1
    return pairs


def _leftovers(left: list[Step], right: list[Step]) -> list[tuple[Step, Step]]:
    free, pairs = list(right), []
    for step in left:
        fitting = [
            other for other in free if similarity(step, other) and same_size(step.output_shape, other.output_shape)
        ]
        if step.parametrised:
            fitting = [other for other in fitting if same_shapes(step, other)]
        else:
            fitting = [other for other in fitting if step.attributes == other.attributes]
        if fitting:
            best = max(fitting, key=lambda other: similarity(step, other))
            free.remove(best)
            pairs.append((step, best))
    return pairs


def _last_name(name: str) -> str:
    return re.split(r"[/.]", name)[-1].split("#")[0].split(":")[-1]
