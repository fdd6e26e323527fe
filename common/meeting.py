"""How the workers of one run find each other: at the chief's address and in time, or with a word on what is wrong."""

from __future__ import annotations

import socket
import time

from common.config import ConfigError

RETRY = 0.2  # seconds between two tries


def answers(place: str, seconds: float = 0.0) -> bool:
    """Whether something listens at ``HOST:PORT``, now or within so many seconds."""
    host, _, port = place.rpartition(":")
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, int(port)), 1.0).close()
            return True
        except OSError:
            if time.monotonic() >= until:
                return False
            time.sleep(RETRY)


def refuse_taken(worker: int, place: str, where: str) -> None:
    """ConfigError if another program listens at the port that a worker of this machine needs."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("", int(place.rpartition(":")[2])))
        except OSError as error:
            raise ConfigError(
                f"{where}: the port of worker {worker}, {place}, is in use: free it, or name another"
            ) from error


def await_chief(worker: int, place: str, seconds: float, where: str) -> None:
    """Wait until the chief listens; ConfigError if it does not in time."""
    if not answers(place, seconds):
        raise ConfigError(
            f"worker {worker} cannot reach worker 0 at {place} (tried for {seconds:g} s): start it, or correct its "
            f"address in {where}; distribution.timeout says how long to wait"
        )


def absent(worker: int, missing: str, seconds: float) -> str:
    """What is told of workers that did not come."""
    return f"worker {worker} has waited {seconds:g} s for {missing}: start all workers, within distribution.timeout"
