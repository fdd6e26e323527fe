"""Sources: what each value of data.source gives, and the messages about data that cannot be used."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from sklearn.datasets import load_digits

from shared_impl.config.data import DataConfig
from shared_impl.config.systems import DCGANConfig, SpecGANConfig
from shared_impl.data import audio, audio_sources, drums
from shared_impl.data.audio import decode
from shared_impl.data.errors import DataError
from shared_impl.data.source_interface import Source
from shared_impl.data.sources import open_source

IMAGES, SOUND = DCGANConfig(), SpecGANConfig()
COLOUR = DCGANConfig(nc=3)


def photo(path: Path, size=(80, 60), colour=(200, 100, 50), **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)
    return path


def sound(path: Path, seconds: float = 2.5, rate: int = 16000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(int(seconds * rate)) / rate
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * (100 + 300 * t) * t), rate)
    return path


def opened(source: str, model=IMAGES, **options) -> Source:
    return open_source(DataConfig(source=source, **options), model)


def test_digits_are_scikit_learns_enlarged():
    source = opened("digits")
    small, classes = load_digits(return_X_y=True)
    assert (len(source), source.kind, source.labels) == (1797, "image", list("0123456789"))
    assert str(source) == "digits: 1797 images in 10 classes"
    for index in (0, 1000, 1796):
        example = source[index]
        assert (example["x"].shape, example["x"].dtype) == ((64, 64, 1), np.uint8)
        assert (example["label"], example["label"].dtype) == (classes[index], np.int64)
        middles = example["x"][
            4::8, 4::8, 0
        ]  # a cell's middle is its own pixel, next to its neighbours' bilinear share
        assert np.corrcoef(middles.ravel(), small[index])[0, 1] > 0.99
    assert source[0]["x"].max() > 200
    assert opened("digits", COLOUR)[5]["x"].shape == (64, 64, 3)


def test_an_index_is_one_of_a_sequence():
    source = opened("digits")
    np.testing.assert_array_equal(source[-1]["x"], source[1796]["x"])
    for index in (1797, -1798):
        with pytest.raises(IndexError, match=f"digits: example {index} of 1797"):
            source[index]


def test_drums_are_read_like_anybodys_files(tmp_path, monkeypatch):
    monkeypatch.setattr(drums, "PER_CLASS", 2)
    source = opened(f"drums:{tmp_path / 'drums'}", SOUND)
    assert (len(source), source.kind, source.labels) == (8, "audio", ["hat", "kick", "snare", "tom"])
    assert [source[index]["label"] for index in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]
    example = source[3]["x"]
    assert (example.shape, example.dtype) == ((16384,), np.float32)
    np.testing.assert_array_equal(example, decode(tmp_path / "drums" / "kick" / "001.wav", 16000))
    same = opened(f"audio:{tmp_path / 'drums'}", SOUND)
    assert same.fingerprint == source.fingerprint


def test_drums_without_a_folder_are_kept_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(drums, "PER_CLASS", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert len(opened("drums", SOUND)) == 4
    assert len(list(tmp_path.rglob("*.wav"))) == 4


def test_images_are_squared_and_resized_once(tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (50, 90, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    middle = Image.fromarray(pixels).crop((20, 0, 70, 50))
    methods = {"bilinear": Image.Resampling.BILINEAR, "lanczos": Image.Resampling.LANCZOS}
    for name, method in methods.items():
        found = opened(f"images:{tmp_path}", COLOUR, resize=name)[0]["x"]
        np.testing.assert_array_equal(found, np.asarray(middle.resize((64, 64), method)))
    grey = opened(f"images:{tmp_path}")[0]["x"]
    assert grey.shape == (64, 64, 1)
    np.testing.assert_array_equal(grey[..., 0], np.asarray(middle.convert("L").resize((64, 64), 2)))


def test_images_stand_upright(tmp_path):
    image = Image.new("RGB", (64, 64), "white")
    image.paste("black", (0, 0, 64, 32))  # black above
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter: the stored top is the right side
    image.save(tmp_path / "a.png", exif=exif)
    found = opened(f"images:{tmp_path}")[0]["x"][..., 0]
    assert found[:, 40:].max() == 0
    assert found[:, :24].min() == 255


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_kind_of_pixel_becomes_grey_or_colour(tmp_path, mode):
    grey = {"1": 1, "I;16": 150 * 257}.get(mode, 150)
    image = Image.new("L", (70, 70), 150).convert(mode) if mode != "I;16" else Image.new(mode, (70, 70), grey)
    image.save(tmp_path / ("a.tif" if mode in ("F", "CMYK") else "a.png"))
    for model, channels in ((IMAGES, 1), (COLOUR, 3)):
        found = opened(f"images:{tmp_path}", model)[0]["x"]
        assert found.shape == (64, 64, channels)
        if mode != "1":  # dithered
            assert abs(int(found.mean()) - 150) <= 2


def see_through(mode):
    """An image 64x64 whose left half hides black below full transparency, and whose right half is grey 100."""
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((100, 100, 100, 255), (32, 0, 64, 64))
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_shown_on_white_and_said(tmp_path, mode):
    if mode == "P":
        image = see_through("RGBA").convert("P", palette=Image.Palette.ADAPTIVE)
        image.save(tmp_path / "a.png", transparency=image.getpixel((0, 0)))
    else:
        see_through(mode).save(tmp_path / "a.png")
    photo(tmp_path / "b.png")
    source = opened(f"images:{tmp_path}", COLOUR)
    assert source.notes == ["1 images are transparent: shown on white"]
    assert (source[0]["x"][:, :32] == 255).all() and abs(int(source[0]["x"][:, 32:].mean()) - 100) <= 1


@pytest.mark.parametrize(
    ("values", "white"),
    [
        (np.float32([0, 0.5, 1]), [0, 128, 255]),
        (np.float32([0, 100, 255]), [0, 100, 255]),
        (np.int32([0, 100, 255]), [0, 100, 255]),
        (np.int32([0, 256, 65535]), [0, 1, 255]),
        (np.uint16([0, 256, 65535]), [0, 1, 255]),
    ],
)
def test_deep_pixels_are_scaled_and_said(tmp_path, values, white):
    pixels = np.repeat(np.repeat(values, [21, 21, 22])[None], 64, axis=0)
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    source = opened(f"images:{tmp_path}")
    assert sorted(set(source[0]["x"].ravel().tolist())) == white
    words = {"float32": "1 images hold floats", "int32": "1 images hold 32-bit integers"}.get(values.dtype.name)
    assert [note.startswith(words) for note in source.notes] == [True] * bool(words) if words else source.notes == []


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.float32([-1, 1]), "holds values from -1 to 1: expected 0 to 1, or 0 to 255; scale them to 8 bits"),
        (np.float32([0, np.nan]), "holds NaN or infinity"),
        (np.float32([0, 1000]), "holds values from 0 to 1000"),
        (np.int32([-5, 5]), "holds values from -5 to 5: expected 0 to 255, or 0 to 65535"),
        (np.int32([0, 70000]), "holds values from 0 to 70000"),
    ],
)
def test_pixels_of_which_nobody_knows_what_they_mean_are_skipped_and_said(tmp_path, values, reason):
    Image.fromarray(np.repeat(np.repeat(values, 32)[None], 64, axis=0)).save(tmp_path / "a.tif")
    photo(tmp_path / "b.png")
    source = opened(f"images:{tmp_path}")
    assert source[0]["x"].shape == (64, 64, 1)
    assert f"a.tif: {reason}" in source.summary()


def test_the_first_frame_of_a_moving_image_is_used_and_said(tmp_path):
    frames = [Image.new("L", (64, 64), grey) for grey in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    source = opened(f"images:{tmp_path}")
    assert source.notes == ["1 images have several frames: the first one is used"]
    assert abs(int(source[0]["x"].mean()) - 10) <= 1


def test_links_to_folders_and_files_are_followed_but_not_in_circles(tmp_path):
    photo(tmp_path / "elsewhere" / "deep" / "one.png")
    photo(tmp_path / "two.png")
    data = tmp_path / "data"
    data.mkdir()
    (data / "cats").symlink_to(tmp_path / "elsewhere")
    (data / "dogs").mkdir()
    (data / "dogs" / "two.png").symlink_to(tmp_path / "two.png")
    (data / "dogs" / "again").symlink_to(data)
    (data / "dogs" / "gone.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "elsewhere")
    source = opened(f"images:{data}")
    assert source.labels == ["cats", "dogs"]
    assert [source.place(i) for i in range(len(source))] == [
        str(data / "cats" / "deep" / "one.png"),
        str(data / "dogs" / "two.png"),
    ]


def test_a_csv_without_a_header_loses_no_row_and_says_so(tmp_path):
    for name in ("one.png", "two.png"):
        photo(tmp_path / name)
    source = opened(table(tmp_path / "list.csv", "one.png,cat", "two.png,dog"))
    assert (len(source), source.labels) == (2, ["cat", "dog"])
    assert source.notes == [
        f"{tmp_path}/list.csv: has no header: its first row names a file, too; columns are called path, 2"
    ]
    assert opened(table(tmp_path / "list.csv", "one.png,cat,9", "two.png,dog,8"), label_columns=["3"]).labels == [
        "8",
        "9",
    ]
    assert len(opened(table(tmp_path / "gone.csv", "gone.png,cat", "two.png,dog"))) == 1
    assert len(opened(table(tmp_path / "only.csv", "one.png"))) == 1
    assert opened(table(tmp_path / "odd.csv", "file.name,cat", "two.png,dog")).notes == []


@pytest.mark.parametrize(("mark", "word"), [(";", "semicolons"), ("\t", "tabs")])
def test_a_csv_may_be_separated_otherwise(tmp_path, mark, word):
    photo(tmp_path / "one.png")
    source = opened(table(tmp_path / "list.csv", f"file{mark}kind", f"one.png{mark}cat"))
    assert source.labels == ["cat"]
    assert source.notes == [f"{tmp_path}/list.csv: its cells are separated by {word}"]


def test_a_file_name_may_be_any_bytes(tmp_path):
    photo(tmp_path / "ok.png")
    os.rename(tmp_path / "ok.png", os.fsencode(tmp_path) + b"/\xff\xfe.png")
    source = opened(f"images:{tmp_path}")
    assert source[0]["x"].shape == (64, 64, 1) and len(source.fingerprint) == 16


def test_subfolders_are_classes_and_files_beside_them_have_none(tmp_path):
    for name in ("b/2.png", "a/x/1.JPG", "a/0.png", "loose.png", ".hidden/1.png", "__MACOSX/a/0.png", "a/.0.png"):
        photo(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image, nor called one")
    source = opened(f"images:{tmp_path}")
    assert source.labels == ["a", "b"]
    assert [(Path(source.place(i)).name, int(source[i]["label"])) for i in range(len(source))] == [
        ("0.png", 0),
        ("1.JPG", 0),
        ("2.png", 1),
        ("loose.png", -1),
    ]
    assert source.skipped == []


def test_a_folder_without_subfolders_has_no_classes(tmp_path):
    photo(tmp_path / "a.png")
    source = opened(f"images:{tmp_path}")
    assert (source.labels, int(source[0]["label"]), str(source)) == ([], -1, f"images:{tmp_path}: 1 images")


def test_classes_called_by_numbers_are_in_order_of_numbers(tmp_path):
    for name in ("10/a.png", "9/a.png", "1/a.png"):
        photo(tmp_path / name)
    assert opened(f"images:{tmp_path}").labels == ["1", "9", "10"]


def test_a_relative_place_is_below_the_working_directory(tmp_path, monkeypatch):
    photo(tmp_path / "faces" / "a.png")
    monkeypatch.chdir(tmp_path)
    assert len(opened("images:faces")) == 1


def test_a_place_may_begin_at_home(tmp_path, monkeypatch):
    photo(tmp_path / "faces" / "a.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(opened("images:~/faces")) == 1


def table(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines), encoding="utf-8")
    return f"csv:{path}"


def test_a_csv_names_files_and_classes(tmp_path):
    for name in ("one.png", "in/two.png", "three.png"):
        photo(tmp_path / name)
    rows = ("\ufefffile,kind,size", "one.png, cat ,10", '"in/two.png",dog,9', "", "three.png,,9")
    place = table(tmp_path / "list.csv", *rows)
    source = opened(place)
    assert (source.labels, [int(source[i]["label"]) for i in range(3)]) == (["cat", "dog"], [0, 1, -1])
    sizes = opened(place, label_columns=["size"])
    assert (sizes.labels, [int(sizes[i]["label"]) for i in range(3)]) == (["9", "10"], [1, 0, 0])
    both = opened(place, label_columns=["size", "kind"])
    assert (both.labels, [int(both[i]["label"]) for i in range(3)]) == (["10/cat", "9/dog"], [0, 1, -1])
    assert opened(table(tmp_path / "bare.csv", "file", "one.png")).labels == []


def test_a_csv_of_sounds(tmp_path):
    sound(tmp_path / "a.wav")
    source = opened(table(tmp_path / "list.csv", "file,word", "a.wav,yes"), SOUND)
    assert (len(source), source.labels, source[1]["x"].shape) == (2, ["yes"], (16384,))


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        ([], {}, r"list.csv: nothing usable: expected a header and then a row for each file, its path first"),
        (["file,kind"], {}, r"list.csv: nothing usable: expected a header"),
        (["file,kind", "a.png"], {}, r"list.csv, line 2: 1 cells, but the header has 2"),
        (
            ["file,kind", "a.png,cat"],
            {"label_columns": ["kinds"]},
            r"list.csv: data.label_columns names 'kinds', did you mean kind\?; label columns: kind",
        ),
        (["file", "a.png"], {"label_columns": ["file"]}, r"names 'file'; label columns: none"),
        (["file", "a.png"], {}, r"csv:.*list.csv: nothing usable: 1 skipped \(.*a.png: no such file\)"),
    ],
)
def test_a_csv_that_does_not_fit_is_one_line(tmp_path, lines, options, message):
    with pytest.raises(DataError, match=message) as caught:
        opened(table(tmp_path / "list.csv", *lines), **options)
    assert "\n" not in str(caught.value)


def test_a_csv_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"none.csv: cannot be read as CSV: .*No such file"):
        opened(f"csv:{tmp_path / 'none.csv'}")
    for place in (tmp_path, "/dev/zero"):
        with pytest.raises(DataError, match=r"cannot be read as CSV: it is no file"):
            opened(f"csv:{place}")
    (tmp_path / "a.csv").write_bytes(b"file,kind\n\xff\xfe,1\n")
    with pytest.raises(DataError, match=r"a.csv: cannot be read as CSV: .*utf-8"):
        opened(f"csv:{tmp_path / 'a.csv'}")


@pytest.mark.parametrize(("word", "model"), [("images", IMAGES), ("audio", SOUND)])
def test_a_folder_with_nothing_usable_is_an_error(tmp_path, word, model):
    with pytest.raises(DataError, match=r"none: no such folder \(looked in .*\)"):
        opened(f"{word}:{tmp_path / 'none'}", model)
    with pytest.raises(DataError, match=r": nothing usable: it is empty; files that end with \..*, \..* are read"):
        opened(f"{word}:{tmp_path}", model)
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(DataError, match=r": nothing usable: 1 files of other kinds in it; files that end with"):
        opened(f"{word}:{tmp_path}", model)
    for number in range(5):
        (tmp_path / f"{number}.{'wav' if model is SOUND else 'png'}").touch()
    with pytest.raises(DataError, match=r": nothing usable: 5 skipped \(.*/0.*: is empty; .*; and 2 more\)"):
        opened(f"{word}:{tmp_path}", model)


def folder_of_images(folder: Path, count: int = 6) -> list[Path]:
    return [photo(folder / f"{n}.png", colour=(n, n, n)) for n in range(count)]


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_what_is_no_image_is_named_and_skipped_at_once(tmp_path):
    paths = folder_of_images(tmp_path)
    paths[1].write_bytes(b"")
    paths[2].write_text("text")
    source = opened(f"images:{tmp_path}")
    assert source.skipped == [(str(paths[1]), "is empty"), (str(paths[2]), "is no image of a known format")]
    assert [int(source[i]["x"][0, 0, 0]) for i in range(len(source))] == [0, 3, 4, 5]
    assert source.summary() == f"2 skipped ({paths[1]}: is empty; {paths[2]}: is no image of a known format)"


def damaged(folder: Path) -> list[Path]:
    """Six noisy images, the third and the last damaged where only decoding shows it."""
    noise = np.random.RandomState(1).randint(0, 256, (6, 64, 64), np.uint8)
    paths = [folder / f"{number}.png" for number in range(6)]
    for path, pixels in zip(paths, noise, strict=True):
        Image.fromarray(pixels).save(path)
    shorten(paths[2])
    shorten(paths[5])
    return paths


def test_the_next_stands_in_for_a_damaged_one_whatever_the_order(tmp_path):
    paths = damaged(tmp_path)
    forwards, backwards = opened(f"images:{tmp_path}"), opened(f"images:{tmp_path}")
    assert (len(forwards), forwards.skipped, forwards.summary()) == (6, [], "")
    first = [forwards[index]["x"] for index in range(6)]
    second = [backwards[index]["x"] for index in reversed(range(6))][::-1]
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[2], first[3])
    np.testing.assert_array_equal(first[5], first[0])
    assert {place for place, _ in forwards.skipped} == {str(paths[2]), str(paths[5])}
    assert "cannot be read as an image" in forwards.summary()
    assert [forwards.example(index)[1] for index in range(6)] == [0, 0, 1, 0, 0, 1]


def test_nothing_is_skipped_if_strict(tmp_path):
    paths = damaged(tmp_path)
    source = opened(f"images:{tmp_path}", strict=True)
    assert source[0]["x"].shape == (64, 64, 1)
    with pytest.raises(DataError, match=rf"{paths[2]}: cannot be read as an image .*\(data.strict=true: nothing is"):
        source[2]
    paths[0].write_bytes(b"")
    with pytest.raises(DataError, match=r"0.png: is empty \(data.strict=true: nothing is skipped\)"):
        opened(f"images:{tmp_path}", strict=True)


def test_nothing_left_is_an_error(tmp_path):
    for path in folder_of_images(tmp_path, 3):
        shorten(path)
    with pytest.raises(DataError, match=r"nothing usable is left: 3 skipped"):
        opened(f"images:{tmp_path}")[1]


def test_files_that_go_missing_are_skipped(tmp_path):
    paths = folder_of_images(tmp_path)
    source = opened(f"images:{tmp_path}")
    paths[1].unlink()
    assert source[1]["x"][0, 0, 0] == 2
    assert source.skipped == [(str(paths[1]), "no such file")]


def test_slices_are_numbered_through_the_files(tmp_path):
    for name, seconds in (("a/1.wav", 2.5), ("a/2.wav", 1.1), ("b/3.wav", 4)):
        sound(tmp_path / name, seconds)
    source = opened(f"audio:{tmp_path}", SOUND)
    assert [Path(source.place(index)).name for index in range(len(source))] == [
        "1.wav",
        "1.wav",
        "2.wav",
        *["3.wav"] * 3,
    ]
    whole = decode(tmp_path / "b" / "3.wav", 16000)
    np.testing.assert_array_equal(source[4]["x"], whole[16384 : 2 * 16384])
    assert [int(source[index]["label"]) for index in range(6)] == [0, 0, 0, 1, 1, 1]
    padded = opened(f"audio:{tmp_path}", SOUND, pad_end=True, overlap=0.5)
    assert len(padded) == 5 + 3 + 8
    np.testing.assert_array_equal(padded[15]["x"], [*whole[7 * 8192 :], *np.zeros(16384 - 64000 + 7 * 8192)])


def test_an_example_keeps_its_offset_at_zero_unless_drawn(tmp_path):
    path = sound(tmp_path / "a.wav", 2.5)
    source, whole = opened(f"audio:{tmp_path}", SOUND), decode(path, 16000)
    np.testing.assert_array_equal(source[0]["x"], whole[:16384])
    np.testing.assert_array_equal(source.example(0, share=0.5)[0]["x"], whole[8192 : 8192 + 16384])
    still = opened(f"audio:{tmp_path}", SOUND, random_offset=False)
    np.testing.assert_array_equal(still.example(0, share=0.5)[0]["x"], whole[:16384])


def test_short_clips_are_skipped_unless_padded(tmp_path):
    sound(tmp_path / "long.wav", 1.5)
    short = sound(tmp_path / "short.wav", 0.5)
    source = opened(f"audio:{tmp_path}", SOUND)
    reason = "is too short: 8000 of 16384 samples at 16000 Hz (data.pad_end=true pads it)"
    assert (len(source), source.skipped) == (1, [(str(short), reason)])
    assert len(opened(f"audio:{tmp_path}", SOUND, pad_end=True)) == 3
    first = opened(f"audio:{tmp_path}", SOUND, first_slice=True)
    assert (len(first), first.skipped) == (2, [])
    np.testing.assert_array_equal(first[1]["x"], [*decode(short, 16000), *np.zeros(16384 - 8000)])


def test_other_sample_rates_are_resampled_and_noted(tmp_path):
    sound(tmp_path / "a.wav", 2, rate=8000)
    sound(tmp_path / "b.wav", 2, rate=44100)
    sound(tmp_path / "c.wav", 2)
    source = opened(f"audio:{tmp_path}", SOUND)
    assert source.notes == [
        "1 files of 8000 Hz are resampled to 16000 Hz: they hold nothing above 4000 Hz",
        "1 files of 44100 Hz are resampled to 16000 Hz",
    ]
    assert len(source) == 3
    assert len(opened(f"audio:{tmp_path}", SOUND, sample_rate=44100)) == 15


def test_long_files_that_do_not_fit_in_memory_are_noted(tmp_path, monkeypatch):
    for number in range(3):
        sound(tmp_path / f"{number}.wav", 90, rate=4000)
    assert opened(f"audio:{tmp_path}", SOUND, sample_rate=4000).notes == []
    monkeypatch.setattr(audio_sources, "CACHE", 2 * 90 * 4000 * 4)
    assert opened(f"audio:{tmp_path}", SOUND, sample_rate=4000).notes == [
        "0.1 hours of sound, of which 0.1 are kept in memory: files of 2 minutes are decoded again and again; "
        "cut into pieces of a minute or less they are read faster"
    ]


def test_a_sound_cut_short_is_broken_as_a_whole(tmp_path, monkeypatch):
    decoded = []
    monkeypatch.setattr(audio, "decode", lambda path, rate: decoded.append(path) or decode(path, rate))
    for name in ("a.flac", "b.flac"):
        sound(tmp_path / name, 5)
    shorten(tmp_path / "a.flac")
    source = opened(f"audio:{tmp_path}", SOUND)
    assert len(source) == 8
    assert [source.example(index)[1] for index in (3, 0, 4)] == [1, 4, 0]
    np.testing.assert_array_equal(source[2]["x"], source[4]["x"])
    assert decoded.count(tmp_path / "a.flac") == 1
    assert [place for place, _ in source.skipped] == [str(tmp_path / "a.flac")]


def test_fingerprints_change_with_what_is_read(tmp_path):
    sound(tmp_path / "a" / "1.wav")
    place = f"audio:{tmp_path}"
    prints = {opened(place, SOUND, **options).fingerprint for options in ({}, {"overlap": 0.5}, {"sample_rate": 8000})}
    before = opened(place, SOUND).fingerprint
    assert opened(place, SOUND, workers=3, strict=True).fingerprint == before
    sound(tmp_path / "b" / "2.wav")
    assert len(prints | {opened(place, SOUND).fingerprint}) == 4
    assert all(len(word) == 16 for word in prints)
    photo(tmp_path / "1.png")
    place = f"images:{tmp_path}"
    assert len({opened(place, m, resize=r).fingerprint for m in (IMAGES, COLOUR) for r in ("box", "lanczos")}) == 4


def test_a_source_travels_to_a_worker(tmp_path):
    sound(tmp_path / "a.wav")
    for source in (opened("digits"), opened(f"audio:{tmp_path}", SOUND)):
        copy = pickle.loads(pickle.dumps(source))
        np.testing.assert_array_equal(copy[1]["x"], source[1]["x"])
        assert copy.fingerprint == source.fingerprint


def test_two_channels_are_not_an_image():
    with pytest.raises(DataError, match=r"model.nc=2: images have 1 or 3 channels"):
        opened("digits", DCGANConfig(nc=2))


def test_opening_loads_no_framework_and_no_more_than_needed():
    code = (
        "import sys; import shared_impl.data.stream, shared_impl.data.sources; before = set(sys.modules)\n"
        "from shared_impl.config.data import DataConfig; from shared_impl.config.systems import DCGANConfig\n"
        "shared_impl.data.sources.open_source(DataConfig(source='digits'), DCGANConfig())\n"
        "print([m for m in ('sklearn', 'grain', 'soundfile', 'PIL') if m in before],"
        "[m for m in ('tensorflow', 'keras', 'torch', 'librosa', 'soundfile') if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[3]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("[] []\n", "")
