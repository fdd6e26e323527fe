"""How a claim fared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Truth = Literal["true", "false", "conditional", "not measurable"]


@dataclass(frozen=True)
class Measured:
    """A claim's verdict, and the figures that say so, in both languages."""

    verdict: Truth
    en: str
    zh: str


def truth(holds: bool) -> Truth:
    """``true`` or ``false``."""
    return "true" if holds else "false"


def both_sides(holds: bool, reference: object, port: object) -> Measured:
    """What each framework showed."""
    return Measured(truth(holds), f"Keras: {reference}; PyTorch: {port}", f"Keras：{reference}；PyTorch：{port}")
