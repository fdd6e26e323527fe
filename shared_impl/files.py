"""Files that are there whole or not at all, and locks between processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial-"  # opens the name of whatever is still being written


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling of the same suffix: takes the place of ``path`` at the end of the block, or goes if it fails.

    A reader, a kill and a full disk find the old file or the new one, never a part. Raises OSError as writing does.
    """
    draft = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        yield draft
        sync(draft)
        os.replace(draft, path)
        sync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have the disk hold what was written to a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Keep other processes out of the same block; BlockingIOError if one is in it and ``wait`` is off.

    A POSIX record lock: the kernel frees it when its process ends in any way, and a forked worker does not inherit it
    (as it would one of flock, so that a killed run could not be resumed while a worker of it lingers).
    """
    with path.open("a") as file:
        fcntl.lockf(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
