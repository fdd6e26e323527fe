"""Data flow of a recorded run: which steps each step's inputs are computed from. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from parity.capture.steps import Sources, Step, Trace


def step_sources(steps: Sequence[Step], known: Iterable[str]) -> dict[str, Sources]:
    """For each step and each of its input tensors: which ``known`` steps (or network inputs) it is computed from.

    Steps between them, such as reshapes, are skipped. Names are in the order of their use.
    """
    known = set(known)
    behind: dict[str, tuple[str, ...]] = {}
    found = {}
    for step in steps:
        arguments = [_merged(behind.get(name, (name,)) for name in names) for names in step.sources]
        found[step.name] = tuple(argument for argument in arguments if argument)
        behind[step.name] = (step.name,) if step.name in known else _merged(arguments)
    return found


def all_names(sources: Sources) -> frozenset[str]:
    """All names in ``sources``, whatever their order."""
    return frozenset(_merged(sources))


def _merged(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts for name in part))


def output_sources(trace: Trace, known: Iterable[str]) -> Sources:
    """For each network output: which ``known`` steps (or network inputs) it is computed from."""
    last = Step("", "identity", {}, sources=trace.ends)
    return step_sources([*trace.steps, last], known)[""]


def passed_steps(trace: Trace, known: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """For each step: the steps between it and the ``known`` ones (or network inputs) that it is computed from.

    In execution order. The key ``output 0`` stands for the network's first output, and so on.
    """
    known = set(known)
    found: dict[str, tuple[str, ...]] = {}
    ends = [Step(f"output {number}", "identity", {}, sources=(names,)) for number, names in enumerate(trace.ends)]
    for step in [*trace.steps, *ends]:
        names = [name for source in step.sources for name in source if name in found and name not in known]
        found[step.name] = _merged([*(found[name] for name in names), tuple(names)])
    return found


def execution_order(trace: Trace) -> list[Step]:
    """The steps in the order in which they ran."""
    return list(trace.steps)


def order_of_need(trace: Trace) -> list[Step]:
    """The steps in an order that does not depend on which branch runs first.

    A depth-first walk from the network's outputs back to its inputs, argument by argument. The inputs of a commutative
    step are visited from the branch with most parameters to the one with fewest. Steps that no output needs come last.
    """
    by_name = {step.name: step for step in trace.steps}
    weight = _ancestors(trace.steps)
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


def _ancestors(steps: Sequence[Step]) -> dict[str, tuple[int, int]]:
    """Number of parameters and of steps among each step and all its ancestors."""
    place = {step.name: number for number, step in enumerate(steps)}
    ancestors: dict[str, int] = {}
    found = {}
    for step in steps:
        bits = 1 << place[step.name]
        for names in step.sources:
            for name in names:
                bits |= ancestors.get(name, 0)
        ancestors[step.name] = bits
        members = [other for other in steps[: place[step.name] + 1] if bits >> place[other.name] & 1]
        found[step.name] = (sum(member.size for member in members), len(members))
    return found


@dataclass(frozen=True)
class Unknown:
    """Which steps' inputs are computed from a layer that cannot be compared: per step, that layer's name or "".

    ``direct`` looks back to the nearest compared layers, ``upstream`` to the network's inputs. The key "" stands for
    the network's outputs.
    """

    direct: dict[str, str]
    upstream: dict[str, str]


def unknown_values(trace: Trace, known: Iterable[str], unmatched: Iterable[str]) -> Unknown:
    """Follow the outputs of ``unmatched`` steps to the network's outputs (upstream), or to the next ``known`` steps."""
    known, unmatched = set(known), set(unmatched)
    inside = {name: step.name for step in trace.steps if step.name in unmatched for name in step.inside}
    direct: dict[str, str] = {}
    upstream: dict[str, str] = {}
    for step in [*trace.steps, Step("", "identity", {}, sources=trace.ends)]:
        before = [name for names in step.sources for name in names]
        near = (name if name in unmatched else "" if name in known else direct.get(name, "") for name in before)
        far = (name if name in unmatched else upstream.get(name, "") for name in before)
        direct[step.name] = inside.get(step.name) or next(filter(None, near), "")
        upstream[step.name] = inside.get(step.name) or next(filter(None, far), "")
    return Unknown(direct, upstream)
