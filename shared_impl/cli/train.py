"""The command ``train``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from shared_impl.cli.framework import LoadFramework
from shared_impl.cli.options import RUNS, Overrides, Preset, tell
from shared_impl.config.presets import ConfigError, load
from shared_impl.config.schema import Config
from shared_impl.storage.find_run import find_checkpoint, find_run
from shared_impl.storage.run_folder import CONFIG, Run


def add_train(app: typer.Typer, load_framework: LoadFramework, framework: str) -> None:
    """Add the command to ``app``; runs that it looks for by their preset are of ``framework``."""

    @app.command()
    def train(
        preset: Preset,
        overrides: Overrides = None,
        resume: Annotated[
            bool, typer.Option("--resume", help="go on with the latest run of PRESET, or run PRESET")
        ] = False,
        step: Annotated[
            str | None,
            typer.Option(
                "--from",
                help="go back to the checkpoint of this step (latest, best); optimizer.lr, clip_norm and "
                "loss.label_smoothing may be changed then",
                metavar="STEP",
            ),
        ] = None,
        profile: Annotated[
            int, typer.Option(help="record N steps, after the first three, in profile/trace.json", min=0, metavar="N")
        ] = 0,
    ) -> int:
        """Train; progress, samples and checkpoints go to runs/NNNN-PRESET/. Ctrl-C, SIGTERM and SIGHUP save first.

        What becomes of its output never ends a run: a closed pipe or a full disk there is ignored.
        """
        if resume or step is not None:
            config, start = _start_again(preset, overrides or [], step, framework)
        else:
            config, start = load(preset, overrides or []), None
        for sentence in config.advice():
            tell(sentence)
        path = load_framework().train(config, Path(preset).stem, start, profile)
        if path is not None:
            print(path)
        return 0


def _start_again(name: str, overrides: Sequence[str], step: str | None, framework: str) -> tuple[Config, Path]:
    """The configuration of the run to go on with, and its folder, or that of the chosen checkpoint."""
    folders = [override.partition("=")[2] for override in overrides if override.startswith("runs.folder=")]
    path = find_run(name, Path(folders[-1]) if folders else RUNS, framework, tell)
    run = Run.open(path).path
    if path != run and step is not None:
        raise ConfigError(f"--from {step}: {path} is a checkpoint itself: give its run's folder, {run}")
    return load(run / CONFIG, overrides), path if step is None else find_checkpoint(path, step)
