"""The files of a source and their classes: those in a folder, or those that a CSV lists."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from shared_impl.data.errors import DataError

UNLABELLED = -1
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}


class File(NamedTuple):
    """A file, its name in its folder or table, and the number of its class."""

    path: Path
    name: str
    label: int


class FileIndex(NamedTuple):
    """Files in a fixed order, and the names of the classes."""

    files: list[File]
    labels: list[str]
    notes: list[str] = []  # remarks for the user


def in_folder(folder: Path, suffixes: Iterable[str]) -> FileIndex:
    """Every file below ``folder`` with one of ``suffixes``, by name; the subfolders of ``folder`` are classes.

    Links to files and folders are followed. Hidden files and folders are left out. Raises DataError where no file is
    left.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder (looked in {folder.absolute().parent})")
    inside = sorted(_files_below(folder))
    visible = [path for path in inside if not any(part.startswith((".", "__MACOSX")) for part in path.parts)]
    wanted = {suffix.lower() for suffix in suffixes}
    paths = [path for path in visible if path.suffix.lower() in wanted]
    if not paths:
        found = f"{len(visible)} files of other kinds in it" if visible else "it is empty"
        raise DataError(f"{folder}: nothing usable: {found}; files that end with {', '.join(sorted(wanted))} are read")
    labels, classes = _numbered([path.parts[0] if len(path.parts) > 1 else None for path in paths])
    return FileIndex([File(folder / path, path.as_posix(), n) for path, n in zip(paths, classes, strict=True)], labels)


def in_table(table: Path, columns: Sequence[str]) -> FileIndex:
    """The files of a CSV: their paths, relative to it, in the first column.

    A first row that names a file as the others do is no header: columns are then called by their numbers. Classes stand
    in ``columns`` (none: the second, if any), those of several joined by ``/``; an empty cell means none. Raises
    DataError for a table that cannot be read, has no rows or lacks a column.
    """
    header, rows, notes = _read(table)
    for column in columns:
        if column not in header[1:]:
            near = "".join(f", did you mean {name}?" for name in get_close_matches(column, header[1:], n=1))
            valid = ", ".join(header[1:]) or "none"
            raise DataError(f"{table}: data.label_columns names {column!r}{near}; label columns: {valid}")
    chosen = [header.index(column) for column in columns or header[1:2]]
    cells = [[row[number] for number in chosen] for row in rows]
    labels, classes = _numbered(["/".join(row) if row and all(row) else None for row in cells])
    files = [File(table.parent / row[0], row[0], n) for row, n in zip(rows, classes, strict=True)]
    return FileIndex(files, labels, notes)


def _files_below(folder: Path) -> Iterator[Path]:
    """The files below ``folder``, relative to it; a link to a folder that it lies in itself is not followed."""
    above = {folder: {os.path.realpath(folder)}}
    for place, names, found in os.walk(folder, followlinks=True):
        here = Path(place)
        real = {name: os.path.realpath(here / name) for name in names}
        names[:] = [name for name in names if real[name] not in above[here]]
        above |= {here / name: above[here] | {real[name]} for name in names}
        yield from (path.relative_to(folder) for path in map(here.joinpath, found) if path.is_file())


def _read(table: Path) -> tuple[list[str], list[list[str]], list[str]]:
    """The names of the columns, the rows, and remarks for the user."""
    if table.exists() and not table.is_file():
        raise DataError(f"{table}: cannot be read as CSV: it is no file")
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
        delimiter = _delimiter(text)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as CSV: {' '.join(str(error).split())}") from error
    notes = [f"{table}: its cells are separated by {DELIMITERS[delimiter]}"] if delimiter != "," else []
    if lines and _names_a_file(table, [row[0] for _, row in lines]):
        columns = ["path", *map(str, range(2, len(lines[0][1]) + 1))]
        lines.insert(0, (0, columns))
        notes.append(
            f"{table}: has no header: its first row names a file, too; columns are called {', '.join(columns)}"
        )
    if len(lines) < 2:
        raise DataError(f"{table}: nothing usable: expected a header and then a row for each file, its path first")
    header = lines[0][1]
    for number, row in lines[1:]:
        if len(row) != len(header):
            raise DataError(f"{table}, line {number}: {len(row)} cells, but the header has {len(header)}")
    return header, [row for _, row in lines[1:]], notes


def _delimiter(text: str) -> str:
    """A comma, or what every line has equally many of if no line has a comma."""
    lines = [line for line in text.splitlines() if line.strip()]
    if any("," in line for line in lines):
        return ","
    counts = {mark: {line.count(mark) for line in lines} for mark in DELIMITERS}
    return next((mark for mark, found in counts.items() if len(found) == 1 and found != {0}), ",")


def _names_a_file(table: Path, first_cells: Sequence[str]) -> bool:
    """Whether the first row is one of a file: it exists, or ends as the files of the other rows do."""
    first, others = Path(first_cells[0]), {Path(cell).suffix.lower() for cell in first_cells[1:]}
    return (table.parent / first).is_file() or first.suffix != "" and first.suffix.lower() in others


def _numbered(groups: Sequence[str | None]) -> tuple[list[str], list[int]]:
    """Class names in order (of numbers, if all are) and the class of each element; None has none."""
    names = {group for group in groups if group is not None}
    labels = sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names)
    number = {label: index for index, label in enumerate(labels)}
    return labels, [UNLABELLED if group is None else number[group] for group in groups]
