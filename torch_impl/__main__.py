"""``python -m torch_impl train|generate|evaluate|moments|config``; twin of tf_impl/__main__.py."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared_impl.cli.outcome import ended_by_ctrl_c, enter
from shared_impl.held_stderr import stderr_held_back

if TYPE_CHECKING:
    from shared_impl.cli.framework import Framework


def load_framework() -> Framework:
    """What the commands need of this framework; importing it loads torch."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # leaves others the cores: docs/training.md
    with ended_by_ctrl_c(), stderr_held_back():
        from shared_impl.cli.framework import Framework
        from torch_impl.generate import Sampler
        from torch_impl.spectrogram import log_magnitude
        from torch_impl.train import train
        from torch_impl.trainer import Trainer

    return Framework(Trainer.framework, train, Sampler, log_magnitude)


def run(arguments: Sequence[str]) -> int:
    """One command line's exit status."""
    with ended_by_ctrl_c():
        from shared_impl.cli import main
    return main.run("torch_impl", load_framework, arguments)


if __name__ == "__main__":
    enter("torch_impl", run, sys.argv[1:])
