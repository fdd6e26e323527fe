"""Pictures: every image in its place, every grey level right, axes in seconds and kHz."""

from __future__ import annotations

import builtins
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from shared_impl.config.presets import ConfigError
from shared_impl.sampling import pictures
from shared_impl.sampling.pictures import grid, labelled_grid, png, save_png, spectrogram, to_uint8


def flat(levels, height=3, width=5, channels=1):
    return np.stack([np.full((height, width, channels), level, np.uint8) for level in levels])


def test_levels_are_rounded_clipped_and_never_wrap():
    floats = np.array([-2.0, -1.0, -0.999, 0.0, 0.999, 1.0, 1.01, np.nan, np.inf, -np.inf], np.float32)
    assert to_uint8(floats).tolist() == [0, 0, 0, 128, 255, 255, 255, 0, 255, 0]
    levels = np.arange(256, dtype=np.uint8)
    assert (to_uint8(levels / 127.5 - 1) == levels).all()
    assert to_uint8(levels) is levels


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_holds_every_image_row_by_row_with_padding_around(channels):
    images = flat([10, 20, 30, 40, 50], channels=channels)
    picture = grid(images, columns=2, padding=2)
    assert picture.shape == (3 * 5 + 2, 2 * 7 + 2, channels)
    for index, image in enumerate(images):
        row, column = divmod(index, 2)
        assert (picture[2 + 5 * row : 5 + 5 * row, 2 + 7 * column : 7 + 7 * column] == image).all()
    inside = np.isin(picture, [10, 20, 30, 40, 50])
    assert inside.sum() == images.size
    assert (picture[~inside] == pictures.PAPER).all()


@pytest.mark.parametrize(
    ("count", "columns"), [(1, 1), (2, 2), (5, 5), (7, 3), (10, 5), (16, 4), (32, 8), (64, 8), (97, 10)]
)
def test_a_grid_comes_near_a_square_without_empty_cells_where_it_can(count, columns):
    assert grid(flat([0] * count, 1, 1), padding=0).shape == (-(-count // columns), columns, 1)


@pytest.mark.parametrize("shape", [(0, 4, 4, 1), (4, 4, 1), (2, 4, 4, 2), (2, 0, 4, 1)])
def test_what_is_no_stack_of_images_is_rejected_with_its_shape(shape):
    message = re.escape(f"images [N, H, W, 1 or 3], got shape {list(shape)}")
    with pytest.raises(ValueError, match=message):
        grid(np.zeros(shape, np.uint8))


def test_a_labelled_grid_is_the_grid_with_a_margin_that_names_each_row():
    images = flat([100] * 6, height=20, width=20, channels=3)
    picture = labelled_grid(images, ["kick", "a long name", ""])
    plain = grid(images, columns=2)
    margin = picture.shape[1] - plain.shape[1]
    assert (picture[:, margin:] == plain).all()
    ink = (picture[:, :margin, 0] < 128).any(axis=1)
    assert ink[2:22].any()
    assert ink[24:44].any()
    assert not ink[46:].any()  # an empty name
    columns = (picture[24:44, :margin, 0] < 128).any(axis=0).nonzero()[0]
    assert columns.min() >= 2
    assert columns.max() < margin - 2


@pytest.mark.parametrize(("count", "labels"), [(5, ["a", "b"]), (4, [])])
def test_rows_that_do_not_come_out_even_are_rejected(count, labels):
    with pytest.raises(ValueError, match=rf"{count} images do not make {len(labels)} equal rows"):
        labelled_grid(flat([0] * count), labels)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_comes_back_level_for_level(channels, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (7, 9, channels), np.uint8)
    save_png(tmp_path / "a.png", picture)
    assert (np.asarray(Image.open(tmp_path / "a.png")).reshape(picture.shape) == picture).all()
    assert (tmp_path / "a.png").read_bytes() == png(picture)
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    save_png(tmp_path / "a.png", flat([1])[0])
    before = (tmp_path / "a.png").read_bytes()

    def full(path):
        raise OSError("full")

    monkeypatch.setattr(pictures.files, "sync", full)
    with pytest.raises(OSError, match="full"):
        save_png(tmp_path / "a.png", flat([2])[0])
    assert (tmp_path / "a.png").read_bytes() == before
    assert os.listdir(tmp_path) == ["a.png"]


def test_the_levels_of_a_spectrogram_are_those_of_the_tone():
    rate, seconds = 16000, 0.5
    tone = 0.25 * np.sin(2 * np.pi * 2000 * np.arange(int(rate * seconds)) / rate)  # 2 kHz: bin 32
    levels = pictures._decibels(tone)
    assert levels.shape == (129, len(tone) // 128 + 1)
    middle = levels[:, 5:-5]
    assert (middle.argmax(axis=0) == 32).all()
    assert abs(middle.max()) < 1e-9
    assert abs(middle[31].mean() + 6.02) < 0.01  # a Hann window's main lobe: half the magnitude one bin off
    assert middle[64:].max() == -pictures.DECIBELS


@pytest.mark.parametrize(("frame", "hop"), [(512, 128), (128, 32)])
def test_a_spectrogram_has_the_frames_and_bins_that_are_asked_for(frame, hop):
    tone = np.sin(2 * np.pi * 2000 * np.arange(8000) / 16000)  # 2 kHz: an eighth of the rate
    levels = pictures._decibels(tone, frame, hop)
    assert levels.shape == (frame // 2 + 1, 8000 // hop + 1)
    assert (levels[:, 5:-5].argmax(axis=0) == frame // 8).all()


def brightest(picture, box):
    """Where in ``box`` (top, bottom, left, right, as shares) the picture is brightest, as shares of the whole."""
    height, width = picture.shape[:2]
    top, bottom, left, right = box
    part = picture[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
    sums = part.sum(axis=(1, 2), dtype=int)
    return top + sums.argmax() / height


def test_a_spectrogram_picture_shows_high_tones_high():
    time = np.arange(16384) / 16000
    low, high = (spectrogram(np.sin(2 * np.pi * f * time).astype(np.float32), 16000) for f in (1000, 7000))
    assert low.shape == high.shape
    assert low.shape[-1] == 3
    assert low.dtype == np.uint8
    box = (0.1, 0.8, 0.3, 0.7)
    assert brightest(high, box) < 0.3 < 0.6 < brightest(low, box)


@pytest.mark.parametrize("clip", [np.zeros(1000), np.ones(1)], ids=["silence", "one sample"])
def test_silence_and_a_single_sample_have_pictures(clip):
    assert np.isfinite(pictures._decibels(clip)).all()
    assert spectrogram(clip, 16000).shape[-1] == 3


@pytest.mark.parametrize("shape", [(0,), (2, 100)])
def test_what_is_no_clip_is_rejected(shape):
    with pytest.raises(ValueError, match="one clip"):
        spectrogram(np.zeros(shape), 16000)


def test_matplotlib_is_loaded_only_when_asked_for():
    code = "import sys, shared_impl.sampling.pictures; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="pip install matplotlib"):
        spectrogram(np.zeros(10), 16000)
