"""The report as Markdown, in English or Chinese; also one verdict's section by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from parity.report import formats, images, study, views
from parity.report.strings import Language, known, text
from parity.report.views import GLYPHS


def verdict_section(verdict: dict[str, Any], language: Language = "en") -> str:
    """One pair: headline, coverage, rungs, line-by-line table, findings, critical defaults."""

    def t(key: str, **values: object) -> str:
        return text(key, language, **values)

    parts = [
        f"## {_cell(verdict['name'])}",
        "",
        f"**{_headline(verdict, language)}**",
        "",
        _coverage(verdict, language),
    ]
    if not verdict.get("output_judged", True):
        parts += ["", t("training.unjudged" if views.trains(verdict) else "output.unjudged")]
    rungs = [
        (
            _word(f"rung.{rung['name']}", language, rung["name"]),
            _judged(rung["judgement"], language),
            len(rung["checks"]),
            formats.error(rung["worst"]["measured"]) if rung.get("worst") else formats.MISSING,
            f"{formats.error(rung['worst']['limit'])} {rung['worst']['unit']}"
            if rung.get("worst")
            else formats.MISSING,
            rung["message"],
        )
        for rung in verdict["rungs"].values()
    ]
    parts += ["", *_table([t(k) for k in ("rung", "verdict", "checks", "measured", "limit", "message")], rungs)]
    trains = views.trains(verdict)
    if trains:
        parts += _trained(verdict, language)
    else:
        parts += ["", f"### {t('lines')}", "", *_lines(verdict["layers"], language)]
    parts += ["", f"### {t('findings')}", "", *(_findings(verdict["findings"], language) or [t("findings.none")])]
    if verdict["layers"] and not trains:
        parts += ["", f"### {t('defaults')}", "", *_defaults(verdict["layers"], language)]
    return "\n".join(parts) + "\n"


def document(report: dict[str, Any], language: Language) -> str:
    """The whole report: verdict, matrix, default networks in full, variants as headlines, study, claims, versions."""

    def t(key: str, **values: object) -> str:
        return text(key, language, **values)

    verdicts = report["verdicts"]
    figures = views.totals(verdicts)
    parts = [
        f"# {t('title')}: {t('banner.' + views.state(figures))}",
        "",
        t("subtitle") + (". " if language == "en" else "。"),
    ]
    parts += ["", t("banner.lead", passed=figures["passed"], total=figures["pairs"])]
    parts += ["", coverage(figures, language)]
    parts += ["", f"## {t('summary')}"]
    for some in filter(None, views.kinds(verdicts).values()):
        parts += ["", *_matrix(some, language)]
    parts += ["", _legend(language)]
    shown = [verdict for verdict in verdicts if not views.is_variant(verdict["name"]) or not verdict["passed"]]
    for verdict in shown:
        parts += ["", verdict_section(verdict, language).rstrip()]
    parts += ["", f"## {t('study')}", "", t("study.lead"), "", *_study(report["padding_study"], language)]
    if report["gallery"]:
        parts += ["", f"## {t('gallery')}", "", *_gallery(report["gallery"], language)]
    parts += ["", f"## {t('claims')}", "", t("claims.lead"), "", *_claims(report["claims"], language)]
    if report["against"]:
        parts += ["", f"## {t('against')}", "", *_against(report["against"], language)]
    parts += ["", f"## {t('reproduce')}", "", t("reproduce.lead"), ""]
    parts += ["```", str(report["command"]).replace("```", ""), "```", ""]
    facts = [(t("seed"), report["seed"]), (t("created"), report["created"]), *report["versions"].items()]
    parts += _table([t("setting"), t("measured")], facts)
    return "\n".join(parts) + "\n"


def compared(against: dict[str, Any], language: Language) -> str:
    """The comparison of two presets by itself."""
    title = f"# {_cell(against['a'])} / {_cell(against['b'])}"
    return "\n".join([title, "", *_against(against, language)]) + "\n"


def coverage(figures: dict[str, Any], language: Language) -> str:
    """How much was judged, one sentence, from :func:`parity.report.views.totals`."""
    abstained = figures["abstained"]
    rest = text("coverage.abstained", language, count=abstained) if abstained else text("coverage.full", language)
    sentence = text("coverage.sentence", language, judged=figures["judged"], total=figures["layers"], rest=rest)
    trained = text("coverage.trained", language, **figures) if figures["trained"] else ""
    told = [sentence] * bool(figures["layers"] or not trained) + [trained] * bool(trained)
    return (" " if language == "en" else "").join(told)


def grid_caption(grid: study.Grid, language: Language) -> str:
    """What a pixel grid shows, in words."""
    before, after = grid.amounts
    centres = ", ".join(map(str, grid.centres))
    return text(f"study.{grid.op}.caption", language, before=before, after=after, centres=centres)


def _matrix(verdicts: list[dict[str, Any]], language: Language) -> list[str]:
    names = views.rungs_run(verdicts)
    header = [text("pair", language), *(_word(f"rung.{name}", language, name) for name in names)]
    rows = [
        (verdict["name"], *(GLYPHS[verdict["rungs"].get(name, {}).get("judgement", "absent")] for name in names))
        for verdict in verdicts
    ]
    return _table(header, rows)


def _legend(language: Language) -> str:
    return " · ".join(f"{glyph} {text(word, language)}" for word, glyph in GLYPHS.items())


def _trained(verdict: dict[str, Any], language: Language) -> list[str]:
    """The losses of a training run, and its parameters."""

    def t(key: str, **values: object) -> str:
        return text(key, language, **values)

    training, parts = verdict.get("training"), list[str]()
    if training:
        rows = [
            (
                f"`{_code(curve['name'])}`",
                *(formats.error(curve[side][i]) for side in ("reference", "port") for i in (0, -1)),
                formats.error(views.largest_gap(curve)),
            )
            for curve in training["curves"]
        ]
        header = [t("loss")]
        header += [f"{t(side)}, {t(end)}" for side in ("keras", "torch") for end in ("losses.first", "losses.last")]
        conditions = t("training.conditions", steps=training["steps"], conditions=training["conditions"])
        parts += ["", f"### {t('losses')}", "", _cell(conditions), "", *_table([*header, t("losses.apart")], rows)]
    if verdict["layers"]:
        keys = ("keras", "torch", "first.step", "all.steps", "times.rounding", "judgement", "note")
        body = [
            (
                f"`{_code(row['reference_layer'])}` {formats.sizes(row['reference_shape'])}",
                f"`{_code(row['layer'])}` {formats.sizes(row['shape'])}",
                formats.error(row["isolated"]),
                formats.error(row["float64"]),
                formats.multiple(row["rounding"]) if row["judgement"] != "abstain" else formats.MISSING,
                _judged(row["judgement"], language),
                row["note"],
            )
            for row in verdict["layers"]
        ]
        parts += ["", f"### {t('parameters.by.parameter')}", "", *_table([t(key) for key in keys], body)]
    return parts


def _lines(rows: list[dict[str, Any]], language: Language) -> list[str]:
    keys = ("layer", "keras", "torch", "parameters", "padding", "float64", "isolated", "rounding", "judgement", "note")
    body = [
        (
            f"`{_code(row['layer'] or row['reference_layer'])}` {row['kind']}",
            f"{row['reference_source']} {formats.shape(row['reference_shape'])}",
            f"{row['source']} {formats.shape(row['shape'])}",
            formats.count(row["parameters"]),
            _paddings(row, language),
            formats.error(row["float64"]),
            formats.error(row["isolated"]),
            formats.multiple(row["rounding"]),
            _judged(row["judgement"], language),
            row["note"],
        )
        for row in rows
    ]
    return _table([text(key, language) for key in keys], body)


def _findings(findings: list[dict[str, Any]], language: Language) -> list[str]:
    lines = []
    for finding in findings:
        lines.append(f"- **{_cell(finding['kind'])}** `{_cell(_code(finding['layer']))}`: {_cell(finding['message'])}")
        lines.append(f"  {text('fix', language)}: {_cell(finding['fix'])}")
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
    return _table(header, lines)


def _gallery(gallery: list[dict[str, Any]], language: Language) -> list[str]:
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
        lines.append(f"- {_cell(_spoken(item['title'], language))}: {words}")
    return lines


def _headline(verdict: dict[str, Any], language: Language) -> str:
    word = text("faithful" if verdict["passed"] else "not-faithful", language)
    return _cell(verdict["headline"]) if language == "en" else word


def _study(padding_study: dict[str, Any], language: Language) -> list[str]:
    captions = []
    for case in study.studies():
        captions.append(f"- **{text(f'study.{case.op}', language)}**: {text(f'relation.{case.relation}', language)}")
        captions += [
            f"  - {text(grid.title, language)}: {grid_caption(grid, language)}" for grid in (case.same, case.symmetric)
        ]
        captions.append(f"  - {text('study.exact', language)}: {_cell(case.recipe.text)}")
    measured = padding_study.get("measured") or []
    rows = [
        (_spoken(row["what"], language), formats.error(row["direct"]), formats.error(row["mirrored"]))
        for row in measured
    ]
    header = [text(key, language) for key in ("study.subject", "study.direct", "study.mirrored")]
    return [
        *captions,
        "",
        text("study.mirror", language),
        "",
        *(_table(header, rows) if rows else [text("study.unmeasured", language)]),
    ]


def _claims_summary(document: dict[str, Any], language: Language) -> str:
    """How a document's claims came out, one line."""
    figures = views.tally(document["claims"])
    counts = {truth.replace(" ", "_"): count for truth, count in figures.items()}
    return text("claims.summary", language, total=len(document["claims"]), **counts)


