"""The command ``evaluate``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from shared_impl import files
from shared_impl.cli.framework import LoadFramework
from shared_impl.cli.options import RUNS, RunName, RunsFolder, WhichCheckpoint, tell
from shared_impl.config.presets import ConfigError
from shared_impl.data.classes import listed
from shared_impl.data.sources import open_source
from shared_impl.sampling.generation import LAST_SEED, MOST, classes_in_turn, generate_samples, latents
from shared_impl.storage import checkpoints
from shared_impl.storage.checkpoint_contents import CLASSES, damage
from shared_impl.storage.find_run import find_checkpoint, find_run


def add_evaluate(app: typer.Typer, load_framework: LoadFramework, own: str) -> None:
    """Add the command to ``app``; runs that it looks for by their preset are of the framework ``own``."""

    @app.command()
    def evaluate(
        run: RunName,
        samples: Annotated[int, typer.Option(help="how many to generate", min=2, max=MOST)] = 1000,
        seed: Annotated[int, typer.Option(help="of the first latent", min=0, max=LAST_SEED - MOST)] = 0,
        as_json: Annotated[Path | None, typer.Option("--json", help="also write the figures here")] = None,
        which: WhichCheckpoint = "latest",
        runs: RunsFolder = RUNS,
    ) -> int:
        """Judge a run's samples: images by a small classifier of the real ones, clips by their distance to real ones.

        Inception Score's and FID's formulas are applied to that classifier and to its inputs: no pretrained network is
        downloaded, so the figures are not comparable to published ones. A conditional system makes samples of all its
        classes in turn, and the report says how many are recognised as their class.
        """
        from shared_impl.sampling.evaluation import evaluate as evaluate_samples  # takes scikit-learn a second

        if as_json:
            _validate_target(as_json)
        path = find_checkpoint(find_run(run, runs, own, tell), which)
        framework = load_framework()
        checkpoint = checkpoints.load(path, framework=framework.name)
        if warning := damage(checkpoint):
            tell(warning)
        generator = framework.sampler(checkpoint)
        source = open_source(generator.config.data, generator.config.model)
        if (known := checkpoint.manifest.get(CLASSES, source.labels)) != source.labels:
            raise ConfigError(
                f"{source.name}: its classes are {listed(source.labels)}, but {checkpoint.path} was trained with "
                f"{listed(known)}: evaluate beside the data that it was trained on"
            )
        inputs = classes_in_turn(generator.config, latents(generator.config, range(seed, seed + samples)))
        made = generate_samples(generator, *inputs)
        try:
            report = evaluate_samples(made, source, requested=inputs[1] if len(inputs) > 1 else None)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        print(f"{checkpoint.path}, {len(made)} samples\n{report.text}")
        if as_json:
            _write(as_json, json.dumps(report.figures, indent=1))
        return 0


def _validate_target(path: Path) -> None:
    """ConfigError, before the work, if a file cannot be written."""
    folder = path.absolute().parent
    special = path.exists() and not path.is_file()  # a folder, or a device that must not be replaced
    if special or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(f"--json {path}: cannot be written: name a file in an existing folder where you may write")


def _write(path: Path, text: str) -> None:
    try:
        with files.replacing(path) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json {path}: cannot be written: {error.strerror or error}") from error
