"""How the workers of one run find each other: at the chief's address and in time, or with an error that says why not.

The chief is worker 0. Addresses are ``HOST:PORT``.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from shared_impl.config.presets import ConfigError

RETRY = 0.2  # seconds between two attempts
_COMPLETE = b"all are here"  # what the chief sends once every worker has been reached


def wait_for_all_workers(workers: Sequence[str], own: int, seconds: float, where: str) -> None:
    """Return once all ``workers`` are there, ``own`` being this one's number.

    Each worker listens at its address until the chief has called. For engines that would wait for each other without
    end. ``where`` names what set the addresses. Raises ConfigError, naming who is missing or which port is taken.
    """
    reject_occupied_port(own, workers[own], where)
    if own == 0:
        _call_all(workers, seconds)
    else:
        _await_call(workers, own, seconds, where)


def is_listening(address: str, seconds: float = 0.0) -> bool:
    """Whether something listens at ``HOST:PORT``, now or within so many seconds."""
    connection = _connect(address, time.monotonic() + seconds)
    if connection is not None:
        connection.close()
    return connection is not None


def reject_occupied_port(worker: int, address: str, where: str) -> None:
    """ConfigError if another program listens at the port that a worker of this machine needs."""
    try:
        _listen(address).close()
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be listened at ({error.strerror})"
        raise ConfigError(
            f"{where}: the port of worker {worker}, {address}, {reason}: free it, or name another"
        ) from error


def is_host_and_port(text: str) -> bool:
    """Whether a text is ``HOST:PORT``."""
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 2**16


def wait_for_chief(worker: int, address: str, seconds: float, where: str) -> None:
    """Wait until the chief listens; ConfigError if it does not in time."""
    if not is_listening(address, seconds):
        raise ConfigError(_no_chief(worker, address, seconds, where))


def missing_workers(worker: int, missing: str, seconds: float) -> str:
    """The message of ``worker`` about workers that did not come in time."""
    return f"worker {worker} has waited {seconds:g} s for {missing}: start all workers, within distribution.timeout"


def _call_all(workers: Sequence[str], seconds: float) -> None:
    until = time.monotonic() + seconds
    with ExitStack() as stack:
        connections = {number: _connect(address, until) for number, address in enumerate(workers) if number}
        if missing := [f"worker {n} ({workers[n]})" for n, connection in connections.items() if connection is None]:
            raise ConfigError(missing_workers(0, ", ".join(missing), seconds))
        for connection in filter(None, connections.values()):
            stack.enter_context(connection).sendall(_COMPLETE)


def _await_call(workers: Sequence[str], own: int, seconds: float, where: str) -> None:
    until, called = time.monotonic() + seconds, False
    with _listen(workers[own]) as listener:
        while (left := until - time.monotonic()) > 0:
            listener.settimeout(left)
            try:
                connection, _ = listener.accept()
                with connection:
                    called = True
                    connection.settimeout(max(until - time.monotonic(), RETRY))
                    if connection.recv(len(_COMPLETE)) == _COMPLETE:
                        return
            except OSError:
                continue
    if called:
        raise ConfigError(missing_workers(own, "the others", seconds))
    raise ConfigError(_no_chief(own, workers[0], seconds, where))


def _connect(address: str, until: float) -> socket.socket | None:
    """A connection to another process at ``address``, tried for until then."""
    host, _, port = address.rpartition(":")
    while True:
        with suppress(OSError), ExitStack() as undo:
            connection = undo.enter_context(socket.create_connection((host, int(port)), 1.0))
            if connection.getsockname() != connection.getpeername():  # TCP allows a port to connect to itself
                undo.pop_all()
                return connection
        if time.monotonic() >= until:
            return None
        time.sleep(RETRY)


def _listen(address: str) -> socket.socket:
    return socket.create_server(("", int(address.rpartition(":")[2])))


def _no_chief(worker: int, address: str, seconds: float, where: str) -> str:
    return (
        f"worker {worker} cannot reach worker 0 at {address} (tried for {seconds:g} s): start it, or correct its "
        f"address in {where}; distribution.timeout says how long to wait"
    )
