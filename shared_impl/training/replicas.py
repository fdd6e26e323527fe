"""Processes that train one network together: what both implementations' engines have in common.

An implementation's ``Replicas`` carries bytes and flags between processes with its framework's own engine. What they
check and agree on with its help, and the messages about that, stand here.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from shared_impl.config.differences import differences, plain
from shared_impl.config.distribution import DistributionConfig
from shared_impl.config.presets import ConfigError
from shared_impl.config.schema import Config
from shared_impl.data.errors import DataError
from shared_impl.storage.checkpoints import CheckpointError
from shared_impl.storage.next_commands import IMPLEMENTATIONS
from shared_impl.storage.package_versions import package_versions
from shared_impl.storage.run_folder import RunError

ROOT = Path(__file__).resolve().parents[2]
# What may differ between workers: where each finds its data and would keep its runs, and how it decodes.
MAY_DIFFER = (
    "config.data.source",
    "config.data.moments",
    "config.data.workers",
    "config.loss.features",
    "config.data.prefetch",
    "config.runs.folder",
    "place",
)
EXPECTED = (ConfigError, DataError, CheckpointError, RunError)  # unusable input: one line, no traceback

Result = TypeVar("Result")
ErrorT = TypeVar("ErrorT", bound=Exception)


class WorkerLost(RuntimeError):
    """Another worker has died, or does not answer; the message names it and says how to go on."""


class Replicas(Protocol):
    """The devices that train one network together, in one or more processes (``distribution.py`` of each framework)."""

    process: int
    processes: int
    size: int

    @property
    def chief(self) -> bool:
        """Whether this process writes the run's folder."""

    def gather(self, own: bytes) -> list[bytes]:
        """What each process gives, in their order."""

    def from_chief(self, content: bytes) -> bytes:
        """The chief's ``content``, whatever the others pass."""

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is true in any process."""

    def mean(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """Metrics averaged over the processes."""


def run_on_chief(replicas: Replicas, work: Callable[[], Result]) -> Result:
    """The result of ``work`` on the chief, in every process; all of them raise its errors about unusable input."""
    if replicas.processes == 1:
        return work()
    result: tuple[Any, Exception | None] = (None, None)
    if replicas.chief:
        try:
            result = work(), None
        except EXPECTED as error:
            result = None, error
    value, error_of_chief = pickle.loads(replicas.from_chief(pickle.dumps(result)))
    if error_of_chief is not None:
        raise mark_common(error_of_chief)
    return value


def common_error(problem: str) -> ConfigError:
    """A ConfigError that every process raises."""
    return mark_common(ConfigError(problem))


def mark_common(error: ErrorT) -> ErrorT:
    """The error, marked as one that every process raises: one process of each machine reports it."""
    error.common = True  # type: ignore[attr-defined]
    return error


def validate_workers(replicas: Replicas, framework: str, config: Config, data: Mapping[str, Any]) -> None:
    """ConfigError unless all processes have one configuration, one program and the same data."""
    if replicas.processes == 1:
        return
    own = {
        "place": f"{socket.gethostname()}, process {os.getpid()}",
        "config": plain(config),
        "data": dict(data),
        "program": source_digest(framework),
        "versions": package_versions(framework),
        "devices": replicas.size / replicas.processes,
    }
    chief, *others = (pickle.loads(content) for content in replicas.gather(pickle.dumps(own)))
    for number, other in enumerate(others, 1):
        if found := differences(other, chief, free=MAY_DIFFER):
            raise common_error(
                f"worker {number} ({other['place']}) is not like worker 0 ({chief['place']}): "
                f"{'; '.join(map(str, found))}. Start every worker with the same command, code and packages"
            )


def source_digest(framework: str) -> str:
    """A digest of the source code that trains in that framework."""
    digest = hashlib.sha256()
    for folder in ("shared_impl", IMPLEMENTATIONS[framework]):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def validate_even_split(config: Config, size: int) -> None:
    """ConfigError unless each of ``size`` devices gets equally many examples of each portion of a batch.

    Growing networks are rejected on more than one device.
    """
    training = config.training
    if config.model.stages and size > 1:
        raise common_error(
            f"model.growing={list(config.model.stages[:-1])}: networks grow on one device, got {size}; train on one, "
            "or without growing (model.growing=[])"
        )
    unit = size * training.accumulation
    if training.batch_size % unit:
        portions = f" in portions of accumulation={training.accumulation}" if training.accumulation > 1 else ""
        near = sorted({max(training.batch_size // unit, 1) * unit, (training.batch_size // unit + 1) * unit})
        raise common_error(
            f"training.batch_size={training.batch_size} cannot be split evenly over {size} devices{portions}: "
            f"it is what all get together; use {' or '.join(map(str, near))}, or another number of devices"
        )


def requested_devices(distribution: DistributionConfig) -> tuple[str, int | None]:
    """The kind of device (``auto``, ``cpu`` or ``gpu``) and how many, as ``distribution.devices`` has them."""
    kind, _, count = distribution.devices.partition(":")
    return kind, int(count) if count else None


def is_first_on_machine() -> bool:
    """Whether this process reports what all of them know: one of each machine, by torchrun's numbers."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def worker_prefix() -> str:
    """``worker N: ``, the prefix of messages that one process alone may know; empty if there is one process."""
    return "" if os.environ.get("WORLD_SIZE", "1") == "1" else f"worker {os.environ.get('RANK', '?')}: "


def worker_lost(workers: list[str], reason: str) -> WorkerLost:
    """The error that names the workers lost."""
    who = ", ".join(workers) or "another worker"
    return WorkerLost(
        f"lost {who}: {reason}. The run has ended here too; start all workers again with --resume to go on "
        "from the last checkpoint"
    )
