"""Writes the verification report: a page, Markdown in two languages, JSON and JUnit XML. Imports no framework."""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from parity.report.strings import LANGUAGES
from parity.verdict import UnusableInput, plain

SCHEMA = "parity-report/1"
FILES = ("index.html", "report.md", "report.zh.md", "report.json", "junit.xml")
COMPARISONS = ("against.md", "against.zh.md")  # of a report with a comparison of two presets
DEFAULTS: dict[str, Any] = {
    "created": "",
    "command": "",
    "seed": 0,
    "versions": {},
    "verdicts": [],
    "padding_study": {},
    "claims": [],
    "gallery": [],
    "against": None,
}


def write(report: dict[str, Any], folder: Path | str) -> list[Path]:
    """Write ``report`` into ``folder`` and return the paths; all of it or nothing.

    ``report`` has the keys of :data:`DEFAULTS`, each of which may be absent:

    - ``verdicts``: ``Verdict.to_dict()`` of each;
    - ``padding_study["measured"]``: ``{"what", "direct", "mirrored"}``, relative errors;
    - ``claims``: documents, ``{"id", "title", "claims"}``, of ``{"id", "claim", "verdict", "measured", "source"}``
      with a verdict of :data:`parity.report.views.TRUTHS`;
    - ``gallery``: ``{"title", "reference", "port"}`` with arrays ``[H, W]``, ``[H, W, C]`` or ``[N, H, W, C]``;
    - ``against``: two presets compared, ``{"a", "b", "parts"}`` of parts, ``{"id", "rows"}``, of rows, ``{"component",
      "a", "b", "same"}``; the comparison also gets files of its own.

    A text for readers (``what``, ``title``, ``claim``, ``component``, …) is a string or ``{"en": …, "zh": …}``.

    The files are made in a sibling folder that is then moved into place; an earlier report is replaced.

    Raises:
        UnusableInput: the folder holds anything else, or cannot be written.
    """
    folder = Path(folder).absolute()
    validate_folder(folder)
    texts = render(report)
    created = next((parent for parent in reversed(folder.parents) if not parent.exists()), None)
    suffix = secrets.token_hex(4)
    draft = folder.with_name(f".{folder.name}.{suffix}.partial")
    former = folder.with_name(f".{folder.name}.{suffix}.former")
    try:
        draft.mkdir(parents=True)
        for name, text in texts.items():
            (draft / name).write_text(text, encoding="utf-8")
        if folder.exists():
            folder.rename(former)
        draft.rename(folder)
    except BaseException as failure:
        shutil.rmtree(draft, ignore_errors=True)
        if former.exists():
            former.rename(folder)
        if created is not None:
            shutil.rmtree(created, ignore_errors=True)
        if isinstance(failure, OSError):
            raise UnusableInput(
                f"the report cannot be written into {folder}: {failure.strerror or failure}"
            ) from failure
        raise
    shutil.rmtree(former, ignore_errors=True)
    return [folder / name for name in texts]


def render(report: dict[str, Any]) -> dict[str, str]:
    """The text of every file of the report, by file name."""
    from parity.report.formats import printable
    from parity.report.junit import junit
    from parity.report.markdown import document
    from parity.report.page import page

    full = {"schema": SCHEMA, **DEFAULTS, **report}
    full["padding_study"] = {"measured": [], **full["padding_study"]}
    return {
        "index.html": printable(page(full)),
        "report.md": printable(document(full, "en")),
        "report.zh.md": printable(document(full, "zh")),
        "report.json": json.dumps(_plain_report(full), ensure_ascii=False, indent=1, allow_nan=False) + "\n",
        "junit.xml": junit(full),
        **_comparisons(full["against"]),
    }


def _comparisons(against: dict[str, Any] | None) -> dict[str, str]:
    from parity.report.formats import printable
    from parity.report.markdown import comparison

    if against is None:
        return {}
    return {
        name: printable(comparison(against, language)) for name, language in zip(COMPARISONS, LANGUAGES, strict=True)
    }


def _plain_report(report: dict[str, Any]) -> dict[str, Any]:
    return plain({**report, "gallery": [_image_figures(item) for item in report["gallery"]]})


def _image_figures(item: dict[str, Any]) -> dict[str, Any]:
    reference, port = np.asarray(item["reference"], float), np.asarray(item["port"], float)
    same = reference.shape == port.shape
    return {
        "title": item["title"],
        "reference_shape": list(reference.shape),
        "port_shape": list(port.shape),
        "largest_difference": float(np.abs(port - reference).max(initial=0.0)) if same else None,
    }


def validate_folder(folder: Path | str) -> None:
    """Find out before the long work whether a report can be written into ``folder``.

    Raises:
        UnusableInput: it is a file, holds anything but an earlier report, or lies where nothing can be written.
    """
    folder = Path(folder).absolute()
    if folder.is_file():
        raise UnusableInput(f"the report cannot be written into {folder}: it is a file; name a folder")
    nearest = next(parent for parent in folder.parents if parent.exists())
    attempt = nearest / f".{folder.name}.{secrets.token_hex(4)}.trial"
    try:
        attempt.mkdir()
        attempt.rmdir()
        names = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    except OSError as failure:
        reason = f"{failure.strerror} in {nearest}"
        raise UnusableInput(f"the report cannot be written into {folder}: {reason}") from failure
    foreign = sorted(names.difference(FILES + COMPARISONS))
    if foreign or (names and not _is_report(folder / "report.json")):
        raise UnusableInput(
            f"the report cannot be written into {folder}: it holds files that are not an earlier report"
            f" ({', '.join((foreign or sorted(names))[:3])}); name a new or empty folder"
        )


def _is_report(path: Path) -> bool:
    try:
        return str(json.loads(path.read_text("utf-8"))["schema"]).startswith("parity-report/")
    except (OSError, ValueError, KeyError, TypeError):
        return False
