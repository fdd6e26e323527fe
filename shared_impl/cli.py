"""The command line of both implementations: ``python -m tf_impl|torch_impl train|generate|moments|evaluate``.

Exit status: 0 done, 1 training diverged or lost a worker, 2 unusable input (one line on stderr), 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from shared_impl.config.presets import ConfigError, load, presets
from shared_impl.config.runs import RunsConfig
from shared_impl.config.schema import Config
from shared_impl.data import source_moments
from shared_impl.data.classes import told
from shared_impl.data.errors import DataError
from shared_impl.data.moments import save
from shared_impl.data.sources import open_source
from shared_impl.sampling.evaluation import evaluate as judge
from shared_impl.sampling.generation import (
    CLASSES,
    Generator,
    Inputs,
    between,
    class_names,
    each_class,
    file_words,
    generated,
    in_turn,
    latents,
    parse_classes,
    parse_seeds,
    write,
)
from shared_impl.storage import checkpoints
from shared_impl.storage.checkpoints import Checkpoint, CheckpointError
from shared_impl.storage.run_folder import CHECKPOINTS, CONFIG, RunError, find_run
from shared_impl.training.interrupts import Interrupted
from shared_impl.training.replicas import WorkerLost, speaker, speaks
from shared_impl.training.training_monitor import Diverged

FAILED, UNUSABLE, INTERRUPTED = 1, 2, 130
Array = np.ndarray


@dataclass(frozen=True)
class Implementation:
    """A framework's own part of the commands."""

    framework: str
    train: Callable[[Config, str, Path | None, int], Path | None]
    sampler: Callable[[Checkpoint], Generator]
    log_magnitude: source_moments.LogMagnitude


class Format(StrEnum):
    """What generate writes."""

    images = "images"
    grid = "grid"
    wav = "wav"
    npz = "npz"


class Inverse(StrEnum):
    """How Griffin-Lim goes back to waveforms."""

    original = "original"
    corrected = "corrected"


USUAL = {"image": [Format.images, Format.grid], "audio": [Format.wav, Format.grid]}

Preset = Annotated[str, typer.Argument(help=f"{', '.join(presets())}; or a YAML file", metavar="PRESET")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="such as training.steps=1000 model.ngf=32", metavar="[section.key=value …]")
]
RunWord = Annotated[
    str, typer.Argument(help="a preset (its latest run), a run's number, its folder or a checkpoint's", metavar="RUN")
]
RunsFolder = Annotated[Path, typer.Option("--runs", help="where runs are kept", metavar="FOLDER")]
Which = Annotated[str, typer.Option("--checkpoint", help="latest, best or a step", metavar="WHICH")]
RUNS = Path(RunsConfig().folder)


def application(name: str, implementation: Callable[[], Implementation]) -> typer.Typer:
    """The typer application of an implementation; ``implementation`` is called once a command needs its framework."""
    app = typer.Typer(
        help=f"Train a network and generate from it, for example: python -m {name} train dcgan_digits",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )

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
        given = overrides or []
        config, folder = _resumed(preset, given) if resume else (load(preset, given), None)
        for sentence in config.advice():
            if speaks():
                print(f"note: {sentence}", file=sys.stderr)
        path = implementation().train(config, Path(preset).stem, folder, profile)
        if path is not None:
            print(path)
        return 0

    @app.command()
    def generate(
        run: RunWord,
        seeds: Annotated[str, typer.Option(help="which latents, such as 0-9,12")] = "0-15",
        formats: Annotated[
            list[Format] | None, typer.Option("--format", help="repeat it; default: what the run makes, and a grid")
        ] = None,
        out: Annotated[Path | None, typer.Option(help="default: generated/ in the run's folder", metavar="DIR")] = None,
        interpolate: Annotated[
            int | None, typer.Option(help="this many samples on the way from each seed to the next", metavar="N")
        ] = None,
        classes: Annotated[
            str | None,
            typer.Option(help="of a system that is told them: names, numbers or all (the default)", metavar="CLASS,…"),
        ] = None,
        columns: Annotated[
            int | None, typer.Option(help="of the grid; default: near a square, or a row for each class", min=1)
        ] = None,
        iterations: Annotated[int, typer.Option(help="of Griffin-Lim", min=0)] = 16,
        inverse: Inverse = Inverse.original,
        which: Which = "latest",
        runs: RunsFolder = RUNS,
    ) -> int:
        """Write images, a grid, wavs or arrays that the run's generator makes of chosen latents."""
        numbers = parse_seeds(seeds)
        checkpoint = _checkpoint(find_run(run, runs), which, implementation)
        generator = implementation().sampler(checkpoint)
        if interpolate is None:
            z, names = latents(generator.config, numbers), [f"seed-{number:04d}" for number in numbers]
        else:
            z = between(generator.config, numbers, interpolate)
            names = [f"between-{i:04d}" for i in range(len(z))]
            columns = columns or (None if generator.config.model.labels else interpolate)
        inputs: Inputs = (z,)
        rows: list[str] = []
        if known := class_names(checkpoint, generator.config):
            chosen = parse_classes("all" if classes is None else classes, known)
            inputs, rows, words = each_class(z, chosen), [known[number] for number in chosen], file_words(known)
            names = [f"{words[number]}-{name}" for number in chosen for name in names]
        elif classes is not None:
            raise ConfigError(f"--classes {classes}: {generator.config.model.system} is not told any: leave it out")
        wanted = formats or USUAL[generator.config.model.medium]
        folder = out or checkpoint.path.absolute().parents[1] / "generated"
        more = (columns, iterations, inverse.value, rows)
        for path in write(generator, inputs, names, folder, [f.value for f in wanted], *more):
            print(path)
        return 0

    @app.command()
    def moments(
        preset: Preset,
        overrides: Overrides = None,
        out: Annotated[Path, typer.Option(help="the file to write", metavar="FILE")] = Path("moments.npz"),
        shard: Annotated[str, typer.Option(help="measure the I-th of N parts only, I from 0", metavar="I/N")] = "0/1",
        merge: Annotated[list[Path] | None, typer.Option(help="merge shards' files instead; repeat it")] = None,
    ) -> int:
        """Measure mean and deviation per frequency bin of a data set; use the file as data.moments=FILE."""
        config = load(preset, overrides or [])
        if config.model.medium != "audio":
            raise ConfigError(f"{preset}: {config.model.system} learns from images; moments are of spectrograms")
        part, of = _fraction(shard)
        source = open_source(config.data, config.model)
        if merge:
            found = source_moments.merged(source, config, merge)
        else:
            found = source_moments.measure(source, config, implementation().log_magnitude, part, of)
        save(found, out)
        print(f"{out}: {found.count:,} frames of {source}")
        return 0

    @app.command()
    def evaluate(
        run: RunWord,
        samples: Annotated[int, typer.Option(help="how many to generate", min=2)] = 1000,
        seed: Annotated[int, typer.Option(help="of the first latent")] = 0,
        as_json: Annotated[Path | None, typer.Option("--json", help="also write the figures here")] = None,
        which: Which = "latest",
        runs: RunsFolder = RUNS,
    ) -> int:
        """Judge a run's samples: images by a small classifier of the real ones, clips by their distance to real ones.

        Inception Score's and FID's formulas are applied to that classifier and to what it sees: no pretrained network
        is downloaded, so the figures are not comparable to published ones. Of a system that is told classes, all are
        asked for in turn, and it is told how many samples are recognised as their class.
        """
        checkpoint = _checkpoint(find_run(run, runs), which, implementation)
        generator = implementation().sampler(checkpoint)
        source = open_source(generator.config.data, generator.config.model)
        if (known := checkpoint.manifest.get(CLASSES, source.labels)) != source.labels:
            raise ConfigError(
                f"{source.name}: its classes are {told(source.labels)}, but {checkpoint.path} was told {told(known)}: "
                "evaluate beside the data that it was trained on"
            )
        inputs = in_turn(generator.config, latents(generator.config, range(seed, seed + samples)))
        made = generated(generator, *inputs)
        try:
            report = judge(made, source, asked=inputs[1] if len(inputs) > 1 else None)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        print(f"{checkpoint.path}, {len(made)} samples\n{report.text}")
        if as_json:
            as_json.write_text(json.dumps(report.figures, indent=1), encoding="utf-8")
        return 0

    return app


