"""What a report shows besides verdicts, as Markdown: padding study, gallery, claims, two presets compared."""

from __future__ import annotations

from typing import Any

from parity.report import formats, images, views
from parity.report.markdown.text import cell, code, localised, table
from parity.report.sentences import grid_caption
from parity.report.strings import Language, text
from parity.report.study import studies


def study_section(padding_study: dict[str, Any], language: Language) -> list[str]:
    """Where SAME and its symmetric imitation put every window, and what weights copied either way differ by."""
    captions = []
    for case in studies():
        captions.append(f"- **{text(f'study.{case.op}', language)}**: {text(f'relation.{case.relation}', language)}")
        captions += [
            f"  - {text(grid.title, language)}: {grid_caption(grid, language)}" for grid in (case.same, case.symmetric)
        ]
        captions.append(f"  - {text('study.exact', language)}: {cell(case.recipe.text)}")
    measured = padding_study.get("measured") or []
    rows = [
        (localised(row["what"], language), formats.error(row["direct"]), formats.error(row["mirrored"]))
        for row in measured
    ]
    header = [text(key, language) for key in ("study.subject", "study.direct", "study.mirrored")]
    return [
        *captions,
        "",
        text("study.mirror", language),
        "",
        *(table(header, rows) if rows else [text("study.unmeasured", language)]),
    ]


def gallery_section(gallery: list[dict[str, Any]], language: Language) -> list[str]:
    """The largest difference of each pair of images."""
    lines = []
    for item in gallery:
        compared = images.comparison(item["title"], item["reference"], item["port"])
        shapes = {"reference": compared["reference_shape"], "port": compared["port_shape"]}
        largest = compared["largest"]
        words = (
            text("gallery.shapes", language, **shapes)
            if largest is None
            else text("gallery.largest", language, value=formats.error(largest))
        )
        lines.append(f"- {cell(localised(item['title'], language))}: {words}")
    return lines


def claims_section(documents: list[dict[str, Any]], language: Language) -> list[str]:
    """Each document's claims with verdict, measurement and source."""
    if not documents:
        return [text("claims.none", language)]
    parts: list[str] = []
    for document in documents:
        title = f"{document['id']}: {localised(document['title'], language)}"
        parts += ["", f"### {cell(title)}", "", _claims_summary(document, language), ""]
        parts += _claims_of(document["claims"], language)
    return parts[1:]


def _claims_summary(document: dict[str, Any], language: Language) -> str:
    """How a document's claims came out, one line."""
    figures = views.tally(document["claims"])
    counts = {truth.replace(" ", "_"): count for truth, count in figures.items()}
    return text("claims.summary", language, total=len(document["claims"]), **counts)


def _claims_of(claims: list[dict[str, Any]], language: Language) -> list[str]:
    rows = [
        (
            localised(claim["claim"], language),
            text(claim["verdict"], language),
            localised(claim["measured"], language),
            localised(claim["source"], language),
        )
        for claim in claims
    ]
    return table([text(key, language) for key in ("claim", "verdict", "measured", "claim.source")], rows)


def comparison_section(against: dict[str, Any], language: Language) -> list[str]:
    """Two presets side by side, a table for each network and for training."""
    parts = [text("against.lead", language)]
    header = [
        text("component", language),
        f"`{code(against['a'])}`",
        f"`{code(against['b'])}`",
        text("agreement", language),
    ]
    for part in against["parts"]:
        rows = [
            (*(localised(row[key], language) for key in ("component", "a", "b")), text(_agreement(row), language))
            for row in part["rows"]
        ]
        parts += ["", f"### {text('against.' + part['id'], language)}", "", *table(header, rows)]
    return parts


def _agreement(row: dict[str, Any]) -> str:
    return "equal" if row["same"] else "differs"
