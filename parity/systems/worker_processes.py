"""Processes that begin with both frameworks imported: forks of one that has imported them. Imports no framework.

An import takes both frameworks ten seconds of processor time, and a ladder has a dozen processes.
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

IMPORTED = "parity.systems.preload"
FORKS = sys.platform == "linux"  # elsewhere what the system's own libraries have begun does not survive a fork


def context() -> BaseContext:
    """What processes are made with: forks of the one that has imported both frameworks, or new ones."""
    if not FORKS:
        return multiprocessing.get_context("spawn")
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([IMPORTED])
    with _ignoring_ctrl_c():
        forkserver.ensure_running()  # what it forks ignores what it ignores
    return forks


def await_forks(forks: BaseContext) -> None:
    """Until processes begin at once. An interruption before that leaves none half begun."""
    first = forks.Process(target=int)  # type: ignore[attr-defined]
    first.start()
    first.join()


def start(
    function: Callable[..., None], *arguments: Any, environment: Mapping[str, str], without: tuple[str, ...], log: Path
) -> BaseProcess:
    """Begin ``function(*arguments)`` in a process of its own.

    It has ``environment`` besides this one's but for what is named in ``without``, writes all it says to ``log``,
    ignores Ctrl-C and ends when this process does.
    """
    process = context().Process(  # type: ignore[attr-defined]
        target=_run, args=(function, arguments, dict(environment), without, str(log)), daemon=True
    )
    with uninterrupted():
        process.start()
    return process


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Processes that are started within ignore Ctrl-C from their first instruction on; forks do anyway."""
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
    """End this process, from now on, as soon as the one that asked for it has ended."""
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
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except FileNotFoundError:
        return  # whoever asked for this process has cleared its folder away, and has no use for it
    for stream in (1, 2):
        os.dup2(said, stream)
    for name in without:
        os.environ.pop(name, None)
    os.environ.update(environment)
    function(*arguments)
