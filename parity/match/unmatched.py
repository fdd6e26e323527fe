"""What cannot be judged because a layer has no counterpart that its weights could go to. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from parity.capture.steps import Step, Trace
from parity.match.alignment import Match, Matching
from parity.match.data_flow import Unknown, all_names, step_sources, unknown_values


@dataclass
class Unmatched:
    """Reasons to abstain, from the layers that stand alone on either side and from what they feed."""

    matching: Matching
    reference_trace: Trace
    port_trace: Trace

    @cached_property
    def reasons(self) -> dict[str, str]:
        """Why lone layers cannot be judged: their weights follow no rule, or they stand where such a layer stands.

        Lone layers that are not in it are missing on the other side.
        """
        alone = (*self.matching.only_reference, *self.matching.only_port)
        found = {step.name: _reason(step) for step in alone if step.untransferable and id(step) not in self._missing}
        partner = {match.key: match.port.name for match in self.matching.matches}
        of_reference = step_sources(self.reference_trace.steps, partner)
        of_port = step_sources(self.port_trace.steps, partner.values())
        for a in self.matching.only_reference:
            fed = {partner.get(name, name) for name in all_names(of_reference[a.name])}
            for b in self.matching.only_port:
                if fed == all_names(of_port[b.name]) and a.untransferable != b.untransferable:
                    known, unknown = (b, a) if a.untransferable else (a, b)
                    if known.parametrised or known.kind == "dropout":
                        found[known.name] = f"it may stand for {unknown.name}: {found[unknown.name]}"
        return found

    def unknown_input(self, match: Match | None, upstream: bool = False) -> str:
        """Why what a layer is given (None: the network's output) cannot be judged; "" if it can.

        It comes from a layer without a counterpart whose weights are not transferred: directly, or with ``upstream``
        through layers that can be judged by themselves.
        """
        of_reference, of_port = self._unknown
        for unknown, name, steps in (
            (of_reference, match.key if match else "", self.matching.only_reference),
            (of_port, match.port.name if match else "", self.matching.only_port),
        ):
            source = (unknown.upstream if upstream else unknown.direct).get(name)
            if source:
                lone = next(step for step in steps if step.name == source)
                what = f"{source}, whose own" if lone.own_weights else f"{source} ({lone.class_name}), whose"
                return f"fed by {what} weights no rule carries across"
        return ""

    @cached_property
    def _missing(self) -> set[int]:
        """Lone layers whose weights can stand nowhere on the other side, where no layer with weights is left over.

        By identity.
        """
        sides = self.matching.only_reference, self.matching.only_port
        return {
            id(step) for own, other in (sides, sides[::-1]) for step in own
            if step.untransferable and not any(x.parametrised for x in other)
        }  # fmt: skip

    @cached_property
    def _unknown(self) -> tuple[Unknown, Unknown]:
        visible = [match for match in self.matching.matches if match.reference.visible]
        lone = [
            [step.name for step in steps if step.untransferable and id(step) not in self._missing]
            for steps in (self.matching.only_reference, self.matching.only_port)
        ]
        return (
            unknown_values(self.reference_trace, {match.key for match in visible}, lone[0]),
            unknown_values(self.port_trace, {match.port.name for match in visible}, lone[1]),
        )


def _reason(step: Step) -> str:
    if step.own_weights:
        return "its own weights have no counterpart"
    return f"{step.class_name} has no counterpart of a known kind"
