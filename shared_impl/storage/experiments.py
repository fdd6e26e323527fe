"""The log of all runs: ``experiments.csv``, which may be edited, and ``experiments.md``, rendered from it."""

from __future__ import annotations

import csv
import os
import platform
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from shared_impl import files
from shared_impl.config.differences import differences, plain
from shared_impl.config.presets import ConfigError, load
from shared_impl.config.schema import Config

NUMBER = "Exp #"
COLUMNS = (
    NUMBER,
    "date",
    "config",
    "framework",
    "batch",
    "lr G/D",
    "latent dim",
    "epochs",
    "final G loss",
    "final D loss",
    "FID",
    "time",
    "hardware",
    "samples",
    "notes",
)
EMPTY = "–"
LOCK, TABLE, PAGE = ".lock", "experiments.csv", "experiments.md"
NOTES = "notes"
STATUS = re.compile(r"^\w+ at step \d+[^;]*")  # written by the program; what follows is the user's
G_LOSS, D_LOSS, EPOCH = "g_loss", "d_loss", "epoch"  # the metrics that the log shows
UNREMARKABLE = ("runs.*", "data.workers", "data.prefetch")
HEADING = f"# Experiments\n\nDrawn from `{TABLE}`, where edits are kept.\n\n"


class LogError(ValueError):
    """An experiments log that cannot be read as one."""


def read(folder: Path) -> list[dict[str, str]]:
    """The rows of the log by column, empty without one; LogError if the file is something else."""
    path = folder / TABLE
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        try:
            table = csv.DictReader(file, restval=EMPTY, strict=True)
            columns = table.fieldnames or []
            rows = [{column: value for column, value in row.items() if column} for row in table]
        except (csv.Error, UnicodeDecodeError) as error:
            raise LogError(f"{path}: cannot be read as CSV: {error}; move it away or mend it") from error
    if NUMBER not in columns:
        raise LogError(f"{path}: no column {NUMBER!r}, got {columns}; move it away or mend it")
    return rows


def record(folder: Path, row: Mapping[str, str], status: str, why: str = "", former: str | None = None) -> None:
    """Add ``row`` to the log, or update the line of its number; other cells stay as they are.

    ``status`` (``failed at step 500``) and ``why`` replace the former ones at the beginning of the notes; the row's own
    notes, what a run changes of its preset, replace ``former`` ones if given. Safe beside other processes that do the
    same. Raises LogError as :func:`read` does, OSError as writing does.
    """
    head = f"{status} ({why.replace(';', ',')})" if why else status
    with files.locked(folder / LOCK):
        rows = {old[NUMBER]: old for old in read(folder)}
        old = rows.get(row[NUMBER], {**dict.fromkeys(COLUMNS, EMPTY), NOTES: row[NOTES]})
        notes = STATUS.sub("", old.get(NOTES, EMPTY)).removeprefix(EMPTY).removeprefix("; ")
        if former is not None and former in notes:
            notes = notes.replace(former, row[NOTES], 1) if former else "; ".join(filter(None, (row[NOTES], notes)))
        rows[row[NUMBER]] = {**old, **row, NOTES: "; ".join(filter(None, (head, notes)))}
        table = sorted(rows.values(), key=lambda one: (len(one[NUMBER]), one[NUMBER]))
        columns = list(dict.fromkeys([*COLUMNS, *(column for one in table for column in one)]))
        with files.replacing(folder / TABLE) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, restval=EMPTY)
            writer.writeheader()
            writer.writerows(table)
        with files.replacing(folder / PAGE) as draft:
            draft.write_text(HEADING + _markdown(columns, table), encoding="utf-8")


def belongs(folder: Path, number: int, about: Mapping[str, Any]) -> bool:
    """Whether the log has nothing else of this number than the run that ``about`` (its ``run.json``) describes."""
    cells = {"date": _date(about), "config": about["preset"], "framework": about["framework"]}
    rows = [row for row in read(folder) if row[NUMBER] == str(number)]
    return all(row.get(column) == cell for row in rows for column, cell in cells.items())


def row(
    number: int,
    about: Mapping[str, Any],
    config: Config,
    metrics: Mapping[str, Any],
    seconds: float,
    samples: str | None,
) -> dict[str, str]:
    """The cells of a run that the program fills in; the column FID is the user's."""
    optimizer = config.optimizer
    epochs = metrics.get(EPOCH, config.training.epochs)
    cells = {
        NUMBER: str(number),
        "date": _date(about),
        "config": about["preset"],
        "framework": about["framework"],
        "batch": str(config.training.batch_size),
        "lr G/D": f"{optimizer.lr_g or optimizer.lr:g}/{optimizer.lr_d or optimizer.lr:g}",
        "latent dim": str(config.model.nz),
        "epochs": EMPTY if epochs is None else f"{epochs:.4g}",
        "final G loss": _loss(metrics, G_LOSS),
        "final D loss": _loss(metrics, D_LOSS),
        "time": str(timedelta(seconds=round(seconds))),
        "hardware": about["hardware"],
        NOTES: about["changes"],
    }
    return cells if samples is None else {**cells, "samples": samples}


def changes(config: Config, preset: str | Path) -> str:
    """What ``config`` changes of its preset, as overrides; empty if the preset cannot be read."""
    try:
        found = differences(plain(config), plain(load(preset)), UNREMARKABLE)
    except ConfigError:
        return ""
    return " ".join(f"{one.field}={one.got}" for one in found if one.got != repr(None))


def cores() -> int:
    """How many of the processor's cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name and how many of its cores this process may use."""
    return f"{_processor_name()}, {cores()} core{'s' * (cores() > 1)}"


def _markdown(columns: list[str], table: list[dict[str, str]]) -> str:
    lines = [columns, ["---"] * len(columns), *([_cell(column, row) for column in columns] for row in table)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(column: str, row: Mapping[str, str]) -> str:
    text = " ".join((row.get(column) or EMPTY).split()).replace("|", "\\|")
    return f"[{text}]({text})" if column == "samples" and text != EMPTY else text


def _date(about: Mapping[str, Any]) -> str:
    return datetime.fromisoformat(about["started"]).strftime("%Y-%m-%d %H:%M")


def _loss(metrics: Mapping[str, Any], name: str) -> str:
    if name not in metrics:
        return EMPTY
    return "nan" if metrics[name] is None else f"{metrics[name]:.4g}"


def _processor_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return " ".join(named[1].split()) if named else platform.processor() or platform.machine()
