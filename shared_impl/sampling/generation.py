"""Inputs of a trained generator (latents, classes) chosen on the command line, and the samples it makes of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from shared_impl.config.presets import ConfigError
from shared_impl.config.schema import Config
from shared_impl.data.classes import listed
from shared_impl.draws import Draws
from shared_impl.sampling import pictures

Array = np.ndarray
Inputs = tuple[Array, ...]  # latents [B, nz]; of a conditional generator also class numbers int64 [B]
PORTION = 64  # samples made at once
SPAN = re.compile(r"([0-9]+)(?:-([0-9]+))?")
MOST = 100_000  # samples that one command makes
LAST_SEED = 2**63 - 1


class Generator(Protocol):
    """The sampler of either implementation (tf_impl/generate.py, torch_impl/generate.py)."""

    config: Config

    def images(self, z: Array, labels: Array | None = None) -> Array:
        """Images ``[B, H, W, C]`` in [-1, 1] from latents ``[B, nz]`` and, if conditional, labels ``[B]``."""

    def clips(self, images: Array, iterations: int, inverse: str) -> Array:
        """Waveforms ``[B, T]`` of spectrograms ``[B, H, W, 1]``."""


def parse_seeds(text: str) -> list[int]:
    """``0-9,12`` as numbers up to LAST_SEED, MOST of them, in that order; ConfigError for anything else."""
    numbers: list[int] = []
    for part in text.split(","):
        match = SPAN.fullmatch(part.strip())
        first, last = (_seed(match[1]), _seed(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise ConfigError(f"seeds {_shown(text)}: got {_shown(part)}, expected numbers and spans such as 0-9,12")
        if last > LAST_SEED:
            raise ConfigError(f"seeds {_shown(text)}: the largest seed is {LAST_SEED}")
        if len(numbers) + last - first >= MOST:
            raise ConfigError(f"seeds {_shown(text)}: more than {MOST:,}: generate them in several commands")
        numbers += range(first, last + 1)
    return numbers


def validate_count(count: int, what: str) -> None:
    """ConfigError if one command cannot make so many samples."""
    if count > MOST:
        raise ConfigError(f"{what}: {count:,} samples; one command makes {MOST:,} at most")


def _seed(digits: str) -> int:
    """The number; beyond all seeds if it has too many digits, of which Python reads 4,300."""
    return int(digits) if len(digits) <= len(str(LAST_SEED)) else LAST_SEED + 1


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def latents(config: Config, seeds: Sequence[int]) -> Array:
    """A latent for each seed, ``[N, nz]``; the same seed is the same latent in every run of that size."""
    kind, shape = config.training.latents, (1, config.model.nz)
    return np.concatenate([Draws(seed).latents(kind, "generate", shape) for seed in seeds])


def interpolate_latents(config: Config, seeds: Sequence[int], count: int) -> Array:
    """``count`` latents from each seed's to the next one's, both ends included: ``[(N - 1) count, nz]``.

    Normal latents are interpolated along the sphere (White 2016, arXiv:1609.04468), uniform ones along the line.
    Raises ConfigError for fewer than two seeds or two latents.
    """
    if len(seeds) < 2 or count < 2:
        raise ConfigError(
            f"interpolation: got {len(seeds)} seeds and {count} images a leg, expected two or more of each"
        )
    validate_count((len(seeds) - 1) * count, f"interpolation between {len(seeds)} seeds, {count} images a leg")
    ends = latents(config, seeds)
    step = _along_sphere if config.training.latents == "normal" else _along_line
    shares = np.linspace(0, 1, count)
    return np.concatenate(
        [np.stack([step(a, b, share) for share in shares]) for a, b in zip(ends, ends[1:], strict=False)]
    )


def parse_classes(text: str, names: Sequence[str]) -> list[int]:
    """``cat,dog``, ``0,2`` or ``all`` as class numbers, each once, in that order; ConfigError for unknown classes.

    Where a class is named like a number, the name counts.
    """
    words = [part.strip() for part in text.split(",")]
    if words == ["all"] and "all" not in names:
        return list(range(len(names)))
    numbers = {str(number): number for number in range(len(names))} | {name: i for i, name in enumerate(names)}
    for word in words:
        if word not in numbers:
            raise ConfigError(
                f"classes {text!r}: got {word!r}, expected all, or names or numbers (0 to {len(names) - 1}) of the "
                f"{len(names)} classes {listed(names)}"
            )
    return list(dict.fromkeys(numbers[word] for word in words))


def every_class(z: Array, classes: Sequence[int]) -> Inputs:
    """The same latents ``[N, nz]`` for each class, one class after another."""
    return np.tile(z, (len(classes), 1)), np.repeat(np.asarray(classes, np.int64), len(z))


def classes_in_turn(config: Config, z: Array) -> Inputs:
    """Latents ``[N, nz]`` and, for a conditional system, its classes in turn."""
    return (z, np.arange(len(z), dtype=np.int64) % config.model.labels) if config.model.labels else (z,)


def fixed_inputs(config: Config, count: int) -> Inputs:
    """The ``count`` inputs of a run's sample grids, the same at every step.

    For a conditional system: the same latents for each class, about ``count`` in all, at least one a class.
    """
    model = config.model
    each = max(1, count // model.labels) if model.labels else count
    z = Draws(config.training.seed).latents(config.training.latents, "samples", (each, model.nz))
    return every_class(z, range(model.labels)) if model.labels else (z,)


def file_names(names: Sequence[str]) -> list[str]:
    """Class names as parts of file names; with their numbers if they would not differ otherwise."""
    words = [re.sub(r"[^\w.-]+", "-", name) for name in names]
    distinct = len({word.casefold() for word in words}) == len(words)
    return words if distinct else [f"{number}-{word}" for number, word in enumerate(words)]


def generate_samples(generator: Generator, *inputs: Array) -> Array:
    """Samples of ``N`` inputs in the form of the data: uint8 ``[N, H, W, C]``, or clips float32 ``[N, T]``."""
    images = in_portions(generator.images, *inputs)
    if generator.config.model.medium == "image":
        return pictures.to_uint8(images)
    return in_portions(lambda portion: generator.clips(portion, 16, "original"), images)


def in_portions(make: Callable[..., Array], *values: Array) -> Array:
    """``make`` applied to PORTION rows of ``values`` at a time, so that memory stays bounded."""
    starts = range(0, len(values[0]), PORTION)
    return np.concatenate([make(*(part[start : start + PORTION] for part in values)) for start in starts])


def _along_line(a: Array, b: Array, share: float) -> Array:
    return (1 - share) * a + share * b


def _along_sphere(a: Array, b: Array, share: float) -> Array:
    angle = np.arccos(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))
    return (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)
