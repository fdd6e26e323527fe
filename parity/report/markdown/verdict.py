"""One pair's verdict as Markdown."""

from __future__ import annotations

from typing import Any

from parity.report import formats, views
from parity.report.markdown.text import cell, code, judgement_word, table, text_or
from parity.report.strings import Language, text


def verdict_section(verdict: dict[str, Any], language: Language = "en") -> str:
    """One pair: headline, coverage, rungs, line-by-line table, findings, critical defaults."""

    def t(key: str, **values: object) -> str:
        return text(key, language, **values)

    parts = [
        f"## {cell(verdict['name'])}",
        "",
        f"**{_headline(verdict, language)}**",
        "",
        _coverage(verdict, language),
        *_asked(verdict, language),
    ]
    if not verdict.get("output_judged", True):
        parts += ["", t("training.unjudged" if views.trains(verdict) else "output.unjudged")]
    rungs = [
        (
            text_or(f"rung.{rung['name']}", language, rung["name"]),
            judgement_word(rung["judgement"], language),
            len(rung["checks"]),
            formats.error(rung["worst"]["measured"]) if rung.get("worst") else formats.MISSING,
            f"{formats.error(rung['worst']['limit'])} {rung['worst']['unit']}"
            if rung.get("worst")
            else formats.MISSING,
            rung["message"],
        )
        for rung in verdict["rungs"].values()
    ]
    parts += ["", *table([t(k) for k in ("rung", "verdict", "checks", "measured", "limit", "message")], rungs)]
    trains = views.trains(verdict)
    if trains:
        parts += _trained(verdict, language)
    else:
        parts += ["", f"### {t('lines')}", "", *_lines(verdict["layers"], language)]
    notes = [f"- {cell(note)}" for note in verdict.get("notes", [])]
    parts += ["", f"### {t('notes')}", "", *notes] if notes else []
    parts += ["", f"### {t('findings')}", "", *(_findings(verdict["findings"], language) or [t("findings.none")])]
    if verdict["layers"] and not trains:
        parts += ["", f"### {t('defaults')}", "", *_defaults(verdict["layers"], language)]
    return "\n".join(parts) + "\n"


def _headline(verdict: dict[str, Any], language: Language) -> str:
    if language == "en":
        return cell(verdict["headline"])
    word = text(views.outcome(verdict), language)
    return f"{word}（{text('weights.' + verdict['weights'], language)}）" if verdict.get("weights") else word


def _asked(verdict: dict[str, Any], language: Language) -> list[str]:
    """Scope, use, weights and rungs that were not asked, a line each."""
    separator = ", " if language == "en" else "、"
    lines = [
        f"- {text(what, language)}: {separator.join(text(value, language) for value in values)}"
        for what, values in views.asked(verdict)
    ]
    return ["", *lines] if lines else []


def _coverage(verdict: dict[str, Any], language: Language) -> str:
    coverage = verdict["coverage"]
    line = f"{text('coverage', language)}: "
    unit = coverage.get("unit", "layers")
    key = views.judged_key(verdict) if unit == "layers" else f"coverage.{unit}"
    line += text(key, language, judged=coverage["judged"], total=coverage["total"])
    reasons = "; ".join(f"{name} ({why})" for name, why in coverage["abstained"].items())
    return line + (f"; {text('abstain', language)}: {cell(reasons)}" if reasons else "")


def _trained(verdict: dict[str, Any], language: Language) -> list[str]:
    """The losses of a training run, and its parameters."""

    def t(key: str, **values: object) -> str:
        return text(key, language, **values)

    training, parts = verdict.get("training"), list[str]()
    if training:
        rows = [
            (
                f"`{code(curve['name'])}`",
                *(formats.error(curve[side][i]) for side in ("reference", "port") for i in (0, -1)),
                formats.error(views.largest_gap(curve)),
            )
            for curve in training["curves"]
        ]
        header = [t("loss")]
        header += [f"{t(side)}, {t(end)}" for side in ("keras", "torch") for end in ("losses.first", "losses.last")]
        conditions = t("training.conditions", steps=training["steps"], conditions=training["conditions"])
        parts += ["", f"### {t('losses')}", "", cell(conditions), "", *table([*header, t("losses.apart")], rows)]
    if verdict["layers"]:
        keys = ("keras", "torch", "first.step", "all.steps", "times.rounding", "judgement", "note")
        body = [
            (
                f"`{code(row['reference_layer'])}` {formats.sizes(row['reference_shape'])}",
                f"`{code(row['layer'])}` {formats.sizes(row['shape'])}",
                formats.error(row["isolated"]),
                formats.error(row["float64"]),
                formats.multiple(row["rounding"]) if row["judgement"] != "abstain" else formats.MISSING,
                judgement_word(row["judgement"], language),
                row["note"],
            )
            for row in verdict["layers"]
        ]
        parts += ["", f"### {t('parameters.by.parameter')}", "", *table([t(key) for key in keys], body)]
    return parts


def _lines(rows: list[dict[str, Any]], language: Language) -> list[str]:
    keys = ("layer", "keras", "torch", "parameters", "padding", "float64", "isolated", "rounding", "judgement", "note")
    body = [
        (
            f"`{code(row['layer'] or row['reference_layer'])}` {row['kind']}",
            f"{row['reference_source']} {formats.shape(row['reference_shape'])}",
            f"{row['source']} {formats.shape(row['shape'])}",
            formats.count(row["parameters"]),
            _paddings(row, language),
            formats.error(row["float64"]),
            formats.error(row["isolated"]),
            formats.multiple(row["rounding"]),
            judgement_word(row["judgement"], language),
            row["note"],
        )
        for row in rows
    ]
    return table([text(key, language) for key in keys], body)


def _paddings(row: dict[str, Any], language: Language) -> str:
    reference, port = (" ".join(formats.edges(row[key])) for key in ("reference_padding", "padding"))
    amounts = reference if reference == port else f"{reference} / {port}"
    measured = row["reference_padding"] or row["padding"]
    return f"{text_or('padding.' + row['kind'], language, '')} {amounts}" if measured else amounts


def _findings(findings: list[dict[str, Any]], language: Language) -> list[str]:
    lines = []
    for finding in findings:
        layer = finding["layer"] or finding["reference_layer"]
        names, where = finding.get("layers", []), f"`{cell(code(layer))}`"
        if len(names) > 1:
            where += f" ({cell(text('finding.layers', language, count=len(names), names=', '.join(names)))})"
        lines.append(f"- **{cell(finding['kind'])}** {where}: {cell(finding['message'])}")
        lines.append(f"  {text('fix', language)}: {cell(finding['fix'])}")
    return lines


def _defaults(rows: list[dict[str, Any]], language: Language) -> list[str]:
    header = [text(key, language) for key in ("layer", "setting", "keras", "torch", "agreement")]
    lines = [
        (
            f"{line['kind']} {views.span(line['layers'])}",
            line["key"],
            line["reference"],
            line["port"],
            text(line["agreement"], language),
        )
        for line in views.defaults(rows)
    ]
    return table(header, lines)
