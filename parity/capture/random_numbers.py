"""Random numbers that modules draw while they are measured: repeatable, and none of the caller's."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import torch

P = ParamSpec("P")
R = TypeVar("R")


def with_own_random_numbers(function: Callable[P, R]) -> Callable[P, R]:
    """While ``function`` runs, torch draws from generators seeded by its argument ``seed`` (by name; default 0).

    The caller's generators are left where they stood.
    """

    @wraps(function)
    def seeded(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.random.fork_rng():
            torch.manual_seed(cast(Any, kwargs.get("seed", 0)))
            return function(*args, **kwargs)

    return seeded
