"""Sound files: what is decoded, how clips are cut, what is written."""

from __future__ import annotations

import pickle

import librosa
import numpy as np
import pytest
import soundfile

from shared_impl.config.data import DataConfig
from shared_impl.config.presets import ConfigError
from shared_impl.data import audio
from shared_impl.data.audio import DecodedFiles, Slicing, decode, probe, write_wav
from shared_impl.data.errors import BrokenFile, DataError

RATE = 16000


def tone(samples: int, rate: int = RATE, level: float = 0.25) -> np.ndarray:
    """A decaying tone, its peak near ``level``."""
    t = np.arange(samples) / rate
    return level * np.cos(2 * np.pi * 440 * t) * np.exp(-t)


@pytest.fixture
def write(tmp_path):
    def written(name: str, samples: np.ndarray, rate: int = RATE, **options):
        soundfile.write(tmp_path / name, samples, rate, **options)
        return tmp_path / name

    return written


@pytest.mark.parametrize(
    ("name", "rate", "options"),
    [
        ("a.wav", 16000, {}),
        ("a.wav", 44100, {"subtype": "PCM_24"}),
        ("a.wav", 8000, {"subtype": "FLOAT"}),
        ("a.flac", 22050, {}),
        ("a.ogg", 22050, {}),
        ("a.opus", 48000, {"format": "OGG", "subtype": "OPUS"}),
        ("a.mp3", 44100, {}),
        ("A.AIFF", 16000, {}),
    ],
)
def test_any_format_decodes_as_librosa_loads_it(write, name, rate, options):
    path = write(name, tone(rate), rate, **options)
    expected = librosa.load(path, sr=RATE)[0]
    found = decode(path, RATE)
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (probe(path).samples(RATE),)
    np.testing.assert_allclose(found, expected / np.abs(expected).max(), atol=1e-6)  # float32 roundings of one division


def test_an_odd_length_is_rounded_up_by_resampling(write):
    path = write("a.wav", tone(10001, 44100), 44100)
    assert len(decode(path, RATE)) == len(librosa.load(path, sr=RATE)[0]) == probe(path).samples(RATE) == 3629


def test_channels_are_averaged(write):
    left, right = tone(1000), np.linspace(-0.2, 0.2, 1000)
    clip = decode(write("a.wav", np.stack([left, right], 1), subtype="FLOAT"), RATE)
    mean = ((left.astype(np.float32) + right.astype(np.float32)) / 2).astype(np.float32)
    np.testing.assert_allclose(clip, mean / np.abs(mean).max(), rtol=1e-6)


def test_the_peak_of_a_file_is_one_and_silence_stays_silence(write):
    assert np.abs(decode(write("quiet.wav", tone(3000, level=0.01)), RATE)).max() == 1
    assert not decode(write("silent.wav", np.zeros(3000)), RATE).any()


def test_sixteen_bits_are_divided_by_32768(write):
    path = write("a.wav", np.array([-32768, 16384, 1], np.int16))
    np.testing.assert_array_equal(decode(path, RATE), np.float32([-1, 0.5, 2**-15]))


def test_a_foreign_container_goes_through_librosa(write):
    path = write("a.m4a", tone(3000, 8000), 8000, format="WAV")
    assert probe(path) == (3000, 8000)
    np.testing.assert_array_equal(decode(path, RATE), decode(write("a.wav", tone(3000, 8000), 8000), RATE))


