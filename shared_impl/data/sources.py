"""Data as random-access sources of NumPy arrays: ``open_source`` finds the one that a configuration names.

An example is ``{"x": array, "label": int64}``: uint8 ``[H, W, C]`` for a system that learns from images, float32
``[T]`` in [-1, 1], ``T`` of its framing, for one that learns from sound. Frameworks come later; nothing here knows of
them.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from shared_impl.config.data import DataConfig
from shared_impl.config.systems import ModelConfig
from shared_impl.data.classes import refuse_other_classes
from shared_impl.data.errors import BrokenFile, DataError
from shared_impl.data.file_index import File, FileIndex, in_folder, in_table

T = TypeVar("T")
Example = dict[str, Any]
NAMED = 3  # skipped files that an error or a summary names; the rest are counted


class Source(ABC):
    """Examples by number, in a fixed order.

    ``labels`` are the names of the classes, ``skipped`` the files that cannot be used so far, ``notes`` what a user may
    want to know, ``fingerprint`` changes with whatever the examples are made from.
    """

    kind: ClassVar[Literal["audio", "image"]]
    fingerprint: str  # sixteen hexadecimal digits
    random = False  # whether ``share`` plays a part in ``read``

    def __init__(self, data: DataConfig, labels: Sequence[str]) -> None:
        self.name, self.labels, self.notes = data.source, list(labels), list[str]()
        self._strict, self._unusable = data.strict, dict[str, str]()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def place(self, index: int) -> str:
        """The file or record that example ``index`` comes from."""

    @abstractmethod
    def read(self, index: int, share: float) -> tuple[np.ndarray, int]:
        """Example and class of ``index``, its random offset at ``share`` in [0, 1); BrokenFile if there is none."""

    @abstractmethod
    def read_classes(self) -> Iterable[int]:
        """The number of every example's class, in order; UNLABELLED where there is none. Nothing is decoded for it."""

    @cached_property
    def classes(self) -> np.ndarray:
        """The same, int64 ``[N]``, read once."""
        return np.fromiter(self.read_classes(), np.int64, len(self))

    def __getitem__(self, index: int) -> Example:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.name}: example {index} of {len(self)}")
        return self.example(index % len(self))[0]

    def example(self, index: int, share: float = 0.0) -> tuple[Example, int]:
        """Example ``index``, or the next whose file can be used, and how many were passed over.

        What stands in for a broken example thus depends on the data alone, not on order or workers. With
        ``data.strict`` the first broken one raises DataError.
        """
        for passed in range(len(self)):
            number = (index + passed) % len(self)
            if self.place(number) in self._unusable:
                continue
            try:
                x, label = self.read(number, share)
            except BrokenFile as error:
                self.skip(error)
            else:
                return {"x": x, "label": np.int64(label)}, passed
        raise DataError(f"{self.name}: nothing usable is left: {self.summary()}")

    def skip(self, error: BrokenFile) -> None:
        """Count a file that cannot be used; with ``data.strict``, raise."""
        if self._strict:
            raise DataError(f"{error} (data.strict=true: nothing is skipped)") from error
        self._unusable.setdefault(error.place, error.reason)

    def usable(self, listing: FileIndex, probe: Callable[[Path], T]) -> list[tuple[File, T]]:
        """What ``probe`` says of every file that it does not call broken. Raises DataError if none is left."""
        found = []
        for file in listing.files:
            try:
                found.append((file, probe(file.path)))
            except BrokenFile as error:
                self.skip(error)
        if not found:
            raise DataError(f"{self.name}: nothing usable: {self.summary()}")
        return found

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """Place and reason of every file left out, in the order found."""
        return list(self._unusable.items())

    def summary(self) -> str:
        """The skipped files in a line, the first few by name; empty if there are none."""
        return told(self.skipped)

    def __str__(self) -> str:
        what = {"image": "images", "audio": "clips"}[self.kind]
        return f"{self.name}: {len(self)} {what}" + f" in {len(self.labels)} classes" * bool(self.labels)


def open_source(data: DataConfig, model: ModelConfig) -> Source:
    """The source that ``data.source`` names, giving what ``model`` learns from.

    Raises DataError where it is missing, holds nothing usable, or (with ``data.strict``) anything unusable, and where
    its classes are not those that the networks are told.
    """
    source = _opened(data, model)
    if model.labels:
        refuse_other_classes(source, model.labels)
    return source


def _opened(data: DataConfig, model: ModelConfig) -> Source:
    word, _, place = data.source.partition(":")
    path = Path(place).expanduser()
    if model.medium == "audio":
        if word == "tfds":
            from shared_impl.data.tfds_sources import TfdsAudio

            return TfdsAudio(place, data, model.framing.samples)
        from shared_impl.data.audio_sources import SUFFIXES, AudioFiles

        if word == "drums":
            from shared_impl.data import drums

            path = drums.folder(path if place else None)
        listing = in_table(path, data.label_columns) if word == "csv" else in_folder(path, SUFFIXES)
        return AudioFiles(data, listing, model.framing.samples)
    from shared_impl.data.image_sources import Digits, ImageFiles, Squares, suffixes

    squares = Squares(model.side, model.nc, data.resize)
    if word == "tfds":
        from shared_impl.data.tfds_sources import TfdsImages

        return TfdsImages(place, data, squares)
    if word == "digits":
        return Digits(data, squares)
    listing = in_table(path, data.label_columns) if word == "csv" else in_folder(path, suffixes())
    return ImageFiles(data, squares, listing)


def told(skipped: Sequence[tuple[str, str]]) -> str:
    """A line about skipped files."""
    if not skipped:
        return ""
    named = "; ".join(f"{place}: {reason}" for place, reason in skipped[:NAMED])
    more = f"; and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
    return f"{len(skipped)} skipped ({named}{more})"


def fingerprint(*content: object) -> str:
    """Sixteen hexadecimal digits that stand for ``content`` (JSON or bytes)."""
    digest = hashlib.sha256()
    for part in content:
        digest.update(part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode())
    return digest.hexdigest()[:16]
