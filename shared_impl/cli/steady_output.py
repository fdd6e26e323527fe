"""Standard output and standard error that end no command: what cannot be written is dropped, or spelt otherwise.

A command's work and its exit status do not depend on who reads what it prints: ``| head -1`` may leave, a disk may be
full, a terminal may be gone, and an encoding may know no ✓.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TextIO

READABLE = "parity-readable"  # the name of the error handler below
SPELT = {
    "✓": "+", "✗": "x", "≈": "~", "–": "-", "—": "-", "−": "-", "·": "*", "×": "x", "Δ": "delta ", "…": "...",
    "→": "->", "←": "<-", "≤": "<=", "≥": ">=", "≠": "!=", "±": "+/-", "°": " deg", "√": "sqrt", "∞": "inf",
    "ε": "eps", "γ": "gamma", "β": "beta", "μ": "mu", "σ": "sigma", "²": "2", "“": '"', "”": '"', "‘": "'", "’": "'",
    "━": "=", "─": "-", "│": "|", "•": "*", "╸": "=", "╺": "=",
}  # fmt: skip
ESCAPED = range(0xDC80, 0xDD00)  # bytes of a file name that are no UTF-8, as Python holds them


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    """What stands for characters that an encoding lacks: other words, a letter without its accent, a byte, or ``?``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if ord(letter) in ESCAPED:
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return SPELT.get(letter) or plain or "?", error.start + 1


codecs.register_error(READABLE, _spell)


class SteadyStream(io.RawIOBase):
    """A file descriptor that goes to the null device once writing fails; ``lost`` is why."""

    def __init__(self, descriptor: int) -> None:
        self.lost: OSError | None = None
        self._descriptor = descriptor

    def writable(self) -> bool:
        """As io.RawIOBase has it."""
        return True

    def fileno(self) -> int:
        """As io.RawIOBase has it."""
        return self._descriptor

    def isatty(self) -> bool:
        """As io.RawIOBase has it."""
        return os.isatty(self._descriptor)

    def write(self, content: bytes) -> int:  # type: ignore[override]
        """As io.RawIOBase has it, but for errors."""
        try:
            return os.write(self._descriptor, content)
        except OSError as error:
            self.lost = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != self._descriptor:  # as it is where the descriptor was closed
                os.dup2(nowhere, self._descriptor)
                os.close(nowhere)
            return len(content)


@contextmanager
def steady_output() -> Iterator[dict[str, SteadyStream]]:
    """Within: ``stdout`` and ``stderr`` of :mod:`sys` are steady; yields what is below them, by these names.

    Streams without a file descriptor, such as those that a test puts there, stay as they are.
    """
    streams: dict[str, SteadyStream] = {}
    with ExitStack() as stack:
        for name in ("stdout", "stderr"):
            stream: TextIO | None = getattr(sys, name)
            if stream is None:  # the descriptor is closed; the next file opened takes its number, so that must be this
                nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
                setattr(sys, name, nowhere)
                stack.callback(setattr, sys, name, None)
            elif (descriptor := _descriptor(stream)) is not None:
                streams[name] = SteadyStream(descriptor)
                steady = _text(streams[name], stream.encoding)
                setattr(sys, name, steady)
                stack.callback(setattr, sys, name, stream)
                stack.callback(steady.flush)
        yield streams


def _descriptor(stream: TextIO) -> int | None:
    with suppress(OSError):
        stream.flush()
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def _text(stream: SteadyStream, encoding: str) -> TextIO:
    buffered = io.BufferedWriter(stream, 1)  # type: ignore[type-var]
    return io.TextIOWrapper(buffered, encoding=encoding, errors=READABLE, write_through=True)
