"""Which latents are generated from, and what is written."""

from __future__ import annotations

import wave
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from common.checkpoints import Checkpoint, CheckpointError
from common.config import ConfigError, load
from common.generation import between, generated, latents, moments_in, parse_seeds, weights_in, write

DCGAN, SPECGAN = load("dcgan_tiny", ["model.nz=6"]), load("specgan_tiny", ["model.nz=6"])


def generator(config, side, asked=None):
    """Images filled with the first latent, clips with it too."""

    def images(z):
        return np.broadcast_to(z[:, :1, None, None], (len(z), side, side, 1)).astype(np.float32) / 10

    def clips(pictures, iterations, inverse):
        if asked is not None:
            asked.append((iterations, inverse))
        return np.repeat(pictures[:, 0, 0], 16384, axis=1)

    return SimpleNamespace(config=config, images=images, clips=clips)


def test_seeds_are_numbers_and_spans():
    assert parse_seeds("0-3,12, 5") == [0, 1, 2, 3, 12, 5]


@pytest.mark.parametrize("text", ["", "a", "3-1", "1,,2", "-1", "1-2-3"])
def test_other_seeds_are_refused(text):
    with pytest.raises(ConfigError, match="expected numbers and spans such as 0-9,12"):
        parse_seeds(text)


def test_a_seed_is_one_latent_in_any_company():
    assert np.array_equal(latents(DCGAN, [4, 7])[1], latents(DCGAN, [7])[0])
    assert not np.any(latents(DCGAN, [4]) == latents(DCGAN, [7]))
    assert np.abs(latents(SPECGAN, range(50))).max() < 1 < np.abs(latents(DCGAN, range(50))).max()


@pytest.mark.parametrize("config", [DCGAN, SPECGAN], ids=["normal", "uniform"])
def test_interpolation_passes_through_the_seeds_latents(config):
    z, ends = between(config, [1, 2, 3], 5), latents(config, [1, 2, 3])
    assert z.shape == (10, 6)
    np.testing.assert_allclose(z[[0, 4, 5, 9]], ends[[0, 1, 1, 2]], rtol=1e-12, atol=1e-15)


def test_uniform_latents_are_joined_by_a_line_and_normal_ones_along_the_sphere():
    line, ends = between(SPECGAN, [1, 2], 3), latents(SPECGAN, [1, 2])
    np.testing.assert_allclose(line[1], ends.mean(0), rtol=1e-12)
    arc, ends = between(DCGAN, [1, 2], 3), latents(DCGAN, [1, 2])
    angles = [np.arccos(a @ arc[1] / np.linalg.norm(a) / np.linalg.norm(arc[1])) for a in ends]
    assert np.linalg.norm(arc[1]) > np.linalg.norm(ends.mean(0)) * 1.05  # a line would pass nearer to the origin
    assert sum(angles) == pytest.approx(np.arccos(ends[0] @ ends[1] / np.prod(np.linalg.norm(ends, axis=1))), rel=1e-9)


@pytest.mark.parametrize(("seeds", "count"), [([1], 5), ([1, 2], 1)])
def test_too_little_to_interpolate_is_refused(seeds, count):
    with pytest.raises(ConfigError, match="expected two or more of each"):
        between(DCGAN, seeds, count)


def test_images_grid_and_arrays_are_written(tmp_path):
    z = latents(DCGAN, range(3))
    made = list(write(generator(DCGAN, 64), z, ["a", "b", "c"], tmp_path, ["images", "grid", "npz"], columns=3))
    assert [path.name for path in made] == ["a.png", "b.png", "c.png", "grid.png", "samples.npz"]
    assert Image.open(tmp_path / "b.png").size == (64, 64)
    assert Image.open(tmp_path / "grid.png").size == (3 * 66 + 2, 68)
    with np.load(tmp_path / "samples.npz") as arrays:
        assert np.array_equal(arrays["latents"], z)
        assert arrays["images"].shape == (3, 64, 64, 1)


def test_a_wav_has_its_spectrogram_beside_it(tmp_path):
    asked = []
    made = list(
        write(
            generator(SPECGAN, 128, asked),
            latents(SPECGAN, [5]),
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
        list(write(generator(DCGAN, 64), latents(DCGAN, [1]), ["x"], tmp_path, ["wav"]))


def test_samples_come_in_the_form_of_the_data():
    assert generated(generator(DCGAN, 64), latents(DCGAN, range(70))).dtype == np.uint8
    clips = generated(generator(SPECGAN, 128), latents(SPECGAN, range(70)))
    assert clips.shape == (70, 16384) and clips.dtype == np.float32


def test_the_moving_average_makes_the_samples_if_there_is_one(tmp_path):
    plain = {"generator/a": np.ones(1), "discriminator/a": np.zeros(1)}
    assert weights_in(Checkpoint(tmp_path, plain, {}))["a"] == 1
    assert weights_in(Checkpoint(tmp_path, {**plain, "ema/a": np.full(1, 2.0)}, {}))["a"] == 2
    with pytest.raises(CheckpointError, match="holds no generator"):
        weights_in(Checkpoint(tmp_path, {"discriminator/a": np.zeros(1)}, {}))


def test_moments_come_with_the_checkpoint(tmp_path):
    arrays = {"moments/mean": np.arange(3.0), "moments/std": np.ones(3)}
    mean, std = moments_in(Checkpoint(tmp_path, arrays, {}))
    assert mean.tolist() == [0, 1, 2] and std.tolist() == [1, 1, 1]
