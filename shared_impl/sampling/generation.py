"""Samples of a trained generator: which latents, of which classes, what to write. Imports no framework."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from shared_impl import files
from shared_impl.config.presets import ConfigError
from shared_impl.config.schema import Config
from shared_impl.data.audio import write_wav
from shared_impl.data.classes import told
from shared_impl.draws import Draws
from shared_impl.sampling import pictures
from shared_impl.storage.checkpoints import Checkpoint, CheckpointError

Array = np.ndarray
Inputs = tuple[Array, ...]  # of a generator: latents [B, nz]; of one that is told classes, their numbers int64 [B] too
Format = Literal["images", "grid", "wav", "npz"]
MEAN, STD = "moments/mean", "moments/std"
CLASSES = "classes"  # of a manifest: their names
PORTION = 64  # samples made at once
SPAN = re.compile(r"(\d+)(?:-(\d+))?")


class Generator(Protocol):
    """An implementation's Sampler."""

    config: Config

    def images(self, z: Array, labels: Array | None = None) -> Array:
        """Images ``[B, H, W, C]`` in [-1, 1] from latents ``[B, nz]`` and, if it is told classes, labels ``[B]``."""

    def clips(self, images: Array, iterations: int, inverse: str) -> Array:
        """Waveforms ``[B, T]`` of spectrograms ``[B, H, W, 1]``."""


def parse_seeds(text: str) -> list[int]:
    """``0-9,12`` as numbers, in that order; ConfigError for anything else."""
    numbers: list[int] = []
    for part in text.split(","):
        match = SPAN.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise ConfigError(f"seeds {text!r}: got {part!r}, expected numbers and spans such as 0-9,12")
        numbers += range(first, last + 1)
    return numbers


def latents(config: Config, seeds: Sequence[int]) -> Array:
    """A latent for each seed, ``[N, nz]``; the same seed is the same latent in every run of that size."""
    kind, shape = config.training.latents, (1, config.model.nz)
    return np.concatenate([Draws(seed).latents(kind, "generate", shape) for seed in seeds])


def between(config: Config, seeds: Sequence[int], count: int) -> Array:
    """``count`` latents on the way from each seed's to the next one's, ends included, ``[(N - 1) count, nz]``.

    Normal latents go along the sphere (White 2016, arXiv:1609.04468), uniform ones along the line.
    """
    if len(seeds) < 2 or count < 2:
        raise ConfigError(
            f"interpolation: got {len(seeds)} seeds and {count} images a leg, expected two or more of each"
        )
    ends = latents(config, seeds)
    step = _along_sphere if config.training.latents == "normal" else _along_line
    shares = np.linspace(0, 1, count)
    return np.concatenate(
        [np.stack([step(a, b, share) for share in shares]) for a, b in zip(ends, ends[1:], strict=False)]
    )


def parse_classes(text: str, names: Sequence[str]) -> list[int]:
    """``cat,dog``, ``0,2`` or ``all`` as numbers, each once, in that order, a name before a number; ConfigError for
    others.
    """
    words = [part.strip() for part in text.split(",")]
    if words == ["all"] and "all" not in names:
        return list(range(len(names)))
    numbers = {str(number): number for number in range(len(names))} | {name: i for i, name in enumerate(names)}
    for word in words:
        if word not in numbers:
            raise ConfigError(
                f"classes {text!r}: got {word!r}, expected all, or names or numbers (0 to {len(names) - 1}) of the "
                f"{len(names)} classes {told(names)}"
            )
    return list(dict.fromkeys(numbers[word] for word in words))


def each_class(z: Array, classes: Sequence[int]) -> Inputs:
    """Every latent for every class: one class after another, each with the same latents ``[N, nz]``."""
    return np.tile(z, (len(classes), 1)), np.repeat(np.asarray(classes, np.int64), len(z))


def in_turn(config: Config, z: Array) -> Inputs:
    """Latents ``[N, nz]`` and, for a system that is told classes, all of them in turn."""
    return (z, np.arange(len(z), dtype=np.int64) % config.model.labels) if config.model.labels else (z,)


