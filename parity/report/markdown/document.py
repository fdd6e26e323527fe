"""The report as Markdown."""

from __future__ import annotations

from typing import Any

from parity.report import views
from parity.report.markdown.exhibits import claims_section, comparison_section, gallery_section, study_section
from parity.report.markdown.text import cell, table, text_or
from parity.report.markdown.verdict import verdict_section
from parity.report.sentences import coverage_sentence
from parity.report.strings import Language, text
from parity.report.views import GLYPHS


def document(report: dict[str, Any], language: Language) -> str:
    """The whole report: verdict, matrix, default networks in full, variants as headlines, study, claims, versions."""

    def t(key: str, **values: object) -> str:
        return text(key, language, **values)

    verdicts = report["verdicts"]
    totals = views.totals(verdicts)
    parts = [
        f"# {t('title')}: {t('banner.' + views.state(totals))}",
        "",
        t("subtitle") + (". " if language == "en" else "。"),
    ]
    parts += ["", t("banner.lead", passed=totals["passed"], total=totals["pairs"])]
    parts += ["", coverage_sentence(totals, language)]
    parts += ["", f"## {t('summary')}"]
    for some in filter(None, views.kinds(verdicts).values()):
        parts += ["", *_matrix(some, language)]
    parts += ["", _legend(language)]
    shown = [verdict for verdict in verdicts if not views.is_variant(verdict["name"]) or not verdict["passed"]]
    for verdict in shown:
        parts += ["", verdict_section(verdict, language).rstrip()]
    parts += ["", f"## {t('study')}", "", t("study.lead"), "", *study_section(report["padding_study"], language)]
    if report["gallery"]:
        parts += ["", f"## {t('gallery')}", "", *gallery_section(report["gallery"], language)]
    parts += ["", f"## {t('claims')}", "", t("claims.lead"), "", *claims_section(report["claims"], language)]
    if report["against"]:
        parts += ["", f"## {t('against')}", "", *comparison_section(report["against"], language)]
    parts += ["", f"## {t('reproduce')}", "", t("reproduce.lead"), ""]
    parts += ["```", str(report["command"]).replace("```", ""), "```", ""]
    facts = [(t("seed"), report["seed"]), (t("created"), report["created"]), *report["versions"].items()]
    parts += table([t("setting"), t("measured")], facts)
    return "\n".join(parts) + "\n"


def comparison(against: dict[str, Any], language: Language) -> str:
    """The comparison of two presets by itself."""
    title = f"# {cell(against['a'])} / {cell(against['b'])}"
    return "\n".join([title, "", *comparison_section(against, language)]) + "\n"


def _matrix(verdicts: list[dict[str, Any]], language: Language) -> list[str]:
    names = views.rungs_run(verdicts)
    header = [text("pair", language), *(text_or(f"rung.{name}", language, name) for name in names)]
    rows = [
        (verdict["name"], *(GLYPHS[verdict["rungs"].get(name, {}).get("judgement", "absent")] for name in names))
        for verdict in verdicts
    ]
    return table(header, rows)


def _legend(language: Language) -> str:
    return " · ".join(f"{glyph} {text(word, language)}" for word, glyph in GLYPHS.items())