def _claims(documents: list[dict[str, Any]], language: Language) -> list[str]:
    if not documents:
        return [text("claims.none", language)]
    parts: list[str] = []
    for document in documents:
        title = f"{document['id']}: {_spoken(document['title'], language)}"
        parts += ["", f"### {_cell(title)}", "", _claims_summary(document, language), ""]
        parts += _claims_of(document["claims"], language)
    return parts[1:]


def _claims_of(claims: list[dict[str, Any]], language: Language) -> list[str]:
    rows = [
        (
            _spoken(claim["claim"], language),
            text(claim["verdict"], language),
            _spoken(claim["measured"], language),
            _spoken(claim["source"], language),
        )
        for claim in claims
    ]
    return _table([text(key, language) for key in ("claim", "verdict", "measured", "claim.source")], rows)


def _against(against: dict[str, Any], language: Language) -> list[str]:
    parts = [text("against.lead", language)]
    header = [
        text("component", language),
        f"`{_code(against['a'])}`",
        f"`{_code(against['b'])}`",
        text("agreement", language),
    ]
    for part in against["parts"]:
        rows = [
            (*(_spoken(row[key], language) for key in ("component", "a", "b")), text(_likeness(row), language))
            for row in part["rows"]
        ]
        parts += ["", f"### {text('against.' + part['id'], language)}", "", *_table(header, rows)]
    return parts


