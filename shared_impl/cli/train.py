"""The command ``train``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from shared_impl.cli.framework import LoadFramework
from shared_impl.cli.options import RUNS, Overrides, Preset
from shared_impl.config.presets import ConfigError, load
from shared_impl.config.schema import Config
from shared_impl.storage.find_run import find_run
from shared_impl.storage.run_folder import CONFIG
from shared_impl.training.replicas import is_first_on_machine


def add_train(app: typer.Typer, load_framework: LoadFramework) -> None:
    """Add the command to ``app``."""

    @app.command()
    def train(
        preset: Preset,
        overrides: Overrides = None,
        resume: Annotated[
            bool, typer.Option("--resume", help="go on with the latest run of PRESET, or run PRESET")
        ] = False,
        profile: Annotated[
            int, typer.Option(help="record N steps, after the first three, in profile/trace.json", min=0, metavar="N")
        ] = 0,
    ) -> int:
        """Train; progress, samples and checkpoints go to runs/NNNN-PRESET/. Ctrl-C saves first."""
        if resume:
            config, folder = _run_to_resume(preset, overrides or [])
        else:
            config, folder = load(preset, overrides or []), None
        for sentence in config.advice():
            if is_first_on_machine():
                print(f"note: {sentence}", file=sys.stderr)
        path = load_framework().train(config, Path(preset).stem, folder, profile)
        if path is not None:
            print(path)
        return 0


def _run_to_resume(name: str, overrides: Sequence[str]) -> tuple[Config, Path | None]:
    """The configuration and the folder of the run to go on with."""
    folders = [override.partition("=")[2] for override in overrides if override.startswith("runs.folder=")]
    path = find_run(name, Path(folders[-1]) if folders else RUNS)
    if not (path / CONFIG).is_file():
        raise ConfigError(f"{path}: is a checkpoint; a run is resumed from its latest one: give the run's folder")
    return load(path / CONFIG, overrides), path
