"""Standard output and standard error that never end a training: what cannot be written is dropped."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TextIO


class _Steady(io.RawIOBase):
    """A file descriptor that goes to the null device once writing fails: on a closed pipe, say, or a full disk."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, content: bytes) -> int:  # type: ignore[override]
        try:
            return os.write(self._descriptor, content)
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != self._descriptor:  # as it is where the descriptor was closed
                os.dup2(nowhere, self._descriptor)
                os.close(nowhere)
            return len(content)


@contextmanager
def steady_output() -> Iterator[None]:
    """Within this block ``sys.stdout`` and ``sys.stderr`` drop what cannot be written, from then on to the end.

    Streams without a file descriptor, such as those that a test puts there, stay as they are.
    """
    with ExitStack() as stack:
        for name in ("stdout", "stderr"):
            stream: TextIO | None = getattr(sys, name)
            if stream is not None and (steady := _steady(stream)):
                setattr(sys, name, steady)
                stack.callback(_restore, name, stream, steady)
        yield


def _steady(stream: TextIO) -> TextIO | None:
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return None
    with suppress(OSError):
        stream.flush()
    buffered = io.BufferedWriter(_Steady(descriptor), 1)  # type: ignore[type-var]
    return io.TextIOWrapper(buffered, encoding=stream.encoding, errors=stream.errors, write_through=True)


def _restore(name: str, stream: TextIO, steady: TextIO) -> None:
    steady.flush()
    setattr(sys, name, stream)
