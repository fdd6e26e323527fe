"""Inputs of a generator from the command line, and the files of samples."""

from __future__ import annotations

import wave
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from shared_impl.config.presets import ConfigError, load
from shared_impl.draws import Draws
from shared_impl.sampling.generation import (
    classes_in_turn,
    every_class,
    file_names,
    fixed_inputs,
    generate_samples,
    interpolate_latents,
    latents,
    parse_classes,
    parse_seeds,
)
from shared_impl.sampling.write_samples import write_samples
from shared_impl.storage.checkpoint_contents import class_names, generator_weights, spectrogram_moments
from shared_impl.storage.checkpoints import Checkpoint, CheckpointError

NAMES = ["cat", "dog", "2"]
DCGAN, SPECGAN = load("dcgan_tiny", ["model.nz=6"]), load("specgan_tiny", ["model.nz=6"])
CONDITIONED = load("conditional_dcgan_tiny", ["model.nz=6", "model.classes=3", "model.nc=1"])


def generator(config, side, asked=None):
    """Images filled with the first latent, or with their class, clips with it too."""

    def images(z, labels=None):
        value = z[:, 0] / 10 if labels is None else labels / 4
        return np.broadcast_to(value[:, None, None, None], (len(z), side, side, 1)).astype(np.float32)

    def clips(pictures, iterations, inverse):
        if asked is not None:
            asked.append((iterations, inverse))
        return np.repeat(pictures[:, 0, 0], 16384, axis=1)

    return SimpleNamespace(config=config, images=images, clips=clips)


def test_seeds_are_numbers_and_spans():
    assert parse_seeds("0-3,12, 5") == [0, 1, 2, 3, 12, 5]


@pytest.mark.parametrize("text", ["", "a", "3-1", "1,,2", "-1", "1-2-3"])
def test_other_seeds_are_rejected(text):
    with pytest.raises(ConfigError, match="expected numbers and spans such as 0-9,12"):
        parse_seeds(text)


def test_a_seed_is_one_latent_in_any_company():
    assert np.array_equal(latents(DCGAN, [4, 7])[1], latents(DCGAN, [7])[0])
    assert not np.any(latents(DCGAN, [4]) == latents(DCGAN, [7]))
    assert np.abs(latents(SPECGAN, range(50))).max() < 1 < np.abs(latents(DCGAN, range(50))).max()


@pytest.mark.parametrize("config", [DCGAN, SPECGAN], ids=["normal", "uniform"])
def test_interpolation_passes_through_the_seeds_latents(config):
    z, ends = interpolate_latents(config, [1, 2, 3], 5), latents(config, [1, 2, 3])
    assert z.shape == (10, 6)
    np.testing.assert_allclose(z[[0, 4, 5, 9]], ends[[0, 1, 1, 2]], rtol=1e-12, atol=1e-15)


def test_uniform_latents_are_joined_by_a_line_and_normal_ones_along_the_sphere():
    line, ends = interpolate_latents(SPECGAN, [1, 2], 3), latents(SPECGAN, [1, 2])
    np.testing.assert_allclose(line[1], ends.mean(0), rtol=1e-12)
    arc, ends = interpolate_latents(DCGAN, [1, 2], 3), latents(DCGAN, [1, 2])
    angles = [np.arccos(a @ arc[1] / np.linalg.norm(a) / np.linalg.norm(arc[1])) for a in ends]
    assert np.linalg.norm(arc[1]) > np.linalg.norm(ends.mean(0)) * 1.05  # a line would pass nearer to the origin
    assert sum(angles) == pytest.approx(np.arccos(ends[0] @ ends[1] / np.prod(np.linalg.norm(ends, axis=1))), rel=1e-9)


@pytest.mark.parametrize(("seeds", "count"), [([1], 5), ([1, 2], 1)])
def test_too_little_to_interpolate_is_rejected(seeds, count):
    with pytest.raises(ConfigError, match="expected two or more of each"):
        interpolate_latents(DCGAN, seeds, count)


def test_images_grid_and_arrays_are_written(tmp_path):
    z = latents(DCGAN, range(3))
    made = list(
        write_samples(generator(DCGAN, 64), (z,), ["a", "b", "c"], tmp_path, ["images", "grid", "npz"], columns=3)
    )
    assert [path.name for path in made] == ["a.png", "b.png", "c.png", "grid.png", "samples.npz"]
    assert Image.open(tmp_path / "b.png").size == (64, 64)
    assert Image.open(tmp_path / "grid.png").size == (3 * 66 + 2, 68)
    with np.load(tmp_path / "samples.npz") as arrays:
        assert np.array_equal(arrays["latents"], z)
        assert arrays["images"].shape == (3, 64, 64, 1)


def test_a_wav_has_its_spectrogram_beside_it(tmp_path):
    asked = []
    made = list(
        write_samples(
            generator(SPECGAN, 128, asked),
            (latents(SPECGAN, [5]),),
            ["x"],
            tmp_path,
            ["wav"],
            iterations=3,
            inverse="corrected",
        )
    )
    assert [path.name for path in made] == ["x.wav", "x.spectrogram.png"]
    assert asked == [(3, "corrected")]
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert (file.getframerate(), file.getnframes(), file.getsampwidth()) == (16000, 16384, 2)


def test_images_make_no_sound(tmp_path):
    with pytest.raises(ConfigError, match="format wav: dcgan makes images"):
        list(write_samples(generator(DCGAN, 64), (latents(DCGAN, [1]),), ["x"], tmp_path, ["wav"]))


def test_samples_come_in_the_form_of_the_data():
    assert generate_samples(generator(DCGAN, 64), latents(DCGAN, range(70))).dtype == np.uint8
    clips = generate_samples(generator(SPECGAN, 128), latents(SPECGAN, range(70)))
    assert clips.shape == (70, 16384) and clips.dtype == np.float32


