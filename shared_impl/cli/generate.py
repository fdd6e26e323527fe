"""The command ``generate``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from soundfile import SoundFileError

from shared_impl.cli.framework import LoadFramework
from shared_impl.cli.options import RUNS, RunName, RunsFolder, WhichCheckpoint, tell
from shared_impl.config.presets import ConfigError
from shared_impl.sampling.generation import (
    MOST,
    Inputs,
    every_class,
    file_names,
    interpolate_latents,
    latents,
    parse_classes,
    parse_seeds,
    validate_count,
)
from shared_impl.sampling.write_samples import unwritable, write_samples
from shared_impl.storage import checkpoints
from shared_impl.storage.checkpoint_contents import class_names, damage
from shared_impl.storage.find_run import find_checkpoint, find_run


class Format(StrEnum):
    """What is written."""

    images = "images"
    grid = "grid"
    wav = "wav"
    npz = "npz"


class Inverse(StrEnum):
    """How Griffin-Lim goes back to waveforms."""

    original = "original"
    corrected = "corrected"


DEFAULT_FORMATS = {"image": [Format.images, Format.grid], "audio": [Format.wav, Format.grid]}


def add_generate(app: typer.Typer, load_framework: LoadFramework, own: str) -> None:
    """Add the command to ``app``; runs that it looks for by their preset are of the framework ``own``."""

    @app.command()
    def generate(
        run: RunName,
        seeds: Annotated[str, typer.Option(help=f"which latents, such as 0-9,12; at most {MOST:,}")] = "0-15",
        formats: Annotated[
            list[Format] | None, typer.Option("--format", help="repeat it; default: what the run makes, and a grid")
        ] = None,
        out: Annotated[Path | None, typer.Option(help="default: generated/ in the run's folder", metavar="DIR")] = None,
        interpolate: Annotated[
            int | None, typer.Option(help="this many samples on the way from each seed to the next", metavar="N", min=2)
        ] = None,
        classes: Annotated[
            str | None,
            typer.Option(help="of a conditional system: names, numbers or all (the default)", metavar="CLASS,…"),
        ] = None,
        columns: Annotated[
            int | None, typer.Option(help="of the grid; default: near a square, or a row for each class", min=1)
        ] = None,
        iterations: Annotated[int, typer.Option(help="of Griffin-Lim", min=0, max=10_000)] = 16,
        inverse: Inverse = Inverse.original,
        which: WhichCheckpoint = "latest",
        runs: RunsFolder = RUNS,
    ) -> int:
        """Write images, a grid, wavs or arrays that the run's generator makes of chosen latents."""
        numbers = parse_seeds(seeds)
        path = find_checkpoint(find_run(run, runs, own, tell), which)
        framework = load_framework()
        checkpoint = checkpoints.load(path, framework=framework.name)
        if warning := damage(checkpoint):
            tell(warning)
        generator = framework.sampler(checkpoint)
        config = generator.config
        if interpolate is None:
            z, names = latents(config, numbers), [f"seed-{number:04d}" for number in numbers]
        else:
            z = interpolate_latents(config, numbers, interpolate)
            names = [f"between-{i:04d}" for i in range(len(z))]
            columns = columns or (None if config.model.labels else interpolate)
        inputs: Inputs = (z,)
        rows: list[str] = []
        if known := class_names(checkpoint, config):
            chosen = parse_classes("all" if classes is None else classes, known)
            validate_count(len(z) * len(chosen), f"{len(z):,} latents for each of {len(chosen)} classes")
            inputs, rows, words = every_class(z, chosen), [known[number] for number in chosen], file_names(known)
            names = [f"{words[number]}-{name}" for number in chosen for name in names]
        elif classes is not None:
            raise ConfigError(f"--classes {classes}: {config.model.system} has no classes: leave it out")
        wanted = formats or DEFAULT_FORMATS[config.model.medium]
        folder = out or checkpoint.path.absolute().parents[1] / "generated"
        more = (columns, iterations, inverse.value, rows)
        try:
            for file in write_samples(generator, inputs, names, folder, [f.value for f in wanted], *more):
                print(file)
        except (OSError, SoundFileError) as error:
            raise unwritable(folder, error) from error
        return 0
