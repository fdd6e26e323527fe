"""Processes that start with both frameworks imported: forks of one that has imported them. Imports no framework.

Importing both frameworks takes five to ten seconds of processor time, and one run of all pairs starts a dozen
processes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from shared_impl.storage.experiments import cores

PRELOADED = "parity.systems.preload"
MOST_JOBS = 4  # processes that verify pairs side by side, each of which may take 3 GB
FORKS = sys.platform == "linux"  # elsewhere what the system's own libraries have begun does not survive a fork


def blas_threads() -> int:
    """Threads that NumPy's linear algebra computes in: the share of the cores of one of :data:`MOST_JOBS` processes."""
    return max(1, cores() // MOST_JOBS)


def context() -> BaseContext:
    """The multiprocessing context: forks of the process that has imported both frameworks, or new processes."""
    if not FORKS:
        return multiprocessing.get_context("spawn")
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([PRELOADED])
    with _ignoring_ctrl_c():
        forkserver.ensure_running()  # what it forks ignores what it ignores
    return forks


def await_imports(forks: BaseContext) -> None:
    """Return once the frameworks are imported and processes start at once; an interruption before that is harmless."""
    first = forks.Process(target=int)  # type: ignore[attr-defined]
    first.start()
    first.join()


def start(
    function: Callable[..., None], *arguments: Any, environment: Mapping[str, str], without: tuple[str, ...], log: Path
) -> BaseProcess:
    """Start ``function(*arguments)`` in a new process.

    Its environment is this one's, less the names in ``without``, plus ``environment``. It writes stdout and stderr to
    ``log``, ignores Ctrl-C and ends when this process does.
    """
    process = context().Process(  # type: ignore[attr-defined]
        target=_run, args=(function, arguments, dict(environment), without, str(log)), daemon=True
    )
    with uninterrupted():
        process.start()
    return process


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Within: processes that are started ignore Ctrl-C from their first instruction on; forks do anyway."""
    if FORKS:
        yield
        return
    with _ignoring_ctrl_c():
        yield


@contextmanager
def _ignoring_ctrl_c() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, kept)


def end_with_parent() -> None:
    """End this process, from now on, as soon as its parent has ended."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run(
    function: Callable[..., None],
    arguments: tuple[Any, ...],
    environment: dict[str, str],
    without: tuple[str, ...],
    log: str,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except FileNotFoundError:
        return  # the parent has removed the folder: the result is no longer wanted
    for stream in (1, 2):
        os.dup2(output, stream)
    for name in without:
        os.environ.pop(name, None)
    os.environ.update(environment)
    function(*arguments)