def test_the_moving_average_makes_the_samples_if_there_is_one(tmp_path):
    plain = {"generator/a": np.ones(1), "discriminator/a": np.zeros(1)}
    assert generator_weights(Checkpoint(tmp_path, plain, {}))["a"] == 1
    assert generator_weights(Checkpoint(tmp_path, {**plain, "ema/a": np.full(1, 2.0)}, {}))["a"] == 2
    with pytest.raises(CheckpointError, match="holds no generator"):
        generator_weights(Checkpoint(tmp_path, {"discriminator/a": np.zeros(1)}, {}))


def test_moments_come_with_the_checkpoint(tmp_path):
    arrays = {"moments/mean": np.arange(3.0), "moments/std": np.ones(3)}
    mean, std = spectrogram_moments(Checkpoint(tmp_path, arrays, {}))
    assert mean.tolist() == [0, 1, 2] and std.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", [0, 1, 2]),
        ("dog,cat", [1, 0]),
        ("0, 1", [0, 1]),
        ("dog,0,2", [1, 0, 2]),
        ("2", [2]),
        ("0,dog,cat,1", [0, 1]),
    ],
)
def test_classes_are_names_or_numbers(text, expected):
    assert parse_classes(text, NAMES) == expected


def test_a_name_goes_before_a_number():
    assert parse_classes("1,9,2", ["1", "9", "10"]) == [0, 1, 2]
    assert parse_classes("all", ["none", "all"]) == [1]


@pytest.mark.parametrize("text", ["", "horse", "3", "-1", "cat,,dog", "cat,all"])
def test_other_classes_are_rejected(text):
    with pytest.raises(ConfigError, match=r"expected all, or names or numbers \(0 to 2\) of the 3 classes cat, dog, 2"):
        parse_classes(text, NAMES)


def test_every_class_gets_the_same_latents():
    z, labels = every_class(np.arange(6.0).reshape(2, 3), [2, 0])
    assert labels.tolist() == [2, 2, 0, 0] and labels.dtype == np.int64
    assert np.array_equal(z[:2], z[2:]) and z[:2].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(("count", "each"), [(3, 1), (8, 2), (9, 3), (1, 1)])
def test_what_shows_a_run_is_a_row_of_the_same_latents_a_class(count, each):
    z, labels = fixed_inputs(CONDITIONED, count)
    assert labels.tolist() == [0] * each + [1] * each + [2] * each
    assert all(np.array_equal(z[:each], z[n * each : (n + 1) * each]) for n in (1, 2))
    assert len(np.unique(z[:, 0])) == each


def test_what_shows_a_run_without_classes_is_latents():
    for config in (DCGAN, SPECGAN):
        (z,) = fixed_inputs(config, 5)
        expected = Draws(config.training.seed).latents(config.training.latents, "samples", (5, 6))
        assert np.array_equal(z, expected)


def test_classes_are_asked_for_in_turn():
    z = latents(CONDITIONED, range(7))
    same, labels = classes_in_turn(CONDITIONED, z)
    assert np.array_equal(same, z) and labels.tolist() == [0, 1, 2, 0, 1, 2, 0] and labels.dtype == np.int64
    assert len(classes_in_turn(DCGAN, z)) == 1


def test_names_of_classes_make_names_of_files():
    assert file_names(["cat", "10/not dark", "\u732b"]) == ["cat", "10-not-dark", "\u732b"]
    assert file_names(["a/b", "a b", "c"]) == ["0-a-b", "1-a-b", "2-c"]
    assert file_names(["A", "a"]) == ["0-A", "1-a"]  # one file on many disks


def test_names_of_classes_come_with_the_checkpoint(tmp_path):
    assert class_names(Checkpoint(tmp_path, {}, {"classes": NAMES}), CONDITIONED) == NAMES
    assert class_names(Checkpoint(tmp_path, {}, {}), CONDITIONED) == ["0", "1", "2"]
    assert class_names(Checkpoint(tmp_path, {}, {}), DCGAN) == []


def test_a_grid_has_a_row_for_each_class(tmp_path):
    inputs = every_class(latents(CONDITIONED, range(4)), [2, 0])
    made = generator(CONDITIONED, 32)
    names = [f"{n}" for n in range(8)]
    assert [p.name for p in write_samples(made, inputs, names, tmp_path, ["grid", "npz"], rows=["2", "cat"])] == [
        "grid.png",
        "samples.npz",
    ]
    picture = np.asarray(Image.open(tmp_path / "grid.png"))
    assert picture.shape[0] == 2 * 34 + 2 and picture.shape[1] > 4 * 34 + 2
    assert len(set(picture[18, -136::34].tolist())) == 1 and picture[18, -20] != picture[52, -20]
    with np.load(tmp_path / "samples.npz") as arrays:
        assert arrays["labels"].tolist() == [2] * 4 + [0] * 4 and arrays["labels"].dtype == np.int64
        assert sorted(arrays) == ["images", "labels", "latents"]
    list(write_samples(made, inputs, names, tmp_path, ["grid"], 8, rows=["2", "cat"]))
    assert Image.open(tmp_path / "grid.png").size == (8 * 34 + 2, 36)


def test_samples_of_classes_are_made_in_portions():
    inputs = every_class(latents(CONDITIONED, range(50)), [0, 2])
    found = generate_samples(generator(CONDITIONED, 32), *inputs)
    assert found.shape == (100, 32, 32, 1)
    assert len(np.unique(found[:50])) == len(np.unique(found[50:])) == 1 and found[0].max() != found[99].max()
