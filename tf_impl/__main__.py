"""``python -m tf_impl train|generate|moments|evaluate``; twin of torch_impl/__main__.py."""

from __future__ import annotations

import sys

from shared_impl.cli import Implementation, run


def implementation() -> Implementation:
    """What the commands need of this implementation; importing it loads TensorFlow."""
    from tf_impl.generate import Sampler
    from tf_impl.spectrogram import log_magnitude
    from tf_impl.train import train
    from tf_impl.trainer import Trainer

    return Implementation(Trainer.framework, train, Sampler, log_magnitude)


if __name__ == "__main__":
    sys.exit(run("tf_impl", implementation, sys.argv[1:]))
