"""The page: one self-contained HTML file, both languages in it, nothing fetched from anywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from parity.report import curves, figures, formats, images, study, views
from parity.report.sentences import coverage_sentence, grid_caption
from parity.report.strings import LANGUAGES, known, text

TEMPLATES = Path(__file__).parent / "templates"
SECTIONS = ("summary", "networks", "training", "study", "gallery", "claims", "against", "reproduce")


def page(report: dict[str, Any]) -> str:
    """``index.html`` of a whole report; every text that comes from data is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals.update(
        t=_both,
        localised=_localised,
        word=_word,
        breakable=_breakable,
        attribute=lambda key: {language: text(key, language) for language in LANGUAGES},
        formats=formats,
        views=views,
        glyphs=views.GLYPHS,
        order=views.ORDER,
        figures=figures,
        curves=curves,
        known=known,
        caption=lambda grid: _localised({language: grid_caption(grid, language) for language in LANGUAGES}),
    )
    verdicts = report["verdicts"]
    totals = views.totals(verdicts)
    return environment.get_template("index.html.j2").render(
        report=report,
        sections=[name for name in SECTIONS if name != "against" or report["against"]],
        totals=totals,
        state=views.state(totals),
        coverage={language: coverage_sentence(totals, language) for language in LANGUAGES},
        rungs=views.rungs_run(verdicts),
        ladders=[
            (name, [_pair(verdict) for verdict in some], views.rungs_run(some))
            for name, some in views.kinds(verdicts).items()
        ],
        studies=study.studies(),
        gallery=[images.comparison(item["title"], item["reference"], item["port"]) for item in report["gallery"]],
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "script.js").read_text(encoding="utf-8")),
    )


def _pair(verdict: dict[str, Any]) -> dict[str, Any]:
    rows = verdict["layers"]
    variant = views.is_variant(verdict["name"])
    return {
        **verdict,
        "anchor": views.anchor(verdict["name"]),
        "variant": variant,
        "base": views.base_of(verdict["name"]),
        "open": not variant or not verdict["passed"],
        "parameters": sum(int(formats.number(row["parameters"]) or 0) for row in rows),
        "flow": views.shape_flow(rows),
        "defaults": views.defaults(rows),
        "asked": views.asked(verdict),
        "notes": verdict.get("notes", []),
        "plot": figures.error_plot(rows, views.limits_of(verdict)),
    }


def _both(key: str, **values: object) -> Markup:
    """The string in every language, of which the style sheet shows one."""
    return _localised({language: text(key, language, **values) for language in LANGUAGES})


def _localised(words: Any) -> Markup:
    """A text or ``{"en": …, "zh": …}`` from data, escaped."""
    if not isinstance(words, dict):
        return escape(words)
    if len(set(words.values())) == 1:
        return escape(next(iter(words.values())))
    html_language = {"en": "en", "zh": "zh-Hans"}
    return Markup("").join(
        Markup('<span class="t-{}" lang="{}">{}</span>').format(language, html_language[language], words[language])
        for language in LANGUAGES
        if language in words
    )


def _breakable(name: str) -> Markup:
    """A pair's name that a narrow column may break behind its marks."""
    return Markup("<wbr>").join(re.split(r"(?<=[.:,])", name))


def _word(prefix: str, value: str) -> Markup:
    """A word of the data that the table may know (``rung.forward``), or itself."""
    return _both(prefix + value) if known(prefix + value) else escape(value)
