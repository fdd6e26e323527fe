"""``python -m tf_impl train|generate|moments|evaluate``; twin of torch_impl/__main__.py."""

from __future__ import annotations

import sys

from shared_impl.cli import House, run


def house() -> House:
    """What the commands need of this house; importing it loads TensorFlow."""
    from tf_impl.generate import Sampler
    from tf_impl.spectrogram import log_magnitude
    from tf_impl.train import train
    from tf_impl.trainer import Trainer

    return House(Trainer.framework, train, Sampler, log_magnitude)


if __name__ == "__main__":
    sys.exit(run("tf_impl", house, sys.argv[1:]))
