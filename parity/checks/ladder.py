"""The parity ladder: what each rung does, in climbing order."""

from __future__ import annotations

import time
from collections.abc import Callable

from parity.checks import gradients, state, static, values
from parity.checks.context import CheckContext, Outcome
from parity.verdict import RungResult, worst_judgement

RUNGS: dict[str, Callable[[CheckContext], Outcome]] = {
    **static.RUNGS,
    **values.RUNGS,
    **gradients.RUNGS,
    **state.RUNGS,
}


def climb(context: CheckContext, rung: str) -> tuple[RungResult, Outcome]:
    """One rung's result, timed."""
    start = time.perf_counter()
    outcome = RUNGS[rung](context)
    judgement = worst_judgement(outcome.checks)
    failed = [check for check in outcome.checks if check.judgement == "fail"]
    message = failed[0].message or outcome.message if failed else outcome.message
    return RungResult(rung, judgement, message, outcome.checks, time.perf_counter() - start), outcome
