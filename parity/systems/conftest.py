"""Each pair of the registry is verified once; its rungs are tests of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from parity.systems import frameworks, worker_pool
from parity.systems.exhibits import exhibits
from parity.systems.registry import AnyPair
from parity.verdict import Verdict


def pytest_parity_exhibits(verdicts: list[Verdict]) -> dict[str, Any]:
    """The report of ``pytest parity --parity-report DIR`` shows what ``parity report`` shows."""
    return exhibits(verdicts)


@pytest.fixture(scope="session")
def verdict_of(
    request: pytest.FixtureRequest, parity_record: Callable[[Verdict], Verdict]
) -> Iterator[Callable[[AnyPair], Verdict]]:
    """The verdict on a pair, measured once; for many pairs by several processes, ahead of the tests that ask."""
    items = [item for item in request.session.items if "verdict_of" in getattr(item, "fixturenames", ())]
    pairs = list(dict.fromkeys(item.callspec.params["pair"] for item in items if hasattr(item, "callspec")))
    worker_pool.start_device_runs(pairs)
    jobs = (
        1 if hasattr(request.config, "workerinput") else worker_pool.default_jobs(len(pairs))
    )  # xdist has processes of its own
    if jobs == 1:
        frameworks.load()
        yield cache(lambda pair: parity_record(pair.verify()))
        return
    with worker_pool.WorkerPool(jobs) as pool:
        futures = {pair: pool.submit(pair) for pair in pairs}
        yield cache(lambda pair: parity_record(futures[pair].result()))
