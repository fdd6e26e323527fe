"""How the workers of one run find each other: at the chief's address and in time, or with a word on what is wrong."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from shared_impl.config.presets import ConfigError

RETRY = 0.2  # seconds between two tries
_COME = b"all are here"


def wait_for_all_workers(workers: Sequence[str], own: int, seconds: float, where: str) -> None:
    """Return once all workers, listed as ``HOST:PORT``, are there: each listens at its port until the first has called.

    For engines that would wait for each other without end. Raises ConfigError, naming who is missing or in the way.
    """
    reject_occupied_port(own, workers[own], where)
    if own == 0:
        _call_all(workers, seconds)
    else:
        _await_call(workers, own, seconds, where)


def is_listening(place: str, seconds: float = 0.0) -> bool:
    """Whether something listens at ``HOST:PORT``, now or within so many seconds."""
    line = _line(place, time.monotonic() + seconds)
    if line is not None:
        line.close()
    return line is not None


def reject_occupied_port(worker: int, place: str, where: str) -> None:
    """ConfigError if another program listens at the port that a worker of this machine needs."""
    try:
        _listener(place).close()
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be listened at ({error.strerror})"
        raise ConfigError(
            f"{where}: the port of worker {worker}, {place}, {reason}: free it, or name another"
        ) from error


def is_host_and_port(text: str) -> bool:
    """Whether a text is ``HOST:PORT``."""
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 2**16


def wait_for_chief(worker: int, place: str, seconds: float, where: str) -> None:
    """Wait until the chief listens; ConfigError if it does not in time."""
    if not is_listening(place, seconds):
        raise ConfigError(_no_chief(worker, place, seconds, where))


def missing_workers(worker: int, missing: str, seconds: float) -> str:
    """What is told of workers that did not come."""
    return f"worker {worker} has waited {seconds:g} s for {missing}: start all workers, within distribution.timeout"


def _call_all(workers: Sequence[str], seconds: float) -> None:
    until = time.monotonic() + seconds
    with ExitStack() as stack:
        lines = {number: _line(place, until) for number, place in enumerate(workers) if number}
        if missing := [f"worker {number} ({workers[number]})" for number, line in lines.items() if line is None]:
            raise ConfigError(missing_workers(0, ", ".join(missing), seconds))
        for line in filter(None, lines.values()):
            stack.enter_context(line).sendall(_COME)


def _await_call(workers: Sequence[str], own: int, seconds: float, where: str) -> None:
    until, called = time.monotonic() + seconds, False
    with _listener(workers[own]) as listener:
        while (left := until - time.monotonic()) > 0:
            listener.settimeout(left)
            try:
                line, _ = listener.accept()
                with line:
                    called = True
                    line.settimeout(max(until - time.monotonic(), RETRY))
                    if line.recv(len(_COME)) == _COME:
                        return
            except OSError:
                continue
    raise ConfigError(
        missing_workers(own, "the others", seconds) if called else _no_chief(own, workers[0], seconds, where)
    )


def _line(place: str, until: float) -> socket.socket | None:
    """A connection to somebody else, tried for until then."""
    host, _, port = place.rpartition(":")
    while True:
        with suppress(OSError), ExitStack() as undo:
            line = undo.enter_context(socket.create_connection((host, int(port)), 1.0))
            if line.getsockname() != line.getpeername():  # TCP lets a call from the port that it is for call itself
                undo.pop_all()
                return line
        if time.monotonic() >= until:
            return None
        time.sleep(RETRY)


def _listener(place: str) -> socket.socket:
    return socket.create_server(("", int(place.rpartition(":")[2])))


def _no_chief(worker: int, place: str, seconds: float, where: str) -> str:
    return (
        f"worker {worker} cannot reach worker 0 at {place} (tried for {seconds:g} s): start it, or correct its address "
        f"in {where}; distribution.timeout says how long to wait"
    )
