"""The file of ``--json``: checked before the work that fills it, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from parity.verdict import UnusableInput


def validate_target(path: Path | None) -> None:
    """Find out before the work that a file cannot be written after it.

    Raises:
        UnusableInput: it is a folder, or lies in no folder that may be written to.
    """
    if path is None:
        return
    if path.is_dir() or not path.absolute().parent.is_dir() or not os.access(path.absolute().parent, os.W_OK):
        raise UnusableInput(f"{path} cannot be written: name a file in an existing folder that you may write to")


def write_json(content: Any, path: Path) -> None:
    """Write JSON whole or not at all.

    Raises:
        UnusableInput: the file cannot be written there.
    """
    try:
        handle, draft = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UnusableInput(f"{path} cannot be written: {error.strerror}") from error
    try:
        with open(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, ensure_ascii=False)
        os.replace(draft, path)
    except BaseException as error:
        Path(draft).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UnusableInput(f"{path} cannot be written: {error.strerror}") from error
        raise
