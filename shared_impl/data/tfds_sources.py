"""TensorFlow Datasets, read record by record through ``as_data_source``; TensorFlow itself only prepares them.

``speech_commands`` stands for SC09, its ten spoken digits: the published builder files those, without their names,
under ``_unknown_``, so :mod:`shared_impl.data.sc09` prepares them from the same archive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from itertools import product
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import soxr
from PIL import Image

from shared_impl.config.data import DataConfig
from shared_impl.data.audio import SLICE, Slicing, normalised
from shared_impl.data.audio_sources import Slices, resampled, too_short
from shared_impl.data.errors import BrokenFile, DataError
from shared_impl.data.file_index import UNLABELLED
from shared_impl.data.image_sources import Squares
from shared_impl.data.source_interface import Source, fingerprint

SPLIT = "train"
FORMAT = "array_record"  # the one that can be read in any order


class Column(NamedTuple):
    """A feature that gives classes: its path in a record, and the names of its values 0, 1, ..."""

    path: tuple[str, ...]
    names: list[str]


class Records:
    """The records of one prepared set. Pickled without its open files: a worker process opens them again."""

    def __init__(self, name: str, feature: str, columns: Sequence[str]) -> None:
        builder = _prepared(name)
        features = dict(builder.info.features.items())
        if feature not in features:
            raise DataError(f"tfds:{name}: has no feature {feature!r}, but {', '.join(sorted(features))}")
        self.about = features[feature]
        self._columns = _columns(features, columns, f"tfds:{name}")
        self._records = _opened(builder)
        self._feature, self._folder = feature, str(builder.data_dir)
        self.full_name: str = builder.info.full_name
        self.labels = ["/".join(names) for names in product(*(c.names for c in self._columns))] if self._columns else []

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """The array of record ``index`` and the number of its class."""
        record = self._records[index]
        return np.asarray(record[self._feature]), self._class(record)

    def classes(self) -> list[int]:
        """The class of every record, without decoding images or sound."""
        if not self._columns:
            return [UNLABELLED] * len(self)
        import tensorflow_datasets as tfds

        builder = tfds.builder_from_directory(self._folder)
        records = builder.as_data_source(split=SPLIT, decoders={self._feature: tfds.decode.SkipDecoding()})
        return [self._class(records[index]) for index in range(len(records))]

    def _class(self, record: Mapping[str, Any]) -> int:
        label = 0 if self._columns else UNLABELLED
        for path, names in self._columns:
            value: Any = record
            for key in path:
                value = value[key]
            if int(value) < 0:  # how TensorFlow Datasets marks what is unlabelled
                return UNLABELLED
            label = label * len(names) + int(value)
        return label

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key not in ("_records", "about")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        import tensorflow_datasets

        vars(self).update(state)
        self._records = _opened(tensorflow_datasets.builder_from_directory(self._folder))


class TfdsImages(Source):
    """The ``image`` of every record."""

    kind: ClassVar[Literal["image"]] = "image"

    def __init__(self, name: str, data: DataConfig, squares: Squares) -> None:
        self._records = Records(name, "image", data.label_columns)
        super().__init__(data, self._records.labels)
        self._squares = squares
        about = [self._records.full_name, SPLIT, len(self)]
        self.fingerprint = fingerprint(self.kind, squares.settings(), self.labels, about)

    def __len__(self) -> int:
        return len(self._records)

    def place(self, index: int) -> str:
        """The record's number."""
        return f"{self.name}[{index}]"

    def read(self, index: int, share: float) -> tuple[np.ndarray, int]:
        """The image and its class; ``share`` is not used."""
        pixels, label = self._records[index]
        return self._squares(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)), label

    def read_classes(self) -> Iterable[int]:
        """The records' classes."""
        return self._records.classes()


