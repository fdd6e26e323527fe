"""The command ``evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from shared_impl.cli.framework import LoadFramework
from shared_impl.cli.options import RUNS, RunName, RunsFolder, WhichCheckpoint, tell
from shared_impl.config.presets import ConfigError
from shared_impl.data.classes import listed
from shared_impl.data.sources import open_source
from shared_impl.sampling.generation import classes_in_turn, generate_samples, latents
from shared_impl.storage import checkpoints
from shared_impl.storage.checkpoint_contents import CLASSES
from shared_impl.storage.find_run import find_checkpoint, find_run


def add_evaluate(app: typer.Typer, load_framework: LoadFramework, own: str) -> None:
    """Add the command to ``app``; runs that it looks for by their preset are of the framework ``own``."""

    @app.command()
    def evaluate(
        run: RunName,
        samples: Annotated[int, typer.Option(help="how many to generate", min=2)] = 1000,
        seed: Annotated[int, typer.Option(help="of the first latent")] = 0,
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

        path = find_checkpoint(find_run(run, runs, own, tell), which)
        framework = load_framework()
        checkpoint = checkpoints.load(path, framework=framework.name)
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
            as_json.write_text(json.dumps(report.figures, indent=1), encoding="utf-8")
        return 0
