"""Which processes and devices take part in a training, in torch; twin of tf_impl/placement.py."""

from __future__ import annotations

import os

import torch

from shared_impl.config.distribution import DistributionConfig
from shared_impl.config.presets import ConfigError
from shared_impl.training.replicas import common_error, requested_devices

_LAUNCH = "torchrun --nproc-per-node {} -m torch_impl train PRESET"


def find_workers() -> tuple[int, int]:
    """The number of processes that torchrun has started, and which of them this one is."""
    return int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))


def find_devices(distribution: DistributionConfig) -> list[torch.device]:
    """The device of this process: its own GPU if the configuration lets it have one; ConfigError without it."""
    kind, _ = requested_devices(distribution)
    if kind == "gpu" and not torch.cuda.is_available():
        raise ConfigError(f"distribution.devices={distribution.devices}: there is no GPU here; use cpu or auto")
    if kind == "cpu" or not torch.cuda.is_available():
        return [torch.device("cpu")]
    device, there = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))), torch.cuda.device_count()
    if device.index >= there:
        raise ConfigError(
            f"process {device.index} of this machine has no GPU of its own: there are {there}; start as many "
            "processes, or train on the processor with distribution.devices=cpu"
        )
    torch.cuda.set_device(device)
    return [device]


def validate(distribution: DistributionConfig, processes: int) -> None:
    """ConfigError where ``distribution`` asks for what so many processes cannot be."""
    strategy, devices = distribution.strategy, distribution.devices
    _, count = requested_devices(distribution)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    launched = "RANK" in os.environ and "WORLD_SIZE" in os.environ
    if strategy == "one" and processes > 1:
        raise common_error(f"distribution.strategy=one: but torchrun has started {processes} processes")
    if strategy in ("mirrored", "multi_worker") and not launched:
        raise common_error(
            f"distribution.strategy={strategy}: torch runs a process for each device; start them with "
            + _LAUNCH.format(count or "N")
        )
    if count is not None and count != here:
        raise common_error(
            f"distribution.devices={devices}: got {here} process(es) here, expected {count}: torch runs one "
            f"for each device; start them with {_LAUNCH.format(count)}"
        )
