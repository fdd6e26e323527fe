"""Markdown's smallest parts: tables, cells, code, and words in the language asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from parity.report.strings import Language, known, text
from parity.report.views import GLYPHS


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """The lines of a table; the cells of ``rows`` are made safe by :func:`cell`."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]


def cell(value: Any) -> str:
    """Text that can neither break a table, nor open an HTML tag, nor start a line of its own."""
    return " ".join(str(value).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").split())


def code(value: Any) -> str:
    """Text that can stand between backticks."""
    return str(value).replace("`", "'")


def localised(words: Any, language: Language) -> str:
    """A text of the data, which is a string or ``{"en": …, "zh": …}``, in ``language`` or else in English."""
    return str(words.get(language) or words["en"]) if isinstance(words, dict) else str(words)


def judgement_word(judgement: str, language: Language) -> str:
    """A rung's or layer's verdict: its glyph and its word."""
    return f"{GLYPHS[judgement]} {text(judgement, language)}"


def text_or(key: str, language: Language, otherwise: str) -> str:
    """The string ``key``, or ``otherwise`` if the table does not have it."""
    return text(key, language) if known(key) else otherwise
