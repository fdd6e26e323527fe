"""The section ``distribution``: the devices that share each batch, and how long their processes wait."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from shared_impl.config.section import Positive, Section


class DistributionConfig(Section):
    """The devices that share each batch: ``training.batch_size`` is what they get together."""

    # one device; mirrored: all of one process (TensorFlow); multi_worker: several processes (TF_CONFIG, torchrun);
    # auto: as started, and all GPUs that are visible
    strategy: Literal["auto", "one", "mirrored", "multi_worker"] = "auto"
    devices: str = "auto"  # auto, cpu or gpu, or so many of each machine: cpu:2 tries two out without a GPU
    sync_batchnorm: bool = False  # batch statistics of all devices' examples, as on one device
    # Seconds that a worker waits for the others, in a step and at the start, where the first one may be measuring the
    # moments of all sounds: measure those of large data before, with the command moments
    timeout: Positive = 1800.0

    @model_validator(mode="after")
    def _are_devices(self) -> Self:
        kind, colon, count = self.devices.partition(":")
        counted = kind != "auto" and count.isdecimal() and int(count) > 0
        if kind not in ("auto", "cpu", "gpu") or (colon and not counted):
            raise ValueError(f"devices is {self.devices!r}; valid: auto, cpu, gpu, cpu:N, gpu:N")
        if self.strategy == "one" and colon and int(count) > 1:
            raise ValueError(f"strategy=one and devices={self.devices}: give one device, or another strategy")
        return self
