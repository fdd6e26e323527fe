"""The engines that train on many devices, and the processes that each of them needs. Imports no framework."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from dataclasses import dataclass

LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "TF_CONFIG", "PYTEST_CURRENT_TEST")
"""Environment variables that a process of an engine does not inherit."""


@dataclass(frozen=True)
class Engine:
    """A framework's own way (``kind``) to train ``replicas`` replicas in ``processes`` processes."""

    framework: str
    kind: str
    replicas: int
    processes: int

    @property
    def name(self) -> str:
        """As reports show it."""
        return f"{self.kind}, {self.replicas} replicas"

    @property
    def devices(self) -> str:
        """The value of ``distribution.devices`` that selects it on a CPU."""
        return f"cpu:{self.replicas}" if self.processes == 1 else "cpu"


DDP = "DistributedDataParallel"
MIRRORED = "MirroredStrategy"
MULTI_WORKER = "MultiWorkerMirroredStrategy"
ENGINES = (
    Engine("torch", DDP, 2, 2),
    Engine("tensorflow", MIRRORED, 2, 1),
    Engine("torch", DDP, 4, 4),
    Engine("tensorflow", MULTI_WORKER, 2, 2),
    Engine("tensorflow", MIRRORED, 4, 1),
)


def environments(engine: Engine) -> list[dict[str, str]]:
    """The environment of each process, as torchrun, Slurm or a user sets it, with free ports."""
    if engine.processes == 1:
        return [{}]
    ports = _free_ports(engine.processes)
    if engine.framework == "torch":
        shared = {"WORLD_SIZE": str(engine.processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(ports[0])}
        return [{**shared, "RANK": str(i), "LOCAL_RANK": str(i)} for i in range(engine.processes)]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    tasks = [{"type": "worker", "index": i} for i in range(engine.processes)]
    return [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
