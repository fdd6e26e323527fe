"""What a measure is: a function of the twins and a claim's arguments that returns named figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]
Function = Callable[..., Figures]
BOTH = "Keras: {keras}; PyTorch: {torch}", "Keras：{keras}；PyTorch：{torch}"


@dataclass(frozen=True)
class Measure:
    """A measure, the condition of a claim that it proves, and its figures in words, for rows that say neither."""

    function: Function
    holds: str
    en: str
    zh: str


MEASURES: dict[str, Measure] = {}


def measure(holds: str = "", en: str = "", zh: str = "") -> Callable[[Function], Function]:
    """Register a function ``(twins, **arguments) -> figures`` under its own name."""

    def register(function: Function) -> Function:
        MEASURES[function.__name__] = Measure(function, holds, en, zh or en)
        return function

    return register
