"""``python -m torch_impl train|generate|moments|evaluate``; twin of tf_impl/__main__.py."""

from __future__ import annotations

import sys

from shared_impl.cli.framework import Framework
from shared_impl.cli.main import run


def load_framework() -> Framework:
    """What the commands need of this framework; importing it loads torch."""
    from torch_impl.generate import Sampler
    from torch_impl.spectrogram import log_magnitude
    from torch_impl.train import train
    from torch_impl.trainer import Trainer

    return Framework(Trainer.framework, train, Sampler, log_magnitude)


if __name__ == "__main__":
    sys.exit(run("torch_impl", load_framework, sys.argv[1:]))
