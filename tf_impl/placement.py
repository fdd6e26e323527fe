"""Which processes and devices take part in a training, in TensorFlow; twin of torch_impl/placement.py."""

from __future__ import annotations

import json
import os

import tensorflow as tf

from shared_impl.config.distribution import DistributionConfig
from shared_impl.config.presets import ConfigError
from shared_impl.training.rendezvous import is_host_and_port
from shared_impl.training.replicas import common_error, requested_devices

_JOBS = ("chief", "worker")  # of TF_CONFIG that train, in the order of their numbers


def find_workers() -> tuple[list[str], int]:
    """The addresses of the workers that TF_CONFIG names, and which of them this one is; ConfigError if unreadable."""
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return [""], 0
    try:
        content = json.loads(text)
        jobs = content.get("cluster", {})
        places = [(job, i, place) for job in _JOBS for i, place in enumerate(jobs.get(job, []))]
        task = content.get("task", {"type": places[0][0], "index": 0} if len(places) == 1 else {})
        numbers = [n for n, (job, i, _) in enumerate(places) if (job, i) == (task.get("type"), task.get("index"))]
        workers = [str(place) for _, _, place in places]
    except (ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"TF_CONFIG: cannot be read: {error}; got {text!r}") from error
    if not workers:
        return [""], 0
    if not numbers or not all(map(is_host_and_port, workers)):
        raise ConfigError(f"TF_CONFIG: got {text!r}, expected HOST:PORT for each worker and the task of this one")
    return workers, numbers[0]


def find_devices(distribution: DistributionConfig) -> list[str]:
    """The devices of this process that the configuration asks for, ``CPU:0`` and so on; ConfigError without them."""
    kind, count = requested_devices(distribution)
    gpus = tf.config.list_physical_devices("GPU") if kind != "cpu" else []
    if kind == "cpu":
        return [f"CPU:{i}" for i in range(count or 1)]
    if kind == "gpu" and len(gpus) < (count or 1):
        raise ConfigError(
            f"distribution.devices={distribution.devices}: got {len(gpus)} GPU(s) here, expected {count or 1}; "
            "use cpu:N to try N devices out"
        )
    return [f"GPU:{i}" for i in range(count or len(gpus))] or ["CPU:0"]


def validate(distribution: DistributionConfig, processes: int) -> None:
    """ConfigError where ``distribution`` asks for what so many processes cannot be."""
    strategy, (kind, count) = distribution.strategy, requested_devices(distribution)
    if strategy == "one" and processes > 1:
        raise common_error(f"distribution.strategy=one: but TF_CONFIG names {processes} workers")
    if strategy == "mirrored" and processes > 1:
        raise common_error(
            f"distribution.strategy=mirrored is for the devices of one process: but TF_CONFIG names "
            f"{processes} workers; use multi_worker or auto"
        )
    if strategy == "multi_worker" and processes == 1:
        raise common_error(
            "distribution.strategy=multi_worker: TF_CONFIG must name two workers or more, and which one this is: "
            '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'
        )
    if processes > 1 and kind == "cpu" and (count or 1) > 1:
        raise common_error(
            f"distribution.devices={distribution.devices}: a worker of several has one processor; start {count} "
            "workers instead"
        )
