"""Files of generated samples: images, a grid, wavs with spectrograms, arrays."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from shared_impl import files
from shared_impl.config.presets import ConfigError
from shared_impl.data.audio import write_wav
from shared_impl.sampling import pictures
from shared_impl.sampling.generation import Generator, Inputs, in_portions

Array = np.ndarray
Format = Literal["images", "grid", "wav", "npz"]


def write_samples(
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
    """Generate samples of ``N`` inputs, write each of ``formats``, and yield each file as it is finished.

    ``images``: a PNG a sample; ``grid``: all in one, with ``rows`` and no ``columns`` a row for each of these names;
    ``wav``: a clip a sample with its spectrogram beside it; ``npz``: the arrays ``latents``, ``labels`` ``[N]`` if
    there are any, ``images`` ``[N, H, W, C]`` in [-1, 1] and, for audio, ``clips`` ``[N, T]``. ``iterations`` and
    ``inverse`` are those of Griffin-Lim. Raises ConfigError for ``wav`` of a system that makes images and for a folder
    that cannot be written to; OSError or SoundFileError if the disk is full later on (see :func:`unwritable`).
    """
    audio = generator.config.model.medium == "audio"
    if "wav" in formats and not audio:
        raise ConfigError(
            f"format wav: {generator.config.model.system} makes images, not sound; use images, grid or npz"
        )
    _validate_folder(folder)
    images = in_portions(generator.images, *inputs)
    upright = np.rot90(images, axes=(1, 2)) if audio else images  # time to the right, pitch upwards
    clips, rate, (frame, hop, _) = np.empty((0, 0)), generator.config.data.sample_rate, generator.config.model.framing
    if audio and {"wav", "npz"} & set(formats):
        clips = in_portions(lambda portion: generator.clips(portion, iterations, inverse), images)
    if "images" in formats:
        for name, picture in zip(names, upright, strict=True):
            yield _write_png(folder / f"{name}.png", pictures.to_uint8(picture))
    if "grid" in formats:
        picture = pictures.labelled_grid(upright, rows) if rows and not columns else pictures.grid(upright, columns)
        yield _write_png(folder / "grid.png", picture)
    if "wav" in formats:
        for name, clip in zip(names, clips, strict=True):
            with files.replacing(folder / f"{name}.wav") as draft:
                write_wav(draft, clip, rate)
            yield folder / f"{name}.wav"
            yield _write_png(folder / f"{name}.spectrogram.png", pictures.spectrogram(clip, rate, frame, hop))
    if "npz" in formats:
        with files.replacing(folder / "samples.npz") as draft:
            arrays = dict(zip(("latents", "labels"), inputs, strict=False))
            np.savez(draft, allow_pickle=False, **arrays, images=images, **({"clips": clips} if audio else {}))
        yield folder / "samples.npz"


def _validate_folder(folder: Path) -> None:
    """ConfigError, before the work, if samples cannot be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(folder, error) from error


def unwritable(folder: Path, error: Exception) -> ConfigError:
    """The one line about samples that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return ConfigError(f"{folder}: cannot be written: {reason}; name a folder where you may write with --out")


def _write_png(path: Path, picture: Array) -> Path:
    pictures.save_png(path, picture)
    return path