class TfdsAudio(Source):
    """Slices of the ``audio`` of every record, of ``length`` samples each.

    Unless ``data.first_slice`` is set, all records are read once for their lengths.
    """

    kind: ClassVar[Literal["audio"]] = "audio"

    def __init__(self, name: str, data: DataConfig, length: int = SLICE) -> None:
        self._records = Records(name, "audio", data.label_columns)
        super().__init__(data, self._records.labels)
        self._rate, slicing = data.sample_rate, Slicing.of(data, length)
        self._native = self._records.about.sample_rate or self._rate
        lengths = [slicing.length if slicing.first else self._length(i) for i in range(len(self._records))]
        for index, length in enumerate(lengths):
            if not slicing.count(length):
                self.skip(BrokenFile(f"{self.name}[{index}]", too_short(length, self._rate, slicing)))
        self._slices, self.random = Slices(slicing, lengths), slicing.offset
        if not len(self):
            raise DataError(f"{self.name}: nothing usable: {self.summary()}")
        about = [self._records.full_name, SPLIT, len(self)]
        self.fingerprint = fingerprint(self.kind, self._rate, asdict(slicing), self.labels, about)
        self.notes += resampled(Counter({self._native: len(lengths) - len(self.skipped)}), self._rate)

    def __len__(self) -> int:
        return len(self._slices)

    def place(self, index: int) -> str:
        """The record's number."""
        return f"{self.name}[{self._slices.clip(index)}]"

    def read(self, index: int, share: float) -> tuple[np.ndarray, int]:
        """The slice and its record's class."""
        samples, label = self._records[self._slices.clip(index)]
        if not len(samples):
            raise BrokenFile(self.place(index), "holds no samples")
        clip = samples.astype(np.float32).reshape(len(samples), -1).mean(axis=1)
        if self._native != self._rate:
            clip = soxr.resample(clip, self._native, self._rate, quality="HQ")
        return self._slices.cut(index, normalised(clip, self.place(index)), share), label

    def read_classes(self) -> Iterable[int]:
        """The class of each slice's record."""
        classes = self._records.classes()
        return (classes[self._slices.clip(index)] for index in range(len(self)))

    def _length(self, index: int) -> int:
        return -(-len(self._records[index][0]) * self._rate // self._native)


def _prepared(name: str) -> Any:
    """The builder of a set, downloaded and prepared if need be."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(f"tfds:{name}: needs the packages tensorflow-datasets and array-record ({error})") from error
    try:
        if name == "speech_commands":
            from shared_impl.data.sc09 import Sc09

            builder = Sc09(file_format=FORMAT)
        else:
            builder = tfds.builder(name, file_format=FORMAT)
        builder.download_and_prepare()
    except tfds.core.DatasetNotFoundError as error:
        near = "".join(f", did you mean {other}?" for other in get_close_matches(name, tfds.list_builders(), n=1))
        raise DataError(f"tfds:{name}: TensorFlow Datasets knows no such set{near}") from error
    except Exception as error:  # of the network, of the disk, of every builder
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DataError(f"tfds:{name}: cannot be prepared ({reason})") from error
    return builder


def _opened(builder: Any) -> Any:
    return builder.as_data_source(split=SPLIT)


def _columns(features: Mapping[str, Any], wanted: Sequence[str], name: str) -> list[Column]:
    """The columns that ``data.label_columns`` names; if it is empty, ``label`` if there is one."""
    found = dict(_label_features(features))
    for column in wanted:
        if column not in found:
            near = "".join(f", did you mean {other}?" for other in get_close_matches(column, found, n=1))
            valid = ", ".join(sorted(found)) or "none"
            raise DataError(f"{name}: data.label_columns names {column!r}{near}; label columns: {valid}")
    return [found[column] for column in wanted or ["label"] if column in found]


def _label_features(features: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, Column]]:
    """Every feature with a known number of values (a class, a bool) by its own name, nested ones included."""
    for name, feature in features.items():
        here = (*path, name)
        if hasattr(feature, "items"):
            yield from _label_features(feature, here)
        elif getattr(feature, "num_classes", None):
            yield name, Column(here, list(feature.names))
        elif feature.np_dtype == np.bool_ and not feature.shape:
            yield name, Column(here, [f"not {name}", name])
