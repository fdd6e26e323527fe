"""A program of test_distribution.py: the thread of the last operation frees its tensor while networks are destroyed."""

from __future__ import annotations

import threading
import time
import weakref

import numpy as np
import torch
import torch.distributed as dist

from shared_impl.config.presets import load
from torch_impl.distribution import Replicas

LATE = 1.0  # seconds: by then everything else has happened
reached = threading.Event()


def late() -> None:
    """Called where the memory of the tensor is freed; it gives the interpreter's lock away and wants it back."""
    reached.set()
    time.sleep(LATE)


def main() -> None:
    """One operation, and the end."""
    with Replicas(load("dcgan_tiny", ["distribution.devices=cpu", "distribution.timeout=60"])) as replicas:
        network = replicas.joined(torch.nn.Linear(1, 1))
        memory = np.zeros(1)
        if replicas.chief:
            weakref.finalize(memory, late)
        else:
            time.sleep(LATE)  # until the operation alone holds the chief's tensor
        dist.all_reduce(torch.from_numpy(memory), async_op=True)
        del memory
        assert not replicas.chief or reached.wait(60.0)
    del network


if __name__ == "__main__":
    main()
