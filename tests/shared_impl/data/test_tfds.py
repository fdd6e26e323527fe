"""Sets of TensorFlow Datasets: builders made here, mocked ones, and SC09 from an archive like the published one."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow_datasets as tfds

from shared_impl.config.data import DataConfig
from shared_impl.config.systems import DCGANConfig, SpecGANConfig
from shared_impl.data import sc09
from shared_impl.data.errors import DataError
from shared_impl.data.source_interface import Source
from shared_impl.data.sources import open_source
from shared_impl.data.stream import Stream

IMAGES, SOUND = DCGANConfig(), SpecGANConfig()
ROOT = Path(__file__).resolve().parents[3]
CLIPS = {"long": 40000, "short": 9000, "none": 0}  # samples


def ramp(samples: int) -> np.ndarray:
    """A sound that rises all along."""
    return (np.arange(samples) // 2).astype(np.int16)


class TinyFaces(tfds.core.GeneratorBasedBuilder):
    """Twelve grey images, brighter by twenty each."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 1)),
            "label": tfds.features.ClassLabel(names=["even", "odd"]),
            "about": {
                "dark": np.bool_,
                "hair": tfds.features.ClassLabel(names=["none", "red", "blond"]),
                "age": np.int64,
            },
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number in range(12):
            about = {"dark": number < 6, "hair": number % 3, "age": number}
            pixels = np.full((20 + number, 40, 1), 20 * number, np.uint8)
            yield number, {"image": pixels, "label": number % 2, "about": about}


