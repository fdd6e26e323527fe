"""The synthesised drums: four distinguishable kinds, the same on every machine, written whole or not at all."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile

from shared_impl.data import drums
from shared_impl.data.drums import DRUMS, RATE, SAMPLES, clip
from shared_impl.data.errors import DataError


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(drums, "PER_CLASS", 3)


def centroid(sound: np.ndarray) -> float:
    """Hz around which the energy lies."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float(power @ np.fft.rfftfreq(SAMPLES, 1 / RATE) / power.sum())


def length(sound: np.ndarray) -> float:
    """Seconds that hold 95 % of the energy."""
    return float(np.searchsorted(np.cumsum(sound**2), 0.95 * np.sum(sound**2)) / RATE)


@pytest.mark.parametrize("name", DRUMS)
def test_clips_are_one_slice_that_starts_at_once_and_dies_away(name):
    for number in range(20):
        sound = clip(name, number)
        assert sound.shape == (16384,)
        assert 0.49 < np.abs(sound).max() < 0.96
        assert np.abs(sound[:160]).max() > 0.1  # within 10 ms
        assert np.abs(sound[-16:]).max() < 0.005  # -46 dB: no click where the next clip begins
        assert length(sound) < 0.7


def test_drums_can_be_distinguished():
    means = {name: np.mean([centroid(clip(name, number)) for number in range(30)]) for name in DRUMS}
    assert means["kick"] < 110 < means["tom"] < 500 < means["snare"] < 5200 < means["hat"]


def test_hits_of_one_drum_vary():
    for name in DRUMS:
        lengths = [length(clip(name, number)) for number in range(30)]
        assert max(lengths) > 2 * min(lengths)
        assert len({clip(name, number).tobytes() for number in range(30)}) == 30


def test_a_clip_is_drawn_from_a_frozen_generator():
    values = {name: clip(name, 7)[[10, 1000, 3000]].round(6).tolist() for name in DRUMS}
    assert values == {
        "kick": [0.578956, 0.523527, 0.042885],
        "snare": [0.127883, 0.01753, -0.016283],
        "hat": [-0.401005, 0.002889, 0.008056],
        "tom": [0.748018, 0.601601, 0.14149],
    }


def test_the_folder_holds_wav_files_by_class(tmp_path, few):
    place = drums.folder(tmp_path / "new" / "drums")
    found = sorted(path.relative_to(place).as_posix() for path in place.rglob("*.wav"))
    assert found == sorted(f"{name}/{number:03}.wav" for name in DRUMS for number in range(3))
    info = soundfile.info(place / "kick" / "000.wav")
    assert (info.samplerate, info.frames, info.channels, info.subtype) == (16000, 16384, 1, "PCM_16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"]
    assert sorted(path.name for path in place.parent.iterdir()) == ["drums"]


def test_a_finished_folder_is_not_made_again(tmp_path, few, monkeypatch):
    place = drums.folder(tmp_path)
    monkeypatch.setattr(drums, "clip", None)
    assert drums.folder(tmp_path) == place


def test_the_cache_is_the_users(tmp_path, few, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert drums.folder() == tmp_path / "parity-bridge" / f"drums-{drums.VERSION}"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert drums.cached().as_posix().startswith("/home/somebody/.cache/parity-bridge/drums-")


def test_a_kill_while_writing_leaves_no_folder(tmp_path, few, monkeypatch):
    made = []

    def killed(name, number):
        made.append(name)
        if len(made) == 5:
            raise KeyboardInterrupt
        return clip(name, number)

    monkeypatch.setattr(drums, "clip", killed)
    with pytest.raises(KeyboardInterrupt):
        drums.folder(tmp_path / "drums")
    assert list(tmp_path.iterdir()) == []


def test_whoever_is_faster_wins(tmp_path, few, monkeypatch):
    write, target = drums._write, tmp_path / "drums"

    def overtaken(draft):
        write(draft)
        target.mkdir()
        write(target)

    monkeypatch.setattr(drums, "_write", overtaken)
    assert drums.folder(target) == target
    assert len(list(target.rglob("*.wav"))) == 12
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(DataError, match=r"drums:.*: holds something else \(drums.json is missing\); name a new"):
        drums.folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"drums:.*: cannot be written \(File exists\); name another folder"):
        drums.folder(tmp_path / "file" / "drums")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    monkeypatch.setattr(drums, "PER_CLASS", 1)
    with pytest.raises(DataError, match="No space left on device"):
        drums.folder(tmp_path / "full")
