"""SC09, the ten spoken digits of Speech Commands v0.02, as a builder of TensorFlow Datasets.

Donahue et al. 2019 (arXiv:1802.04208), section 4, chose it; Warden 2018 (arXiv:1804.03209) published the archive, whose
own lists say which recordings are for validation and testing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import soundfile
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import UrlInfo

ARCHIVE = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
SIZE, CHECKSUM = 2428923189, "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"  # as TFDS knows it
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}  # what neither names is for training
RATE = 16000  # Hz


class Sc09(tfds.core.GeneratorBasedBuilder):
    """One-second clips of spoken digits; class ``k`` is the digit ``k``."""

    VERSION = tfds.core.Version("1.0.0")
    url_infos = {ARCHIVE: UrlInfo(size=SIZE, checksum=CHECKSUM, filename=ARCHIVE.rpartition("/")[2])}

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "audio": tfds.features.Audio(sample_rate=RATE, dtype=np.int16),
                    "label": tfds.features.ClassLabel(names=DIGITS),
                }
            ),
            homepage="https://arxiv.org/abs/1804.03209",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        archive = dl_manager.download(ARCHIVE)
        lists = {
            name: set(file.read().decode().split())
            for path, file in dl_manager.iter_archive(archive)
            for name, file_name in LISTS.items()
            if path.removeprefix("./") == file_name
        }
        return {
            split: self._generate_examples(dl_manager.iter_archive(archive), split, lists)
            for split in ("train", *LISTS)
        }

    def _generate_examples(
        self, archive: Any, split: str, lists: dict[str, set[str]]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for path, file in archive:
            name = path.removeprefix("./")
            word = name.partition("/")[0]
            if word in DIGITS and split == next((key for key, names in lists.items() if name in names), "train"):
                samples, _ = soundfile.read(io.BytesIO(file.read()), dtype="int16")
                yield name, {"audio": samples, "label": word}
