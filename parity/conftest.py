"""Each pair of the registry is verified once; its rungs are tests of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from parity.commands import frameworks
from parity.commands.terminal import ahead
from parity.pairs import AnyPair
from parity.training.pairs import TrainingPair
from parity.verdict import Verdict


@pytest.fixture(scope="session")
def verdict_of(
    request: pytest.FixtureRequest, parity_record: Callable[[Verdict], Verdict]
) -> Callable[[AnyPair], Verdict]:
    """The verdict on a pair, measured at the first call."""
    frameworks.load()
    parameters = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    pairs = [given["pair"] for given in parameters if isinstance(given.get("pair"), TrainingPair)]
    ahead(list(dict.fromkeys(pairs)))

    @cache
    def verdict(pair: AnyPair) -> Verdict:
        return parity_record(pair.verify())

    return verdict
