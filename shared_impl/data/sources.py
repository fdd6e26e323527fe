"""``open_source``: the source that ``data.source`` names. A new kind of source is added here and in config/data.py.

The modules of the sources are imported when needed, since each brings a decoder of its own.
"""

from __future__ import annotations

from os.path import expanduser  # leaves ~nobody as it is
from pathlib import Path

from shared_impl.config.data import DataConfig
from shared_impl.config.systems import ModelConfig
from shared_impl.data.classes import validate_classes
from shared_impl.data.file_index import in_folder, in_table
from shared_impl.data.source_interface import Source


def open_source(data: DataConfig, model: ModelConfig) -> Source:
    """The source that ``data.source`` names, giving what ``model`` learns from.

    Raises DataError if it is missing, holds nothing usable or (with ``data.strict``) anything unusable, or if its
    classes are not those of a conditional model.
    """
    word, _, place = data.source.partition(":")
    source = (_open_audio if model.medium == "audio" else _open_images)(word, place, data, model)
    if model.labels:
        validate_classes(source, model.labels)
    return source


def _open_images(word: str, place: str, data: DataConfig, model: ModelConfig) -> Source:
    from shared_impl.data.image_sources import Digits, ImageFiles, Squares, suffixes

    squares = Squares(model.side, model.nc, data.resize)
    if word == "tfds":
        from shared_impl.data.tfds_sources import TfdsImages

        return TfdsImages(place, data, squares)
    if word == "digits":
        return Digits(data, squares)
    path = Path(expanduser(place))
    index = in_table(path, data.label_columns) if word == "csv" else in_folder(path, suffixes())
    return ImageFiles(data, squares, index)


def _open_audio(word: str, place: str, data: DataConfig, model: ModelConfig) -> Source:
    if word == "tfds":
        from shared_impl.data.tfds_sources import TfdsAudio

        return TfdsAudio(place, data, model.framing.samples)
    from shared_impl.data.audio_sources import SUFFIXES, AudioFiles

    path = Path(expanduser(place))
    if word == "drums":
        from shared_impl.data import drums

        path = drums.folder(path if place else None)
    index = in_table(path, data.label_columns) if word == "csv" else in_folder(path, SUFFIXES)
    return AudioFiles(data, index, model.framing.samples)
