"""Climbing the ladder: what a rung returns, and how the rungs of a table are climbed in turn. Imports no framework."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from parity.checks.registry import Rung, Rungs
from parity.verdict import Check, Finding, RungResult, worst_judgement

Amounts = list[tuple[int, int]] | None
"""``(before, after)`` per spatial axis; None where no amount explains the values."""
Paddings = dict[str, tuple[Amounts, Amounts]]
"""By reference layer, the measured amounts of the reference and of the port."""


@dataclass
class Outcome:
    """A rung's checks and findings; ``message`` says what was judged, or why nothing could be.

    ``paddings`` is filled by the rung ``padding`` alone.
    """

    checks: list[Check] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    message: str = ""
    paddings: Paddings = field(default_factory=dict)


class Stopped(Exception):
    """What is judged stopped with an error, which the text names: the rung that needed it fails, at ``layer``."""

    layer = "port"


@dataclass
class Climbed:
    """The results of some rungs, in climbing order, and everything that they found."""

    results: dict[str, RungResult] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    paddings: Paddings = field(default_factory=dict)

    @property
    def checks(self) -> list[Check]:
        """The checks of all rungs."""
        return [check for result in self.results.values() for check in result.checks]


def climb_all(rungs: Rungs, names: Iterable[str], context: Any, progress: Callable[[str], object]) -> Climbed:
    """Climb the rungs named; ``progress`` is called with each name before."""
    climbed = Climbed()
    for name in names:
        progress(name)
        climbed.results[name], outcome = climb(rungs, name, context)
        climbed.findings += outcome.findings
        climbed.paddings |= outcome.paddings
    return climbed


def climb(rungs: Rungs, name: str, context: Any) -> tuple[RungResult, Outcome]:
    """Climb one rung of a table: its result, timed, and its outcome."""
    start = time.perf_counter()
    rung = rungs[name]
    module, _, function = rung.function.partition(":")
    try:
        outcome: Outcome = getattr(import_module(module), function)(context)
    except Stopped as stopped:
        outcome = Outcome([Check(name, stopped.layer, "run", "fail", message=str(stopped))])
    judgement, message = worst_judgement(outcome.checks), _message(rung, outcome)
    return RungResult(name, judgement, message, outcome.checks, time.perf_counter() - start), outcome


def _message(rung: Rung, outcome: Outcome) -> str:
    failed = [check.message for check in outcome.checks if check.judgement == "fail"]
    if rung.headline == "finding":
        found = [finding.message for finding in outcome.findings]
        return [*found, outcome.message][0] or next(iter(failed), "")
    return (failed[0] if failed else "") or outcome.message