def _likeness(row: dict[str, Any]) -> str:
    return "equal" if row["same"] else "differs"


def _coverage(verdict: dict[str, Any], language: Language) -> str:
    coverage = verdict["coverage"]
    line = f"{text('coverage', language)}: "
    line += text(
        f"coverage.{coverage.get('unit', 'layers')}", language, judged=coverage["judged"], total=coverage["total"]
    )
    reasons = "; ".join(f"{name} ({why})" for name, why in coverage["abstained"].items())
    return line + (f"; {text('abstain', language)}: {_cell(reasons)}" if reasons else "")


def _paddings(row: dict[str, Any], language: Language) -> str:
    reference, port = (" ".join(formats.edges(row[key])) for key in ("reference_padding", "padding"))
    amounts = reference if reference == port else f"{reference} / {port}"
    measured = row["reference_padding"] or row["padding"]
    return f"{_word('padding.' + row['kind'], language, '')} {amounts}" if measured else amounts


def _spoken(words: Any, language: Language) -> str:
    return str(words.get(language) or words["en"]) if isinstance(words, dict) else str(words)


def _judged(judgement: str, language: Language) -> str:
    return f"{GLYPHS[judgement]} {text(judgement, language)}"


def _word(key: str, language: Language, otherwise: str) -> str:
    return text(key, language) if known(key) else otherwise


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]


def _cell(value: Any) -> str:
    """Text that can neither break a table, nor open an HTML tag, nor start a line of its own."""
    return " ".join(str(value).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").split())


def _code(value: Any) -> str:
    return str(value).replace("`", "'")
