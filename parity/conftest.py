"""Each pair of the registry is verified once; its rungs are tests of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from parity.commands import frameworks
from parity.commands.terminal import ahead
from parity.pairs import AnyPair, registry
from parity.verdict import Verdict


@pytest.fixture(scope="session")
def verdict_of(parity_record: Callable[[Verdict], Verdict]) -> Callable[[AnyPair], Verdict]:
    """The verdict on a pair, measured at the first call."""
    frameworks.load()
    ahead([pair for pair in registry()])

    @cache
    def verdict(pair: AnyPair) -> Verdict:
        return parity_record(pair.verify())

    return verdict
