"""Figures as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Table:
    """A table under a line of explanation; columns that end in ``:`` are text, the others numbers."""

    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def to_markdown(self) -> str:
        """The explanation, if any, and the table."""
        titles = [column.removesuffix(":") for column in self.columns]
        rule = ["---" if column.endswith(":") else "--:" for column in self.columns]
        lines = [self.note, ""] if self.note else []
        lines += ["| " + " | ".join(titles) + " |", "|" + "|".join(rule) + "|"]
        return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in self.rows])


def span(values: Sequence[float], digits: int = 2) -> str:
    """Median, least and greatest."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} … {max(values):.{digits}f})"


def goal_cell(goal: str, met: bool) -> str:
    """The table cell of a goal, and whether it was met."""
    return f"{goal}: met" if met else f"{goal}: **missed**"
