"""Documents as data: a YAML file each, with its sections and its claims, read and checked when the package is imported.

A claim is one row of ``claims``: what the document says in two languages, the measure that settles it with its
arguments, and what the verdict follows from. A bad row raises :class:`ClaimError` with file, claim and reason.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from parity.report.strings import Language
from parity.systems.chains import Twins
from parity.systems.claims.measures import MEASURES
from parity.systems.claims.measures.registry import Figures
from parity.systems.claims.wording import evaluate, parsed, worded

Truth = Literal["true", "false", "conditional", "not measurable"]
FOLDER = Path(__file__).parent / "documents"


class ClaimError(ValueError):
    """A row of a document that cannot be used."""


class Words(BaseModel):
    """A text in both languages; what was measured stands in braces, as in ``str.format``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    en: str
    zh: str


class Claim(BaseModel):
    """A statement of a document, the keys of the sections that make it, and how it is settled.

    Exactly one of ``measure`` (a name in :data:`MEASURES`; all further keys are its arguments), ``follows_from`` (other
    claims of the document) and ``not_measurable`` (the reason) is given. Conditions are expressions over the measure's
    figures and arguments: the claim is false unless the first holds, else conditional unless the second holds, else
    true. Conditions and words that a row leaves out are the measure's own.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    id: str
    sections: list[str]
    en: str
    zh: str
    measure: str | None = None
    follows_from: list[str] = []
    not_measurable: Words | None = None
    false_unless: str = ""
    conditional_unless: str = "True"
    measured: Words | None = None

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        if sum(map(bool, (self.measure, self.follows_from, self.not_measurable))) != 1:
            raise ValueError("expected one of measure, follows_from and not_measurable")
        if self.measure is None:
            if self.arguments:
                raise ValueError(f"unknown keys without a measure to take them: {', '.join(self.arguments)}")
            return self
        if self.measure not in MEASURES:
            raise ValueError(f"unknown measure {self.measure!r}: use one of {', '.join(sorted(MEASURES))}")
        measure = MEASURES[self.measure]
        try:
            inspect.signature(measure.function).bind(None, **self.arguments)
        except TypeError as error:
            raise ValueError(f"{self.measure}: {error}") from None
        if not (self.false_unless or measure.holds) or not (self.measured or measure.en):
            raise ValueError(f"{self.measure} leaves false_unless and measured to the row that uses it")
        parsed(self.false_unless or measure.holds), parsed(self.conditional_unless)
        return self

    @property
    def arguments(self) -> dict[str, Any]:
        """What the measure is called with."""
        return self.model_extra or {}

    def figures(self, twins: Twins, verdicts: Mapping[str, Truth]) -> Figures:
        """What is measured, with the arguments; ``verdicts`` are those of the document's claims so far."""
        if self.follows_from:
            return {"verdicts": [verdicts[name] for name in self.follows_from]}
        return {} if self.measure is None else MEASURES[self.measure].function(twins, **self.arguments)

    def verdict(self, figures: Figures) -> Truth:
        """What the claim is by these figures."""
        if self.not_measurable:
            return "not measurable"
        holds = MEASURES[self.measure].holds if self.measure else "all(each == 'true' for each in verdicts)"
        names = {**self.arguments, **figures}
        if not evaluate(self.false_unless or holds, names):
            return "false"
        return "true" if evaluate(self.conditional_unless, names) else "conditional"

    def words(self, figures: Figures, language: Language) -> str:
        """The figures as a sentence."""
        own = self.measured or self.not_measurable or MEASURES[self.measure or ""]
        return worded(getattr(own, language), language, {**self.arguments, **figures})


@dataclass(frozen=True)
class Document:
    """A document's number and title, its sections by key, and its claims in the order of the text."""

    number: str
    title: Mapping[Language, str]
    sections: Mapping[str, Mapping[Language, str]]
    claims: tuple[Claim, ...]

    def source(self, claim: Claim) -> dict[Language, str]:
        """The sections that make a claim, as one phrase in each language."""
        named = [self.sections[key] for key in claim.sections]
        return {"en": ", ".join(one["en"] for one in named), "zh": "、".join(one["zh"] for one in named)}


def read(path: Path) -> Document:
    """A document's file; :class:`ClaimError` for a row that cannot be used."""
    content = yaml.safe_load(path.read_text("utf-8"))
    claims: dict[str, Claim] = {}
    for row in [_filled(listed, entry) for listed in content["claims"] for entry in listed.pop("each", [()])]:
        try:
            claim = Claim.model_validate(row)
        except ValidationError as error:
            reasons = "; ".join(
                f"{'.'.join(map(str, one['loc']))} {one['msg']}".strip().removeprefix("Value error, ")
                for one in error.errors()
            )
            raise ClaimError(f"{path.name}: claim {row.get('id')}: {reasons}") from None
        unknown = [key for key in claim.sections if key not in content["sections"]]
        unknown += [name for name in claim.follows_from if name not in claims]
        if unknown or claim.id in claims:
            reason = f"unknown {', '.join(unknown)}" if unknown else "a second claim of this name"
            raise ClaimError(f"{path.name}: claim {claim.id}: {reason}")
        claims[claim.id] = claim
    return Document(content["number"], content["title"], content["sections"], tuple(claims.values()))


def _filled(value: Any, entry: Sequence[Any]) -> Any:
    """A row with the values of an entry of its ``each`` for ``$0``, ``$1``, …."""
    if isinstance(value, dict):
        return {key: _filled(one, entry) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, entry) for one in value]
    if not isinstance(value, str):
        return value
    whole = re.fullmatch(r"\$(\d)", value)
    return entry[int(whole[1])] if whole else re.sub(r"\$(\d)", lambda found: str(entry[int(found[1])]), value)
