"""``parity convert``: a training state into the other framework, or one network into a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from parity.verdict import NotFaithful, UnusableInput


def convert(
    source: Annotated[
        str,
        typer.Argument(
            help="a run's folder or number, a preset (its latest run) or a checkpoint's folder; or a file of VGG19's "
            "weights: .h5, .keras, .safetensors, .pth or .pt"
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            help="torch or tensorflow: a new run beside the source's; a folder for it instead, or …/step-N for the "
            "checkpoint alone; or a file: .keras, .pt2, .onnx, .safetensors or .pt; of VGG19's weights: .safetensors, "
            ".weights.h5, .pth or .pt"
        ),
    ],
    network: Annotated[
        str | None, typer.Option(help="generator (default; its moving average if there is one) or discriminator")
    ] = None,
    runs: Annotated[Path, typer.Option(help="where runs are kept", metavar="FOLDER")] = Path("runs"),
) -> int:
    """Carry a training state into the other framework, or a network into a file; all is checked before it stays."""
    from parity.systems import frameworks

    frameworks.load()
    from parity.cli.convert_actions import conversion
    from shared_impl.config.presets import ConfigError
    from shared_impl.storage.checkpoints import CheckpointError
    from shared_impl.storage.run_folder import RunError

    try:
        for line in conversion(source, target, network, runs):
            print(line)
    except NotFaithful as error:
        print(f"parity: {error}", file=sys.stderr)
        return 1
    except (CheckpointError, ConfigError, RunError) as error:
        raise UnusableInput(str(error)) from error
    return 0
