"""``python -m tf_impl train|generate|moments|evaluate``; twin of torch_impl/__main__.py."""

from __future__ import annotations

import sys

from shared_impl.cli.framework import Framework
from shared_impl.cli.main import run


def load_framework() -> Framework:
    """What the commands need of this framework; importing it loads TensorFlow."""
    from tf_impl.generate import Sampler
    from tf_impl.spectrogram import log_magnitude
    from tf_impl.train import train
    from tf_impl.trainer import Trainer

    return Framework(Trainer.framework, train, Sampler, log_magnitude)


if __name__ == "__main__":
    sys.exit(run("tf_impl", load_framework, sys.argv[1:]))