def run(name: str, implementation: Callable[[], Implementation], arguments: Sequence[str]) -> int:
    """One command line's exit status; anything unusable becomes one line on stderr."""
    try:
        words = list(arguments) or ["--help"]
        status = application(name, implementation)(words, prog_name=f"python -m {name}", standalone_mode=False)
        return status or 0  # 130, typer's own, if Ctrl-C came before there was anything to save
    except (KeyboardInterrupt, typer.Abort):
        return _told(name, "interrupted", INTERRUPTED)
    except Interrupted as error:
        return _told(name, f"interrupted: {error}", INTERRUPTED, everywhere=True)
    except (Diverged, WorkerLost) as error:
        return _told(name, str(error), FAILED)
    except (ConfigError, DataError, CheckpointError, RunError) as error:
        return _told(name, str(error), UNUSABLE, everywhere=getattr(error, "everywhere", False))
    except Exception as error:
        if not hasattr(error, "format_message"):  # what typer's own usage errors have in common
            raise
        return _told(name, error.format_message(), UNUSABLE)


def _told(name: str, problem: str, status: int, everywhere: bool = False) -> int:
    """Tell a problem in a line; of those that all processes have, one of each machine does."""
    line = "; ".join(line.strip() for line in problem.splitlines())
    if not everywhere:
        print(f"{name}: {speaker()}{line}", file=sys.stderr)
    elif speaks():
        print(f"{name}: {line}", file=sys.stderr)
    return status


def _resumed(word: str, overrides: Sequence[str]) -> tuple[Config, Path]:
    """The configuration and the folder of the run to go on with."""
    chosen = [override.partition("=")[2] for override in overrides if override.startswith("runs.folder=")]
    path = find_run(word, Path(chosen[-1]) if chosen else RUNS)
    if not (path / CONFIG).is_file():
        raise ConfigError(f"{path}: is a checkpoint; a run is resumed from its latest one: give the run's folder")
    return load(path / CONFIG, overrides), path


def _fraction(text: str) -> tuple[int, int]:
    part, slash, of = text.partition("/")
    if not slash or not part.isdecimal() or not of.isdecimal() or int(part) >= int(of):
        raise ConfigError(f"--shard {text!r}: expected I/N with I from 0 to N - 1, such as 0/4")
    return int(part), int(of)


def _checkpoint(path: Path, which: str, implementation: Callable[[], Implementation]) -> Checkpoint:
    """A run's checkpoint: ``latest``, ``best``, or that of a step."""
    if (path / checkpoints.MANIFEST).is_file():
        return checkpoints.load(path, framework=implementation().framework)
    folder = path / CHECKPOINTS
    stored = checkpoints.stored(folder)
    named = {"latest": checkpoints.latest(folder), "best": checkpoints.best(folder)}
    found = named.get(which) or stored.get(int(which) if which.isdecimal() else -1)
    if found is None:
        steps = ", ".join(map(str, stored)) or "none yet"
        raise ConfigError(f"{path}: no checkpoint {which!r}: expected latest, best or a step; there are {steps}")
    return checkpoints.load(found, framework=implementation().framework)
