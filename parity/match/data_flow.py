"""What feeds what in a recorded run, seen through everything that has no counterpart. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from parity.capture.steps import Step, Trace

Fed = tuple[tuple[str, ...], ...]


def feeds(steps: Sequence[Step], known: Iterable[str]) -> dict[str, Fed]:
    """For each step and each tensor that it is given: which of the ``known`` steps (or network inputs) it comes from.

    Steps between them, such as reshapes, are seen through. The names stand in the order in which they were used.
    """
    known = set(known)
    behind: dict[str, tuple[str, ...]] = {}
    found = {}
    for step in steps:
        arguments = [_merged(behind.get(name, (name,)) for name in names) for names in step.sources]
        found[step.name] = tuple(argument for argument in arguments if argument)
        behind[step.name] = (step.name,) if step.name in known else _merged(arguments)
    return found


def everything(fed: Fed) -> frozenset[str]:
    """All names in it, whatever their order."""
    return frozenset(_merged(fed))


def _merged(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts for name in part))


def ends(trace: Trace, known: Iterable[str]) -> Fed:
    """The same for the network's outputs."""
    last = Step("", "identity", {}, sources=trace.ends)
    return feeds([*trace.steps, last], known)[""]


def execution_order(trace: Trace) -> list[Step]:
    """The steps as they ran."""
    return list(trace.steps)


def order_of_need(trace: Trace) -> list[Step]:
    """The steps in an order that does not depend on which branch happens to run first.

    A walk from the network's outputs back to its inputs, argument by argument; where their order has no meaning
    (sums), the branch with more parameters comes first. Steps that no output needs come last.
    """
    by_name = {step.name: step for step in trace.steps}
    weight = _weights(trace.steps)
    arranged: dict[str, Step] = {}
    stack = [(name, False) for names in reversed(trace.ends) for name in reversed(names)]
    while stack:
        name, complete = stack.pop()
        step = by_name.get(name)
        if step is None or name in arranged:
            continue
        if complete:
            arranged[name] = step
            continue
        stack.append((name, True))
        needed = [source for names in step.sources for source in names]
        if step.commutative:
            needed.sort(key=lambda source: weight.get(source, (0, 0)), reverse=True)
        stack += [(source, False) for source in reversed(needed)]
    return [*arranged.values(), *(step for step in trace.steps if step.name not in arranged)]


def _weights(steps: Sequence[Step]) -> dict[str, tuple[int, int]]:
    """Parameters and number of steps that each step rests on."""
    place = {step.name: number for number, step in enumerate(steps)}
    rests_on: dict[str, int] = {}
    found = {}
    for step in steps:
        bits = 1 << place[step.name]
        for names in step.sources:
            for name in names:
                bits |= rests_on.get(name, 0)
        rests_on[step.name] = bits
        members = [other for other in steps[: place[step.name] + 1] if bits >> place[other.name] & 1]
        found[step.name] = (sum(member.size for member in members), len(members))
    return found


@dataclass(frozen=True)
class Unknown:
    """Where values stem from a layer that cannot be compared: per step, that layer's name or nothing.

    ``given`` looks back to the nearest layers that are compared, ``upstream`` to the network's inputs. The key ""
    stands for the network's outputs.
    """

    given: dict[str, str]
    upstream: dict[str, str]


def unknown_values(trace: Trace, known: Iterable[str], foreign: Iterable[str]) -> Unknown:
    """Follow the outputs of the ``foreign`` steps, past everything (upstream), or up to the next ``known`` step."""
    known, foreign = set(known), set(foreign)
    inside = {name: step.name for step in trace.steps if step.name in foreign for name in step.inside}
    given: dict[str, str] = {}
    upstream: dict[str, str] = {}
    for step in [*trace.steps, Step("", "identity", {}, sources=trace.ends)]:
        before = [name for names in step.sources for name in names]
        near = (name if name in foreign else "" if name in known else given.get(name, "") for name in before)
        far = (name if name in foreign else upstream.get(name, "") for name in before)
        given[step.name] = inside.get(step.name) or next(filter(None, near), "")
        upstream[step.name] = inside.get(step.name) or next(filter(None, far), "")
    return Unknown(given, upstream)
