"""``python -m torch_impl train|generate|moments|evaluate``; twin of tf_impl/__main__.py."""

from __future__ import annotations

import sys

from shared_impl.cli import House, run


def house() -> House:
    """What the commands need of this house; importing it loads torch."""
    from torch_impl.generate import Sampler
    from torch_impl.spectrogram import log_magnitude
    from torch_impl.train import train
    from torch_impl.trainer import Trainer

    return House(Trainer.framework, train, Sampler, log_magnitude)


if __name__ == "__main__":
    sys.exit(run("torch_impl", house, sys.argv[1:]))
