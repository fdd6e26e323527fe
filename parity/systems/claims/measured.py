"""What a claim is, and how it fared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from parity.report.strings import Language

if TYPE_CHECKING:
    from parity.systems.claims.twins import Twins

Truth = Literal["true", "false", "conditional", "not measurable"]
Words = Mapping[Language, str]


@dataclass(frozen=True)
class Measured:
    """A claim's verdict, and the figures that say so, in both languages."""

    verdict: Truth
    en: str
    zh: str


Measure = Callable[["Twins"], Measured]


@dataclass(frozen=True)
class Claim:
    """A statement in our words, the keys of the sections that make it, and what measures it."""

    name: str
    sections: str
    en: str
    zh: str
    measure: Measure


@dataclass(frozen=True)
class Document:
    """A seed: its number, its title, its sections by key, and its claims in the order of the text."""

    number: str
    title: Words
    sections: Mapping[str, Words]
    claims: tuple[Claim, ...]


def truth(holds: bool) -> Truth:
    """``true`` or ``false``."""
    return "true" if holds else "false"


def unless(shown: bool, otherwise: Truth) -> Truth:
    """What a claim is if a measurement shows its flaw, and ``true`` if it does not."""
    return otherwise if shown else "true"


def both_sides(holds: bool, reference: object, port: object) -> Measured:
    """What each framework showed."""
    return Measured(truth(holds), f"Keras: {reference}; PyTorch: {port}", f"Keras：{reference}；PyTorch：{port}")


def unmeasured(english: str, chinese: str) -> Measure:
    """A claim that nothing here can settle, and why."""
    return lambda twins: Measured("not measurable", english, chinese)
