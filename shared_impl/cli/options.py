"""Arguments and options that several commands share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shared_impl.config.presets import presets
from shared_impl.config.runs import RunsConfig
from shared_impl.training.replicas import is_first_on_machine

Preset = Annotated[str, typer.Argument(help=f"{', '.join(presets())}; or a YAML file", metavar="PRESET")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="such as training.steps=1000 model.ngf=32", metavar="[section.key=value …]")
]
RunName = Annotated[
    str, typer.Argument(help="a preset (its latest run), a run's number, its folder or a checkpoint's", metavar="RUN")
]
RunsFolder = Annotated[Path, typer.Option("--runs", help="where runs are kept", metavar="FOLDER")]
WhichCheckpoint = Annotated[str, typer.Option("--checkpoint", help="latest, best or a step", metavar="WHICH")]
RUNS = Path(RunsConfig().folder)


def tell(sentence: str) -> None:
    """A note on standard error, from one process of each machine."""
    if is_first_on_machine():
        print(f"note: {sentence}", file=sys.stderr)
