"""Copies of the project's golden records, ways to change one thing in them, and what judging a folder finds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from parity.systems.golden import GoldenResult, check
from parity.systems.golden.records import OWN


def copied(folder: Path, *records: str) -> Path:
    """A copy of some of the project's own records."""
    for record in records:
        for path in [*OWN.glob(f"{record}.npz"), *OWN.glob(f"{record}.json")]:
            shutil.copy(path, folder)
    return folder


def rewritten(path: Path, change) -> None:
    """Apply ``change`` to the content of a record's file, in place."""
    if path.suffix == ".json":
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        return
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive.files}
    change(arrays)
    np.savez(path, **arrays)


def only(folder: Path, record: str, setting: str) -> Path:
    """``folder`` with a single setting of a record."""
    copied(folder, record)
    for path in folder.glob(f"{record}.*"):
        rewritten(path, lambda content: [content.pop(key) for key in list(content) if key.split("/")[0] != setting])
    return folder


def failures(folder: Path) -> list[GoldenResult]:
    """The failed results of a folder."""
    return [result for result in check(folder) if not result.passed]


def not_judged(folder: Path) -> list[str]:
    """The messages of what is not judged in a folder, without those about records that it does not hold."""
    found = (result.message for result in check(folder) if not result.judged)
    return [message for message in found if f": not in {folder}" not in message]


def edit(change):
    return lambda path: rewritten(path, change)


def put(key, value):
    return edit(lambda content: content.__setitem__(key, value))


def drop(key):
    return edit(lambda content: content.__delitem__(key))


def first_value(key, value=np.nan):
    """The first number of an array becomes ``value``."""
    return edit(lambda arrays: arrays[key].__setitem__((0,) * arrays[key].ndim, value))
