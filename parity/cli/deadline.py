"""``--timeout SECONDS``: the command runs in a process of its own, which is ended when its time is over.

A port that hangs in compiled code runs no signal handler and lets go of no lock, so nothing inside its process can be
relied on to end it.
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from parity.verdict import UnusableInput

WATCHED = "PARITY_TIMEOUT_TRACE"
"""Environment variable of the process that is watched: the file for its stack when its time is over."""
PROGRAM = (  # a folder called parity where the caller stands is not this package
    f"import sys; sys.path.append({str(Path(__file__).parents[2])!r}); from parity.__main__ import main; main()"
)
TELL = 1.0
"""Seconds that the process gets to write its stack."""
FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<function>.+)$')


def watched() -> bool:
    """Whether another process watches this one, which then writes its stack on the signal SIGUSR1 and ends."""
    path = os.environ.get(WATCHED)
    if path is None:
        return False
    _traces.append(open(path, "w", encoding="utf-8"))  # noqa: SIM115  (open as long as the process lives)
    faulthandler.register(signal.SIGUSR1, _traces[-1], all_threads=False, chain=True)  # then the default: it ends
    return True


_traces: list[IO[str]] = []


def run_within(seconds: float, arguments: Sequence[str]) -> int:
    """The exit status of ``parity ARGUMENTS``, which must not take longer.

    Raises:
        UnusableInput: it takes longer; the message says where it was.
    """
    if not seconds > 0:
        raise UnusableInput(f"--timeout {seconds:g}: expected a number of seconds above 0")
    with tempfile.TemporaryDirectory(prefix="parity-") as folder:
        trace = Path(folder) / "stack"
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, *arguments],
            env=os.environ | {WATCHED: str(trace)},
            process_group=0,
        )
        former = signal.signal(signal.SIGTERM, _end) if _in_main_thread() else None
        try:
            return _exit_status(process, seconds)
        except subprocess.TimeoutExpired:
            where = _where_it_hangs(process, trace)
        finally:
            _kill(process)
            if former is not None:
                signal.signal(signal.SIGTERM, former)
    raise UnusableInput(f"not done after {seconds:g} s (--timeout){where}: mend what hangs, or allow more time")


def _exit_status(process: subprocess.Popen[bytes], seconds: float) -> int:
    """Wait for it; Ctrl-C is passed on, and the process ends by itself."""
    try:
        status = process.wait(seconds)
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGINT)
        status = process.wait(seconds)
    if status < 0:
        raise UnusableInput(f"the comparison was ended by signal {-status} ({signal.Signals(-status).name})")
    return status


def _where_it_hangs(process: subprocess.Popen[bytes], trace: Path) -> str:
    """The caller's own innermost line that was running, in words; empty if it is not known."""
    with suppress(ProcessLookupError, subprocess.TimeoutExpired):
        if trace.exists():
            process.send_signal(signal.SIGUSR1)
            process.wait(TELL)
    frames = [FRAME.match(line) for line in trace.read_text("utf-8").splitlines()] if trace.exists() else []
    found = next((frame for frame in frames if frame and _is_the_callers(frame["file"])), None)
    return f"; it was at {found['file']}:{found['line']}, in {found['function']}" if found else ""


def _is_the_callers(file: str) -> bool:
    paths = sysconfig.get_paths()
    others = (paths["stdlib"], paths["platstdlib"], paths["purelib"], str(Path(__file__).parents[1]))
    return not file.startswith(("<", *others))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _end(number: int, frame: object) -> None:
    raise UnusableInput(f"ended by {signal.Signals(number).name}")
