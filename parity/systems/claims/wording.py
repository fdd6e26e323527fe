"""Figures in sentences of both languages, and the conditions on figures that verdicts follow from."""

from __future__ import annotations

import string
from collections.abc import Mapping
from functools import cache
from types import CodeType
from typing import Any

from parity.report.formats import error, shape
from parity.report.strings import Language
from parity.systems.chains import AGREE

JOINTS = {"en": ", ", "zh": "、"}
ARROWS = "→…/"  # a list's format may begin with one of these: it then stands between the values
# All that a condition may name besides figures and arguments.
NAMES: dict[str, Any] = {"AGREE": AGREE}
NAMES |= {function.__name__: function for function in (abs, all, any, len, list, max, min, str, sum, zip)}


class _Wording(string.Formatter):
    """``str.format`` where values know how they are written: floats as errors, tuples as shapes, lists joined."""

    def __init__(self, language: Language):
        self.language = language

    def format_field(self, value: Any, format_spec: str) -> str:
        """One value; a list's specification is that of its values, after the sign that stands between them."""
        if isinstance(value, dict):
            value = [f"{number} {name}" for name, number in value.items()]
        if isinstance(value, list):
            joint = f" {format_spec[0]} " if format_spec and format_spec[0] in ARROWS else JOINTS[self.language]
            inner = format_spec.lstrip(ARROWS)
            return joint.join(self.format_field(one, inner) for one in value)
        if isinstance(value, bool):
            return str(value) if self.language == "en" else "是" if value else "否"
        if isinstance(value, tuple):
            return shape(value)
        if isinstance(value, str):
            return value
        return format(value, format_spec) if format_spec else error(value) if isinstance(value, float) else str(value)


def worded(text: str, language: Language, figures: Mapping[str, Any]) -> str:
    """``text`` with its figures filled in."""
    return _Wording(language).vformat(text, (), figures)


@cache
def parsed(condition: str) -> CodeType:
    """An expression, compiled; ValueError for what is none."""
    try:
        return compile(condition, condition, "eval")
    except SyntaxError as error:
        raise ValueError(f"{condition!r} is no expression: {error.msg}") from None


def evaluate(condition: str, figures: Mapping[str, Any], builtins: Mapping[str, Any] | None = None) -> Any:
    """The value of an expression over figures and :data:`NAMES`; nothing else is reached from it but ``builtins``."""
    return eval(parsed(condition), {**NAMES, **figures, "__builtins__": builtins or {}})
