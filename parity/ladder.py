"""The parity ladder: its rungs in climbing order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from parity.rungs import learning, static, values
from parity.rungs.bench import Bench, Outcome
from parity.verdict import RungResult, UnusableInput, worst_judgement

RUNGS: dict[str, Callable[[Bench], Outcome]] = {
    **static.RUNGS,
    **values.RUNGS,
    **learning.RUNGS,
}


def chosen(rungs: Iterable[str] | None) -> list[str]:
    """The rungs asked for, in climbing order; all of them for None.

    Raises:
        UnusableInput: a name is no rung; the valid ones are listed.
    """
    if rungs is None:
        return list(RUNGS)
    wanted = list(rungs)
    unknown = [rung for rung in wanted if rung not in RUNGS]
    if unknown or not wanted:
        raise UnusableInput(
            f"unknown rung {', '.join(map(repr, unknown)) or '(none given)'}; valid: {', '.join(RUNGS)}"
        )
    return [rung for rung in RUNGS if rung in wanted]


def climb(bench: Bench, rung: str) -> tuple[RungResult, Outcome]:
    """One rung's result, timed."""
    start = time.perf_counter()
    outcome = RUNGS[rung](bench)
    judgement = worst_judgement(outcome.checks)
    failed = [check for check in outcome.checks if check.judgement == "fail"]
    message = failed[0].message or outcome.message if failed else outcome.message
    return RungResult(rung, judgement, message, outcome.checks, time.perf_counter() - start), outcome
