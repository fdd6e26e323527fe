"""The file of ``--json``: checked before the work that fills it, written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from parity.verdict import UnusableInput
from shared_impl import files


def validate_target(path: Path | None) -> None:
    """Find out before the work that a file cannot be written after it.

    Raises:
        UnusableInput: it is a folder, or lies in no folder that may be written to.
    """
    if path is None:
        return
    special = path.exists() and not path.is_file()  # a folder, or a device that must not be replaced
    if special or not path.absolute().parent.is_dir() or not os.access(path.absolute().parent, os.W_OK):
        raise UnusableInput(f"{path} cannot be written: name a file in an existing folder that you may write to")


def write_json(content: Any, path: Path) -> None:
    """Write JSON whole or not at all.

    Raises:
        UnusableInput: the file cannot be written there.
    """
    try:
        with files.replacing(path) as draft, draft.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, ensure_ascii=False)
    except OSError as error:
        raise UnusableInput(f"{path} cannot be written: {error.strerror}") from error
