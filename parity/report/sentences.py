"""Sentences that the page and the Markdown both have, put together from the table of strings."""

from __future__ import annotations

from typing import Any

from parity.report.strings import Language, text
from parity.report.study import Grid


def coverage_sentence(totals: dict[str, Any], language: Language) -> str:
    """How much was judged, one sentence, from :func:`parity.report.views.totals`."""
    abstained = totals["abstained"]
    rest = text("coverage.abstained", language, count=abstained) if abstained else text("coverage.full", language)
    sentence = text("coverage.sentence", language, judged=totals["judged"], total=totals["layers"], rest=rest)
    trained = text("coverage.trained", language, **totals) if totals["trained"] else ""
    sentences = [sentence] * bool(totals["layers"] or not trained) + [trained] * bool(trained)
    return (" " if language == "en" else "").join(sentences)


def grid_caption(grid: Grid, language: Language) -> str:
    """What a pixel grid shows, in words."""
    before, after = grid.amounts
    centres = ", ".join(map(str, grid.centres))
    return text(f"study.{grid.op}.caption", language, before=before, after=after, centres=centres)
