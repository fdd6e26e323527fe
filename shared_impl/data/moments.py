"""Mean and variance of every frequency bin over a whole data set: streamed, merged over shards, kept in a file.

The rule of SpecGAN's original: population mean and deviation per bin, over all frames of all slices together
(``moments`` in train_specgan.py of github.com/chrisdonahue/wavegan at 40e85e8). Sums are float64 and join as in Chan,
Golub and LeVeque 1983 (The American Statistician 37, equation 2.1), so that neither the order nor the size of the
portions matters beyond rounding.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from shared_impl.config.differences import differences
from shared_impl.data.errors import DataError
from shared_impl.files import replacing

Array = np.ndarray

# A bin whose deviation is within the float32 rounding of its mean does not vary: see Moments.std.
RESOLUTION = float(np.finfo(np.float32).eps)
FORMAT = "parity-moments/1"
# Everything that json and NumPy are known to raise on truncated, overwritten or foreign files.
DAMAGE = (OSError, ValueError, EOFError, KeyError, TypeError, MemoryError, NotImplementedError, SyntaxError) + (
    zipfile.BadZipFile,
    zlib.error,
)


class MomentsError(DataError):
    """Moments that cannot be measured, joined, written or read, or that belong to something else."""


class Shards(NamedTuple):
    """Which shards of a data set have been counted, and how many there are."""

    counted: frozenset[int] = frozenset({0})
    total: int = 1

    def __str__(self) -> str:
        return f"{', '.join(map(str, sorted(self.counted)))} of {self.total}"


@dataclass(frozen=True, eq=False)
class Moments:
    """``mean`` and population ``variance`` per bin, ``[bins]`` float64, over ``count`` frames.

    ``settings``, plain JSON, identify what was measured: the source's fingerprint and all that shapes its spectrograms.
    """

    mean: Array
    variance: Array
    count: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    shards: Shards = Shards()

    @property
    def std(self) -> Array:
        """Standard deviation ``[bins]``, positive.

        It is 1 for a bin that never varies, as in pure silence: the bin is centred and not scaled, where dividing by 0
        or by mere rounding would make NaN or noise of it. (scikit-learn's StandardScaler decides likewise.)
        """
        std = np.sqrt(self.variance)
        return np.where(std > RESOLUTION * np.abs(self.mean), std, 1.0)


class Accumulator:
    """Accumulates log magnitudes portion by portion; they are those of shard ``shard`` of ``shards``."""

    def __init__(self, settings: Mapping[str, Any], shard: int = 0, shards: int = 1) -> None:
        if not 0 <= shard < shards:
            raise MomentsError(f"moments: shard is {shard}, expected 0 to {shards - 1}")
        self._settings = dict(settings)
        self._shards = Shards(frozenset({shard}), shards)
        self._moments: Moments | None = None

    @classmethod
    def of(cls, moments: Moments) -> Self:
        """An accumulator that continues from measured moments."""
        found = cls(moments.settings)
        found._moments, found._shards = moments, moments.shards
        return found

    def add(self, log_magnitudes: Array) -> None:
        """Count every frame of ``[..., bins]``; MomentsError for another number of bins and for NaN or infinity."""
        values = np.asarray(log_magnitudes, np.float64)
        if not np.isfinite(values).all():
            index = np.argwhere(~np.isfinite(values))[0].tolist()
            raise MomentsError(f"moments: a log magnitude is {values[tuple(index)]} at {index}; is the sound damaged?")
        frames = values.reshape(-1, values.shape[-1])
        if len(frames):
            self._join(frames.mean(0), frames.var(0), len(frames))

    def merge(self, other: Moments) -> None:
        """Add the moments of other shards; MomentsError if they overlap or were measured with other settings."""
        _validate_settings("moments to merge", other.settings, self._settings)
        if other.shards.total != self._shards.total or other.shards.counted & self._shards.counted:
            raise MomentsError(
                f"moments to merge: shards {other.shards}, joining {self._shards}; "
                "expected as many in all, and none of them twice"
            )
        self._shards = Shards(self._shards.counted | other.shards.counted, self._shards.total)
        self._join(other.mean, other.variance, other.count)

    def result(self) -> Moments:
        """The moments measured; MomentsError if there was no frame."""
        if self._moments is None:
            raise MomentsError("moments: not one frame was counted, expected at least one clip")
        return self._moments

    def _join(self, mean: Array, variance: Array, count: int) -> None:
        if (old := self._moments) is not None:
            if old.mean.shape != mean.shape:
                raise MomentsError(f"moments: got frames of {mean.size} bins after frames of {old.mean.size}")
            total = old.count + count
            apart, share = mean - old.mean, count / total
            variance = old.variance * (1 - share) + variance * share + np.square(apart) * share * (1 - share)
            mean, count = old.mean + apart * share, total
        self._moments = Moments(mean, variance, count, self._settings, self._shards)


def save(moments: Moments, path: Path) -> None:
    """Write an .npz file, whole or not at all; MomentsError if the disk refuses."""
    shards = sorted(moments.shards.counted), moments.shards.total
    if not path.name or path.exists() and not path.is_file():
        raise MomentsError(f"{path}: moments cannot be written: it is no file")
    about = {"format": FORMAT, "count": moments.count, "settings": dict(moments.settings), "shards": shards}
    try:
        with replacing(path) as draft, draft.open("wb") as file:
            np.savez(file, mean=moments.mean, variance=moments.variance, about=np.array(json.dumps(about)))
    except OSError as error:
        raise MomentsError(f"{path}: moments cannot be written: {error.strerror or error}") from error


def load(path: Path, expected: Mapping[str, Any], partial: bool = False) -> Moments:
    """Read what :func:`save` wrote.

    Raises MomentsError where the file is missing, damaged or not of this kind, where its settings are not the
    ``expected`` ones (each differing field is named), and where shards are missing unless ``partial`` allows it.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            mean, variance = (np.asarray(archive[name], np.float64) for name in ("mean", "variance"))
            about = json.loads(str(archive["about"]))
        counted, total = about["shards"]
        moments = Moments(
            mean, variance, int(about["count"]), dict(about["settings"]), Shards(frozenset(counted), total)
        )
        if about["format"] != FORMAT:
            raise ValueError(f"format is {about['format']!r}, expected {FORMAT!r}")
        if (
            mean.ndim != 1
            or variance.shape != mean.shape
            or not np.isfinite(mean).all()
            or not _valid_variances(variance)
        ):
            raise ValueError("expected a mean and a variance per bin, finite, no variance negative")
        if moments.count < 1 or not moments.shards.counted or not moments.shards.counted <= set(range(total)):
            raise ValueError(f"{moments.count} frames of shards {moments.shards}")
    except FileNotFoundError as error:
        raise MomentsError(f"{path}: no such file; the moments command writes it") from error
    except DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MomentsError(f"{path}: cannot be read as moments: {reason}; run the moments command again") from error
    _validate_settings(str(path), moments.settings, expected)
    if len(moments.shards.counted) < moments.shards.total and not partial:
        raise MomentsError(f"{path}: holds shards {moments.shards} alone; merge it with the others first")
    return moments


def _valid_variances(values: Array) -> bool:
    return bool((np.isfinite(values) & (values >= 0)).all())


def _validate_settings(where: str, got: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    found = differences(got, expected, free=())
    if found:
        named = "; ".join(map(str, found))
        raise MomentsError(f"{where}: measured with other settings ({named}); run the moments command with these")
