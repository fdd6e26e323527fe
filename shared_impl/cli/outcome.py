"""How every command of the project ends: an exit status, and one line on standard error where something went wrong."""

from __future__ import annotations

import errno
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from shared_impl.cli.steady_output import SteadyStream, steady_output

DONE, FAILED, UNUSABLE, INTERNAL, INTERRUPTED = 0, 1, 2, 70, 130  # 70: EX_SOFTWARE of sysexits.h
LONGEST = 4000  # characters of a line on standard error
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def complain(program: str, problem: str, prefix: str = "") -> None:
    """One line on standard error, whatever ``problem`` is made of."""
    line = "; ".join(part.strip() for part in problem.splitlines())
    if len(line) > LONGEST:
        line = f"{line[:LONGEST]} … ({len(line):,} characters)"
    print(f"{program}: {prefix}{line}", file=sys.stderr, flush=True)


def internal_error(program: str, error: BaseException) -> int:
    """One line about an error that nobody foresaw, with the file that holds its details; returns INTERNAL."""
    details = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix=f"{program}-error-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(details)
        where = file.name
    except OSError as unwritten:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"could not be written ({unwritten.strerror}); it was at {frame.filename}:{frame.lineno}"
    complain(program, f"internal error: {type(error).__name__}: {_words(error)}; details: {where}")
    return INTERNAL


def enter(program: str, run: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> NoReturn:
    """Exit with the status of ``run(arguments)``, and never with a traceback nor with another's success.

    An exception that ends a process, raised by code that the command was given, is unusable input. A reader of standard
    output that leaves changes nothing; text that a full disk has swallowed makes success unusable, except of ``train``,
    whose product is a folder.
    """
    with steady_output() as streams:
        status = _status(program, run, arguments)
        _ignore_ctrl_c()
        sys.stdout.flush()
        if (lost := _lost(streams)) and status == DONE and list(arguments[:1]) != ["train"]:
            complain(program, f"what it printed could not be written: {lost}")
            status = UNUSABLE
    sys.exit(status)


def _ignore_ctrl_c() -> None:
    """From now on: what was to be done is done, and the status is known."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _status(program: str, run: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    try:
        return run(arguments)
    except KeyboardInterrupt:
        complain(program, "interrupted")
        return INTERRUPTED
    except SystemExit as error:
        complain(program, f"code that it was given ended the process: sys.exit({error.code!r}) at {_raised_at(error)}")
        return UNUSABLE
    except Exception as error:
        if _lacks_memory(error):
            complain(program, f"not enough memory: {_words(error)}: choose smaller sizes, batches or numbers")
            return UNUSABLE
        return internal_error(program, error)
    except BaseException as error:
        complain(program, f"code that it was given raised {type(error).__name__}: {error} at {_raised_at(error)}")
        return UNUSABLE


def _lacks_memory(error: Exception) -> bool:
    """NumPy's and Python's MemoryError, torch's RuntimeError and TensorFlow's own."""
    said = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "ResourceExhaustedError"
        or isinstance(error, RuntimeError)
        and any(words in said for words in ("can't allocate memory", "out of memory", "not enough memory"))
    )


def _words(error: BaseException) -> str:
    """The first line of what an error says."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")


def _raised_at(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}:{frame.lineno}"


def _lost(streams: dict[str, SteadyStream]) -> str:
    error = streams["stdout"].lost if "stdout" in streams else None
    return "" if error is None or error.errno not in FULL else str(error.strerror)


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Within, Ctrl-C ends the process at once, as it ends ``cat``: importing a framework is not to be interrupted.

    Half of an import would leave a traceback, or an error of another kind.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
