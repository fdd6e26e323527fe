"""What happens to a run: signals, lost output, full disks, folders that refuse, clocks that jump."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from parity.systems import frameworks
from shared_impl.cli.outcome import enter

CAPABILITY_VERSION = 0x20080522  # linux/capability.h
OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
DAY = 86_400.0


@dataclass(frozen=True)
class Harm:
    """``before`` is done in the process that trains, given a number from 0 to 1, before it begins; ``signals`` are sent
    at the chosen moment, ``act`` is done to the run's folder then. ``ends`` are the exit statuses allowed.
    """

    ends: tuple[int, ...]
    signals: tuple[signal.Signals, ...] = ()
    before: str = ""
    act: Callable[[Path], None] | None = None


def lose_output(share: float) -> None:
    """Standard output and standard error go to a reader that has left."""
    reading, writing = os.pipe()
    os.close(reading)
    for descriptor in (1, 2):
        os.dup2(writing, descriptor)


def fill_output(share: float) -> None:
    """Standard output and standard error go to a full disk."""
    full = os.open("/dev/full", os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(full, descriptor)


def limit_files(share: float) -> None:
    """No file grows beyond so many bytes, as on a disk that is almost full."""
    size = int(500 + share * 300_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def jump_clock(share: float) -> None:
    """The wall clock goes to and fro by days."""
    real, calls = time.time, iter(range(10**9))

    def jumping() -> float:
        return real() + (next(calls) % 3 - 1) * DAY * (1 + share)

    time.time = jumping


def obey_permissions(share: float) -> None:
    """Folders can refuse this process, which they never do to root: give up its capability to override them."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        header, sets = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
        libc.capget(header, sets)
        for place in range(3):  # effective, permitted, inheritable, of the first 32 capabilities
            sets[place] &= ~OVERRIDES
        if libc.capset(header, sets):
            raise OSError(ctypes.get_errno(), "capset")


def refuse(run: Path) -> None:
    """Nothing more can be made in the folder of checkpoints."""
    (run / "checkpoints").chmod(0o555)


BEFORE: dict[str, Callable[[float], None]] = {
    "lose_output": lose_output,
    "fill_output": fill_output,
    "limit_files": limit_files,
    "jump_clock": jump_clock,
    "obey_permissions": obey_permissions,
}
HARMS: dict[str, Harm] = {
    "SIGKILL": Harm((-signal.SIGKILL, 0), (signal.SIGKILL,)),
    "SIGTERM": Harm((130, 0, -signal.SIGTERM), (signal.SIGTERM,)),
    "SIGHUP": Harm((130, 0, -signal.SIGHUP), (signal.SIGHUP,)),
    "SIGINT": Harm((130, 0, -signal.SIGINT), (signal.SIGINT,)),
    "SIGINT twice": Harm((130, 0, -signal.SIGINT), (signal.SIGINT, signal.SIGINT)),
    "reader gone": Harm((0,), before="lose_output"),
    "reader gone, SIGHUP": Harm((130, 0, -signal.SIGHUP), (signal.SIGHUP,), before="lose_output"),
    "output full": Harm((0,), before="fill_output"),
    "disk full": Harm((2, 0), before="limit_files"),
    "clock jumps": Harm((0,), before="jump_clock"),
    "clock jumps, SIGKILL": Harm((-signal.SIGKILL, 0), (signal.SIGKILL,), before="jump_clock"),
    "folder refuses": Harm((2, 0), before="obey_permissions", act=refuse),
}
SHARED = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")  # for one of two processes; the other ends as it may


def train(implementation: str, words: list[str], folder: str, before: str, share: float) -> None:
    """Train in this process, harmed ``before`` it begins, and exit with the command's status."""
    os.chdir(folder)
    frameworks.compute_in(1)
    if before:
        BEFORE[before](share)
    run = import_module(f"{implementation}.__main__").run
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever nohup has set
    enter(implementation, run, ["train", *words])
