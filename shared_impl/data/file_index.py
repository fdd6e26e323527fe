"""The files of a source and their classes: those in a folder, or those that a CSV lists."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from shared_impl.data.errors import DataError

UNLABELLED = -1


class File(NamedTuple):
    """A file, its name in its folder or table, and the number of its class."""

    path: Path
    name: str
    label: int


class FileIndex(NamedTuple):
    """Files in a fixed order, and the names of the classes."""

    files: list[File]
    labels: list[str]


def in_folder(folder: Path, suffixes: Iterable[str]) -> FileIndex:
    """Every file below ``folder`` with one of ``suffixes``, by name; the subfolders of ``folder`` are classes.

    Hidden files and folders are left out. Raises DataError where no file is left.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder (looked in {folder.absolute().parent})")
    inside = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    visible = [path for path in inside if not any(part.startswith((".", "__MACOSX")) for part in path.parts)]
    wanted = {suffix.lower() for suffix in suffixes}
    paths = [path for path in visible if path.suffix.lower() in wanted]
    if not paths:
        found = f"{len(visible)} files of other kinds in it" if visible else "it is empty"
        raise DataError(f"{folder}: nothing usable: {found}; files that end with {', '.join(sorted(wanted))} are read")
    labels, classes = _numbered([path.parts[0] if len(path.parts) > 1 else None for path in paths])
    return FileIndex([File(folder / path, path.as_posix(), n) for path, n in zip(paths, classes, strict=True)], labels)


def in_table(table: Path, columns: Sequence[str]) -> FileIndex:
    """The files of a CSV with a header: their paths, relative to it, in the first column.

    Classes stand in ``columns`` (none: the second, if any), those of several joined by ``/``; an empty cell means none.
    Raises DataError for a table that cannot be read, has no rows or lacks a column.
    """
    header, rows = _read(table)
    for column in columns:
        if column not in header[1:]:
            near = "".join(f", did you mean {name}?" for name in get_close_matches(column, header[1:], n=1))
            valid = ", ".join(header[1:]) or "none"
            raise DataError(f"{table}: data.label_columns names {column!r}{near}; label columns: {valid}")
    chosen = [header.index(column) for column in columns or header[1:2]]
    cells = [[row[number] for number in chosen] for row in rows]
    labels, classes = _numbered(["/".join(row) if row and all(row) else None for row in cells])
    return FileIndex([File(table.parent / row[0], row[0], n) for row, n in zip(rows, classes, strict=True)], labels)


def _read(table: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as CSV: {' '.join(str(error).split())}") from error
    if len(lines) < 2:
        raise DataError(f"{table}: nothing usable: expected a header and then a row for each file, its path first")
    header = lines[0][1]
    for number, row in lines[1:]:
        if len(row) != len(header):
            raise DataError(f"{table}, line {number}: {len(row)} cells, but the header has {len(header)}")
    return header, [row for _, row in lines[1:]]


def _numbered(groups: Sequence[str | None]) -> tuple[list[str], list[int]]:
    """Class names in order (of numbers, if all are) and the class of each element; None has none."""
    names = {group for group in groups if group is not None}
    labels = sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names)
    number = {label: index for index, label in enumerate(labels)}
    return labels, [UNLABELLED if group is None else number[group] for group in groups]