def broken_files(folder):
    sound = tone(16000)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("not a sound")
    (folder / "noise.mp3").write_bytes(b"\0" * 100)
    (folder / "text.m4a").write_text("not a sound")
    soundfile.write(folder / "none.wav", np.zeros(0), RATE)
    return folder, sound


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.wav", "no such file"),
        ("empty.wav", "is empty"),
        ("text.wav", "cannot be read as sound (Format not recognised)"),
        ("none.wav", "holds no samples"),
        ("text.m4a", ".m4a files need ffmpeg, which was not found"),
    ],
)
def test_a_broken_header_is_named_with_its_reason(tmp_path, monkeypatch, name, reason):
    monkeypatch.setenv("PATH", "")
    broken_files(tmp_path)
    for verb in (probe, lambda path: decode(path, RATE)):
        with pytest.raises(BrokenFile) as caught:
            verb(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: {reason}"


@pytest.mark.parametrize(
    ("name", "reason"), [("a.flac", "cannot be read as sound"), ("a.mp3", "is cut short: its header")]
)
def test_a_file_that_ends_too_early_is_broken(write, name, reason):
    path = write(name, tone(32000))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert probe(path).frames == 32000
    with pytest.raises(BrokenFile, match=reason):
        decode(path, RATE)


def test_a_file_with_nan_is_broken(write):
    with pytest.raises(BrokenFile, match="a.wav: holds values that are not finite"):
        decode(write("a.wav", np.array([0.1, np.nan, 0.2]), subtype="FLOAT"), RATE)


def test_a_broken_file_travels_between_processes():
    error = pickle.loads(pickle.dumps(BrokenFile("a.wav", "is empty")))
    assert (str(error), error.place, error.reason) == ("a.wav: is empty", "a.wav", "is empty")


def originals_slices(clip: np.ndarray, overlap: float, pad: bool, start: int = 0) -> list[np.ndarray]:
    """loader.py's _slice, written again: tf.contrib.signal.frame of what follows ``start``."""
    hop = int(round(16384 * (1.0 - overlap)) + 1e-4)
    clip = clip[start:]
    count = -(-len(clip) // hop) if pad else max(0, 1 + (len(clip) - 16384) // hop)
    padded = np.concatenate([clip, np.zeros(16384, np.float32)])
    return [padded[k * hop : k * hop + 16384] for k in range(count)]


@pytest.mark.parametrize("samples", [1, 100, 16383, 16384, 16385, 32767, 32768, 50000])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.999])
@pytest.mark.parametrize("pad", [False, True])
def test_slices_are_the_originals(samples, overlap, pad):
    clip = np.arange(1, samples + 1, dtype=np.float32)
    slicing = Slicing.of(DataConfig(overlap=overlap, pad_end=pad, random_offset=False))
    expected = originals_slices(clip, overlap, pad)
    assert slicing.count(samples) == len(expected)
    for number in {0, 1, len(expected) // 2, len(expected) - 1} & set(range(len(expected))):
        start = slicing.start(samples, number, share=0.7)
        np.testing.assert_array_equal(audio.fitted(clip[start:], 16384), expected[number])


def test_first_slice_is_the_padded_start_whatever_else_is_asked():
    slicing = Slicing.of(DataConfig(first_slice=True, overlap=0.5, random_offset=True))
    assert [slicing.count(samples) for samples in (0, 1, 16384, 99999)] == [0, 1, 1, 1]
    assert slicing.start(99999, 0, share=0.9) == 0


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_random_offsets_are_distributed_as_in_the_original(overlap):
    """Every (offset, slice) of the original is met with equal frequency, given its slice number."""
    samples = 40000
    slicing = Slicing.of(DataConfig(overlap=overlap))
    hop = slicing.hop
    for number in range(slicing.count(samples)):
        possible = [s + number * hop for s in range(16384) if s + number * hop + 16384 <= samples]
        starts = [
            slicing.start(samples, number, share) for share in np.linspace(0, 1, 4 * len(possible), endpoint=False)
        ]
        found, counts = np.unique(starts, return_counts=True)
        assert (found.min(), found.max(), len(found)) == (possible[0], possible[-1], len(possible))
        assert set(counts) <= {3, 4, 5}  # rounding of the shares


def test_a_random_offset_leaves_padded_slices_a_sample():
    slicing = Slicing.of(DataConfig(pad_end=True))
    assert slicing.count(5) == 1
    assert {slicing.start(5, 0, share) for share in np.linspace(0, 0.999, 50)} == {0, 1, 2, 3, 4}
    assert slicing.start(16384 + 3, 1, share=0.999) == 16384 + 2


def test_an_overlap_that_does_not_move_is_rejected():
    with pytest.raises(ConfigError, match=r"data.overlap=0.99999: slices of 16384 samples would not move"):
        Slicing.of(DataConfig(overlap=0.99999))


def test_decoded_files_are_kept_up_to_a_limit(write, monkeypatch):
    paths = [write(f"{number}.wav", tone(1000)) for number in range(3)]
    asked = []
    monkeypatch.setattr(audio, "decode", lambda path, rate: asked.append(path) or decode(path, rate))
    files = DecodedFiles(RATE, limit=2 * 4000)
    for number in (0, 1, 0, 2, 0, 1):  # 1 has to make room for 2: 0 was used after it
        np.testing.assert_array_equal(files[paths[number]], decode(paths[number], RATE))
    assert asked == [paths[number] for number in (0, 1, 2, 1)]


def test_one_file_is_kept_however_long_it_is(write, monkeypatch):
    path, asked = write("a.wav", tone(1000)), []
    monkeypatch.setattr(audio, "decode", lambda path, rate: asked.append(path) or decode(path, rate))
    files = DecodedFiles(RATE, limit=1)
    assert files[path] is files[path]
    assert len(asked) == 1


def test_writing_scales_clips_and_separates(tmp_path):
    clips = np.float32([[0, 1, -1], [0.5, 2, -3]])
    write_wav(tmp_path / "a.wav", clips, 16000)
    pcm, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert rate == 16000
    assert pcm.tolist() == [0, 32767, -32767, *[0] * 8192, 16383, 32767, -32767]
    write_wav(tmp_path / "b.partial", clips[0], 16000)
    assert soundfile.read(tmp_path / "b.partial", dtype="int16")[0].tolist() == [0, 32767, -32767]


def test_nan_is_not_written(tmp_path):
    with pytest.raises(DataError, match="a.wav: a clip holds values that are not finite"):
        write_wav(tmp_path / "a.wav", np.float32([0, np.nan]), 16000)
    assert list(tmp_path.iterdir()) == []