class TinyWords(tfds.core.GeneratorBasedBuilder):
    """Three ramps at 8 kHz, without classes."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict({"audio": tfds.features.Audio(sample_rate=8000, dtype=np.int16)})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for name, samples in CLIPS.items():
            yield name, {"audio": ramp(samples)}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """A folder of their own for prepared sets."""
    folder = tmp_path_factory.mktemp("tfds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(folder))
        yield folder


def opened(name: str, model=IMAGES, **options) -> Source:
    return open_source(DataConfig(source=f"tfds:{name}", **options), model)


def brightness(source: Source) -> list[int]:
    return [int(source[index]["x"][0, 0, 0]) // 20 for index in range(len(source))]


def test_images_of_a_prepared_set(home):
    source = opened("tiny_faces")
    assert str(source) == "tfds:tiny_faces: 12 images in 2 classes"
    assert (source[0]["x"].shape, source[0]["x"].dtype) == ((64, 64, 1), np.uint8)
    shown = brightness(source)
    assert sorted(shown) == list(range(12))
    assert [int(source[index]["label"]) for index in range(12)] == [number % 2 for number in shown]
    assert source.labels == ["even", "odd"]
    assert list(home.rglob("*.array_record*"))
    assert opened("tiny_faces", DCGANConfig(nc=3))[0]["x"].shape == (64, 64, 3)


def test_label_columns_are_found_at_any_depth():
    source = opened("tiny_faces", label_columns=["hair", "dark"])
    assert source.labels[:3] == ["none/not dark", "none/dark", "red/not dark"]
    for index, number in enumerate(brightness(source)):
        hair, dark = ["none", "red", "blond"][number % 3], "dark" if number < 6 else "not dark"
        assert source.labels[source[index]["label"]] == f"{hair}/{dark}"


def test_sound_of_a_prepared_set_is_that_of_files(tmp_path):
    options = {"pad_end": True, "random_offset": False}
    for name, samples in CLIPS.items():
        soundfile.write(tmp_path / f"{name}.wav", ramp(samples), 8000)
    files, source = (
        open_source(DataConfig(source=f"audio:{tmp_path}", **options), SOUND),
        opened("tiny_words", SOUND, **options),
    )
    assert (len(source), source.labels, int(source[0]["label"])) == (5 + 2, [], -1)  # of 80000 and of 18000 samples
    assert source.notes == ["2 files of 8000 Hz are resampled to 16000 Hz: they hold nothing above 4000 Hz"]
    assert files.notes == source.notes
    assert [reason for _, reason in source.skipped] == [
        "is too short: 0 of 16384 samples at 16000 Hz (data.pad_end=true pads it)"
    ]
    found, expected = (sorted(s[index]["x"].tolist() for index in range(7)) for s in (source, files))
    np.testing.assert_allclose(found, expected, atol=1e-6)  # soxr's float32 rounding at either scale


def test_first_slices_need_no_lengths():
    source = opened("tiny_words", SOUND, first_slice=True)
    assert len(source) == 3
    clips = [source[index]["x"] for index in range(3)]
    assert all(clip.shape == (16384,) and clip[16000] > 0 for clip in clips)
    assert [reason for _, reason in source.skipped] == ["holds no samples"]


def test_workers_open_the_set_themselves():
    source = opened("tiny_faces")
    assert brightness(source) == brightness(pickle.loads(pickle.dumps(source)))  # the parent has read it
    batches = {}
    for workers in (0, 2):
        with Stream(source, 5, 0, workers=workers) as stream:
            batches[workers] = [next(stream) for _ in range(6)]
    for left, right in zip(batches[0], batches[2], strict=True):
        np.testing.assert_array_equal(left["x"], right["x"])
        np.testing.assert_array_equal(left["label"], right["label"])


def test_a_prepared_set_is_read_without_tensorflow(home):
    opened("tiny_faces")
    code = (
        "import sys, pickle; source = pickle.load(sys.stdin.buffer)\n"
        "print(source[3]['x'].shape, 'tensorflow' in sys.modules)"
    )
    sent = pickle.dumps(opened("tiny_faces"))
    run = subprocess.run([sys.executable, "-c", code], input=sent, cwd=ROOT, capture_output=True, check=True)
    assert run.stdout == b"(64, 64, 1) False\n"


@pytest.mark.parametrize(
    ("name", "model", "options", "shape", "labels"),
    [
        ("mnist", IMAGES, {}, (64, 64, 1), list("0123456789")),
        ("mnist:3.0.1", IMAGES, {}, (64, 64, 1), list("0123456789")),
        ("celeb_a", DCGANConfig(nc=3), {}, (64, 64, 3), []),
        ("celeb_a", DCGANConfig(nc=3), {"label_columns": ["Smiling"]}, (64, 64, 3), ["not Smiling", "Smiling"]),
        ("speech_commands", SOUND, {"first_slice": True}, (16384,), list(sc09.DIGITS)),
        ("speech_commands", SOUND, {"pad_end": True}, (16384,), list(sc09.DIGITS)),
    ],
)
def test_the_published_sets_fit(name, model, options, shape, labels):
    with tfds.testing.mock_data(num_examples=9):
        source = opened(name, model, **options)
        assert (len(source), source.labels) == (9, labels)
        found = [source[index] for index in range(9)]
        assert {example["x"].shape for example in found} == {shape}
        assert {int(example["label"]) for example in found} <= (set(range(len(labels))) or {-1})
        with Stream(source, 4, 0) as stream:
            assert next(stream)["x"].shape == (4, *shape)


@pytest.mark.parametrize(
    ("name", "model", "options", "message"),
    [
        ("mnisst", IMAGES, {}, r"tfds:mnisst: TensorFlow Datasets knows no such set, did you mean mnist\?"),
        ("tiny_words", IMAGES, {}, r"tfds:tiny_words: has no feature 'image', but audio"),
        ("tiny_faces", SOUND, {}, r"tfds:tiny_faces: has no feature 'audio', but about, image, label"),
        (
            "tiny_faces",
            IMAGES,
            {"label_columns": ["hairs"]},
            r"tfds:tiny_faces: data.label_columns names 'hairs', did you mean hair\?; label columns: dark, hair, label",
        ),
        ("tiny_words", SOUND, {"strict": True}, r"\]: is too short: .*\(data.strict=true: nothing is skipped\)"),
    ],
)
def test_what_does_not_fit_is_one_line(name, model, options, message):
    with pytest.raises(DataError, match=message) as caught:
        opened(name, model, **options)
    assert "\n" not in str(caught.value)


def test_a_set_that_cannot_be_prepared_is_one_line(monkeypatch):
    def refused(self, **_):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refused)
    with pytest.raises(DataError, match=r"^tfds:mnist: cannot be prepared \(ConnectionError: no route\)$"):
        opened("mnist")


def test_without_the_package_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(DataError, match="tfds:mnist: needs the packages tensorflow-datasets and array-record"):
        opened("mnist")


def test_sc09_is_the_ten_digits_of_the_archive(tmp_path, monkeypatch):
    archive = tmp_path / "speech_commands_v0.02.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:

        def add(name: str, content: bytes) -> None:
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))

        for word in (*sc09.DIGITS, "bed", "_background_noise_"):
            for speaker in range(3):
                wav = io.BytesIO()
                soundfile.write(wav, np.full(16000 - speaker, 0.1), 16000, format="WAV")
                add(f"{word}/{speaker}_nohash_0.wav", wav.getvalue())
        add("testing_list.txt", b"one/1_nohash_0.wav\nbed/1_nohash_0.wav\n")
        add("validation_list.txt", b"two/1_nohash_0.wav\ntwo/2_nohash_0.wav\n")
    monkeypatch.setattr(tfds.download.DownloadManager, "download", lambda self, url: archive)
    source = opened("speech_commands", SOUND, first_slice=True)
    assert (len(source), source.labels[3]) == (27, "three")
    counts = np.bincount([source[index]["label"] for index in range(27)])
    assert counts.tolist() == [3, 2, 1, 3, 3, 3, 3, 3, 3, 3]
    assert [len(sc09.Sc09().as_data_source(split=split)) for split in ("validation", "test")] == [2, 1]


@pytest.mark.parametrize("options", [{}, {"label_columns": ["hair", "dark"]}], ids=str)
def test_classes_are_known_without_decoding(options, monkeypatch):
    source = opened("tiny_faces", **options)
    expected = [int(source[index]["label"]) for index in range(len(source))]
    monkeypatch.setattr(tfds.features.Image, "decode_example_np", lambda *_: pytest.fail("decoded"))
    assert source.classes.tolist() == expected
    assert pickle.loads(pickle.dumps(source)).classes.tolist() == expected


def test_sounds_without_classes_have_none():
    source = opened("tiny_words", SOUND, pad_end=True)
    assert source.classes.tolist() == [-1] * len(source)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_prepared_set_is_balanced(workers):
    source = opened("tiny_faces", label_columns=["dark", "hair"])  # of twelve, two of each of six
    with Stream(source, 6, 0, workers=workers, balance=True) as stream:
        assert sorted(np.concatenate([next(stream)["label"] for _ in range(2)])) == sorted([*range(6)] * 2)
