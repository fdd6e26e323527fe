"""Sound files as slices. Headers tell how many there are; a file is decoded when one of its slices is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from shared_impl.config.data import DataConfig
from shared_impl.data.audio import CACHE, FOREIGN, NATIVE, SLICE, DecodedFiles, Header, Slicing, fitted, probe
from shared_impl.data.errors import BrokenFile
from shared_impl.data.file_index import FileIndex
from shared_impl.data.source_interface import Source, fingerprint

SUFFIXES = NATIVE + FOREIGN


class Slices:
    """Slices of many clips, numbered through: clip after clip, from ``lengths`` in samples."""

    def __init__(self, slicing: Slicing, lengths: list[int]) -> None:
        self._slicing, self._lengths = slicing, lengths
        self._ends = np.cumsum([slicing.count(length) for length in lengths])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def clip(self, index: int) -> int:
        """The clip that slice ``index`` belongs to."""
        return int(np.searchsorted(self._ends, index, side="right"))

    def cut(self, index: int, samples: np.ndarray, share: float) -> np.ndarray:
        """Slice ``index`` out of its clip's ``samples``, its random offset at ``share`` in [0, 1)."""
        number = self.clip(index)
        before = int(self._ends[number - 1]) if number else 0
        start = self._slicing.start(self._lengths[number], index - before, share)
        return fitted(samples[start:], self._slicing.length)


class AudioFiles(Source):
    """Slices of sound files, of ``length`` samples each.

    A file that is no sound or too short is skipped at once, a damaged one when it is read.
    """

    kind: ClassVar[Literal["audio"]] = "audio"

    def __init__(self, data: DataConfig, index: FileIndex, length: int = SLICE) -> None:
        super().__init__(data, index.labels)
        slicing, rate = Slicing.of(data, length), data.sample_rate
        found = self.usable(index, lambda path: sliceable(path, slicing, rate))
        self._files = [file for file, _ in found]
        lengths = [header.samples(rate) for _, header in found]
        self._slices, self.random = Slices(slicing, lengths), slicing.offset
        self._decoded = DecodedFiles(rate, CACHE // max(1, data.workers))
        about = [[file.name, file.label, *header] for file, header in found]
        self.fingerprint = fingerprint(self.kind, rate, asdict(slicing), self.labels, about)
        self.notes += (
            index.notes + resampled(Counter(header.rate for _, header in found), rate) + unwieldy(lengths, rate)
        )

    def __len__(self) -> int:
        return len(self._slices)

    def place(self, index: int) -> str:
        """The file's path."""
        return str(self._files[self._slices.clip(index)].path)

    def read(self, index: int, share: float) -> tuple[np.ndarray, int]:
        """The slice and its file's class."""
        file = self._files[self._slices.clip(index)]
        return self._slices.cut(index, self._decoded[file.path], share), file.label

    def read_classes(self) -> Iterable[int]:
        """The class of each slice's file."""
        return (self._files[self._slices.clip(index)].label for index in range(len(self)))


def sliceable(path: Path, slicing: Slicing, rate: int) -> Header:
    """The header of a file that gives a slice at least. Raises BrokenFile for any other."""
    header = probe(path)
    if not slicing.count(header.samples(rate)):
        raise BrokenFile(str(path), too_short(header.samples(rate), rate, slicing))
    return header


def too_short(samples: int, rate: int, slicing: Slicing) -> str:
    """Why a clip gives no slice, and how to use it all the same."""
    return f"is too short: {samples} of {slicing.length} samples at {rate} Hz (data.pad_end=true pads it)"


def unwieldy(lengths: list[int], rate: int) -> list[str]:
    """A note for the user on long files of which too few fit the memory kept for them."""
    hours, minutes = sum(lengths) / rate / 3600, sum(lengths) / len(lengths) / rate / 60
    kept = CACHE / 4 / rate / 3600
    if hours <= kept or minutes <= 1:
        return []
    return [
        f"{hours:.1f} hours of sound, of which {kept:.1f} are kept in memory: files of {minutes:.0f} minutes are "
        "decoded again and again; cut into pieces of a minute or less they are read faster"
    ]


def resampled(rates: Counter[int], rate: int) -> list[str]:
    """Notes for the user on files of other sample rates."""
    return [
        f"{count} files of {found} Hz are resampled to {rate} Hz"
        + f": they hold nothing above {found // 2} Hz" * (found < rate)
        for found, count in sorted(rates.items())
        if found != rate
    ]