def fixed(config: Config, count: int) -> Inputs:
    """What shows how a run goes along: ``count`` latents that stay the same.

    Of a system that is told classes: for each class a row of the same latents, about ``count`` in all, one at least.
    """
    model = config.model
    each = max(1, count // model.labels) if model.labels else count
    z = Draws(config.training.seed).latents(config.training.latents, "samples", (each, model.nz))
    return each_class(z, range(model.labels)) if model.labels else (z,)


def file_words(names: Sequence[str]) -> list[str]:
    """Names of classes as parts of file names; with their numbers if they would not differ otherwise."""
    words = [re.sub(r"[^\w.-]+", "-", name) for name in names]
    distinct = len({word.casefold() for word in words}) == len(words)
    return words if distinct else [f"{number}-{word}" for number, word in enumerate(words)]


def class_names(checkpoint: Checkpoint, config: Config) -> list[str]:
    """The classes that a generator was told, as the data named them, or by their numbers; none for other systems."""
    names = checkpoint.manifest.get(CLASSES) or []
    return names if len(names) == config.model.labels else list(map(str, range(config.model.labels)))


def weights_in(checkpoint: Checkpoint) -> dict[str, Array]:
    """The generator's arrays in a training state, of the moving average if there is one, without their scope."""
    for scope in ("ema/", "generator/"):
        found = {n.removeprefix(scope): array for n, array in checkpoint.arrays.items() if n.startswith(scope)}
        if found:
            return found
    raise CheckpointError(f"{checkpoint.path}: holds no generator")


def moments_in(checkpoint: Checkpoint) -> tuple[Array, Array]:
    """Mean and standard deviation per bin of the spectrograms that a training state learnt from; empty for images."""
    return checkpoint.arrays.get(MEAN, np.empty(0)), checkpoint.arrays.get(STD, np.empty(0))


def generated(generator: Generator, *inputs: Array) -> Array:
    """Samples of ``N`` inputs in the form of the data: uint8 ``[N, H, W, C]``, or clips float32 ``[N, T]``."""
    images = _in_portions(generator.images, *inputs)
    if generator.config.model.medium == "image":
        return pictures.to_uint8(images)
    return _in_portions(lambda portion: generator.clips(portion, 16, "original"), images)


def write(
    generator: Generator,
    inputs: Inputs,
    names: Sequence[str],
    folder: Path,
    formats: Sequence[Format],
    columns: int | None = None,
    iterations: int = 16,
    inverse: str = "original",
    rows: Sequence[str] = (),
) -> Iterator[Path]:
    """Generate from ``N`` inputs and write each format asked for; the files, as they are finished.

    ``images``: a PNG a sample; ``grid``: all in one, with ``rows`` and no ``columns`` a row for each of these names;
    ``wav``: a clip a sample with its spectrogram beside it; ``npz``: the arrays ``latents``, ``labels`` ``[N]`` if
    there are any, ``images`` ``[N, H, W, C]`` in [-1, 1] and, for audio, ``clips`` ``[N, T]``.
    """
    audio = generator.config.model.medium == "audio"
    if "wav" in formats and not audio:
        raise ConfigError(
            f"format wav: {generator.config.model.system} makes images, not sound; use images, grid or npz"
        )
    images = _in_portions(generator.images, *inputs)
    folder.mkdir(parents=True, exist_ok=True)
    shown = np.rot90(images, axes=(1, 2)) if audio else images  # time to the right, pitch upwards
    clips, rate, (frame, hop, _) = np.empty((0, 0)), generator.config.data.sample_rate, generator.config.model.framing
    if audio and {"wav", "npz"} & set(formats):
        clips = _in_portions(lambda portion: generator.clips(portion, iterations, inverse), images)
    if "images" in formats:
        for name, picture in zip(names, shown, strict=True):
            yield _png(folder / f"{name}.png", pictures.to_uint8(picture))
    if "grid" in formats:
        picture = pictures.labelled_grid(shown, rows) if rows and not columns else pictures.grid(shown, columns)
        yield _png(folder / "grid.png", picture)
    if "wav" in formats:
        for name, clip in zip(names, clips, strict=True):
            with files.replacing(folder / f"{name}.wav") as draft:
                write_wav(draft, clip, rate)
            yield folder / f"{name}.wav"
            yield _png(folder / f"{name}.spectrogram.png", pictures.spectrogram(clip, rate, frame, hop))
    if "npz" in formats:
        with files.replacing(folder / "samples.npz") as draft:
            given = dict(zip(("latents", "labels"), inputs, strict=False))
            np.savez(draft, allow_pickle=False, **given, images=images, **({"clips": clips} if audio else {}))
        yield folder / "samples.npz"


def _in_portions(make: Callable[..., Array], *values: Array) -> Array:
    starts = range(0, len(values[0]), PORTION)
    return np.concatenate([make(*(part[start : start + PORTION] for part in values)) for start in starts])


def _png(path: Path, picture: Array) -> Path:
    pictures.save_png(path, picture)
    return path


def _along_line(a: Array, b: Array, share: float) -> Array:
    return (1 - share) * a + share * b


def _along_sphere(a: Array, b: Array, share: float) -> Array:
    angle = np.arccos(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))
    return (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)
