"""A golden record that is damaged or contradicts the format is one clear line that names its file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from parity.systems.golden import check
from parity.verdict import UnusableInput
from tests.parity.systems.golden.copies import copied, drop, edit, first_value, put

pytestmark = pytest.mark.usefixtures("replayed_once")


def assert_one_line(folder: Path, file: str, message: str) -> None:
    with pytest.raises(UnusableInput, match=message) as caught:
        check(folder)
    assert str(caught.value).startswith(f"{folder / file}")
    assert "\n" not in str(caught.value)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones(3))


def foreign_member(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("first_fake", "no array")


def options(setting: str, **changed):
    return edit(lambda content: content[setting].update(changed))


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("dcgan_training.npz", Path.unlink, "missing, although dcgan_training.json is there"),
        ("dcgan_training.json", Path.unlink, "missing, although dcgan_training.npz is there"),
        ("dcgan_training.npz", halve, "cannot be read as an npz archive"),
        ("dcgan_training.npz", lambda path: path.write_bytes(b""), "cannot be read as an npz archive"),
        ("dcgan_training.npz", lambda path: path.write_text("no archive"), "cannot be read as an npz archive"),
        ("dcgan_training.npz", one_array, "it is a single array"),
        ("dcgan_training.npz", foreign_member, "cannot be read as an npz archive: first_fake: it is no array|missing"),
        ("specgan_spectrogram.npz", flip, "cannot be read as an npz archive"),
        ("dcgan_training.json", halve, "cannot be read as JSON"),
        ("dcgan_training.json", lambda path: path.write_bytes(b"\xff\xfe{}"), "cannot be read as JSON"),
        ("dcgan_training.json", lambda path: path.write_text("[]"), "expected a non-empty JSON object"),
        ("dcgan_training.npz", drop("first_fake"), "missing first_fake"),
        ("dcgan_training.npz", first_value("first_fake"), r"first_fake holds nan at \[0, 0, 0, 0\]"),
        ("dcgan_training.npz", first_value("loss_D", np.inf), r"loss_D holds inf at \[0\]"),
        ("dcgan_training.npz", put("first_logits", np.ones(5)), r"first_logits has shape \(5,\), the settings imply"),
        ("dcgan_training.npz", put("first_logits", np.array(list("abcd"))), "first_logits holds <U1"),
        ("dcgan_training.npz", put("first_logits", np.ones(4, complex)), "first_logits holds complex128"),
        ("dcgan_training.npz", put("first_logits", np.array([{}] * 4)), "npz archive: first_logits: Object arrays"),
        ("dcgan_training.npz", drop("loss_G"), "missing loss_G"),
        ("dcgan_training.npz", drop("final/G/1.running_var"), "missing final/G/1.running_var"),
        ("dcgan_training.npz", put("final/D/0.weight", np.ones(3)), r"final/D/0.weight has shape \(3,\), the settings"),
        ("dcgan_training.json", drop("seed"), "seed is missing"),
        ("dcgan_training.json", put("seed", -1), "seed is -1"),
        ("dcgan_training.json", put("seed", 1.5), "seed is 1.5"),
        ("dcgan_training.json", put("gf", 10**9), "gf is 1000000000: .* less than or equal to 256"),
        ("dcgan_training.json", put("gf", 5), r"generator: variable 0.weight is \(16, 32, 4, 4\), the network .* has"),
        ("dcgan_training.json", put("generator_parameters", [["0.weight", 3]]), "generator_parameters.0.1 is 3"),
        ("dcgan_training.json", put("generator_parameters", []), "variable 0.weight is not listed"),
        ("specgan_training.npz", first_value("wgan/G_loss"), r"wgan/G_loss holds nan at \[0\]"),
    ],
)
def test_missing_or_damaged_file_is_one_clear_line(tmp_path, file, damage, message):
    copied(tmp_path, "dcgan_training", Path(file).stem)
    damage(tmp_path / file)
    assert_one_line(tmp_path, file, message)


def test_dcgan_arrays_that_contradict_the_settings_are_one_clear_line(dcgan):
    put("steps", 4)(dcgan / "dcgan_training.json")
    assert_one_line(dcgan, "dcgan_training.npz", r"loss_D has shape \(3,\), the settings imply \(4,\)")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("npz", drop("batchnorm_train/generator_output"), "missing batchnorm_train/generator_output"),
        (
            "npz",
            drop("batchnorm_train/after/G/upconv_3/batch_normalization/moving_mean"),
            "missing batchnorm_train/after/G/upconv_3/batch_normalization/moving_mean",
        ),
        ("npz", put("batchnorm_train/generator_output", np.ones((2, 128, 128, 1), int)), "holds int64, expected float"),
        ("json", put("batchnorm_train", 3), "setting 'batchnorm_train': expected an object, got int"),
        ("json", put("another", {}), "setting 'another': dim is missing"),
        ("json", options("batchnorm_train", use_bn=False), "has none such"),
        ("json", options("batchnorm_train", use_bn="yes"), "use_bn is 'yes'"),
        ("json", options("batchnorm_train", dim=float("nan")), "dim is nan"),
        ("json", options("batchnorm_train", dim=10**9), "dim is 1000000000: .* less than or equal to 256"),
        ("json", options("batchnorm_train", kernel_len=4), r"is \(5, 5, 32, 64\), the network"),
        ("json", edit(lambda content: content["batchnorm_train"]["discriminator_variables"].pop()), "is not listed"),
    ],
)
def test_contradiction_in_the_forward_record_is_one_clear_line(specgan, file, change, message):
    change(specgan / f"specgan_forward.{file}")
    assert_one_line(specgan, "specgan_forward.", message)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("npz", drop("wgan/order"), "missing wgan/order"),
        ("npz", drop("wgan/G_loss"), "missing wgan/G_loss"),
        ("npz", drop("wgan/final/D/output/dense/bias"), "missing wgan/final/D/output/dense/bias"),
        ("npz", put("wgan/G_loss", np.ones(11)), r"wgan/G_loss has shape \(11,\), the settings imply \(12,\)"),
        ("npz", put("wgan/order", np.arange(12.0)), "wgan/order holds float64, expected text"),
        (
            "npz",
            put("wgan/order", np.array(list("DDDDDGDDDGDD"))),
            "update 9 is 'G', loops=2 and disc_nupdates=5 imply",
        ),
        ("json", put("wgan", []), "setting 'wgan': expected an object, got list"),
        ("json", options("wgan", disc_nupdates=0), "disc_nupdates is 0"),
        ("json", options("wgan", disc_nupdates=1), r"wgan/order has shape \(12,\), the settings imply \(4,\)"),
        ("json", options("wgan", loops=10**9), r"wgan/order has shape \(12,\), the settings imply"),
        ("json", options("wgan", loops=10**15), r"loops is 1000000000000000: input should be less than or equal to"),
        ("json", options("wgan", batch=10**9), "batch is 1000000000: .* less than or equal to 1024"),
        ("json", options("wgan", dim=3), r"wgan: variable G/z_project/dense/kernel is \(16, 512\), .* \(16, 768\)"),
        ("json", options("wgan", kernel_len=4), r"variable G/upconv_0/conv2d_transpose/kernel is \(5, 5, .* \(4, 4, "),
        ("json", options("wgan", use_bn=1), "use_bn is 1"),
        ("json", options("wgan", use_bn=True), "gamma is not listed, the network of these settings has"),
        ("json", options("wgan", upsample="nn"), "conv2d_transpose/kernel is .*, the network .* has none such"),
        ("json", options("wgan", seed=2**32 - 100), "seed is 4294967196"),
    ],
)
def test_contradiction_in_the_training_record_is_one_clear_line(training, file, change, message):
    folder = training("wgan")
    change(folder / f"specgan_training.{file}")
    assert_one_line(folder, "specgan_training.", message)


def named_set(arrays: dict) -> None:
    """The unnamed set once more, as ``quick``."""
    arrays |= {f"quick_{key}": value for key, value in arrays.items()}


def settings(content: str):
    return lambda path: path.with_suffix(".json").write_text(content)


@pytest.mark.parametrize(
    ("change", "file", "message"),
    [
        (drop("griffin_lim"), "npz", "missing griffin_lim"),
        (put("waveform", np.ones((4, 16000))), "npz", r"waveform has shape \(4, 16000\), .* imply \(4, 16384\)"),
        (put("waveform", np.float32(1)), "npz", r"waveform has shape \(\), the settings imply \(0, 16384\)"),
        (put("waveform", np.ones((4, 16384), np.longdouble)), "npz", r"waveform holds float128|waveform holds float"),
        (put("std", np.zeros(129)), "npz", "expected at least one waveform, and a positive std for every bin"),
        (put("image", np.zeros((4, 128, 128, 1))), "npz", "image holds float64, expected unsigned whole numbers"),
        (put("mean", np.zeros(129, int)), "npz", "mean holds int64, expected floating-point numbers"),
        (drop("quick_std"), "npz", "missing quick_std"),
        (put("quick_std", np.zeros(129)), "npz", "set 'quick': expected at least one waveform, and a positive std"),
        (put("quick_waveform", np.ones((0, 16384))), "npz", r"quick_spectrogram has shape \(4, .* imply \(0, 128"),
        (first_value("quick_griffin_lim"), "npz", r"quick_griffin_lim holds nan at \[0, 0, 0\]"),
        (settings('{"slow": {}}'), "npz", "missing slow_waveform, slow_mean"),
        (settings('{"Quick": {}}'), "npz", "missing Quick_waveform, Quick_mean"),
        (settings('{"quick": 3}'), "json", "setting 'quick': expected an object, got int"),
        (settings('{"quick": {"griffin_lim_rounds": -1}}'), "json", "'quick': griffin_lim_rounds is -1"),
        (settings('{"quick": {"griffin_lim_rounds": "3"}}'), "json", "'quick': griffin_lim_rounds is '3'"),
        (settings('{"quick": {"griffin_lim_rounds": 2.5}}'), "json", "'quick': griffin_lim_rounds is 2.5"),
        (settings('{"quick": {"griffin_lim_rounds": NaN}}'), "json", "'quick': griffin_lim_rounds is nan"),
        (settings('{"quick": {"griffin_lim_rounds": true}}'), "json", "'quick': griffin_lim_rounds is True"),
        (settings('{"quick": {"griffin_lim_rounds": null}}'), "json", "'quick': griffin_lim_rounds is None"),
        (settings('{"quick": {"griffin_lim_rounds": 1000000}}'), "json", "griffin_lim_rounds is 1000000: .* 1000"),
        (settings('{"": {"griffin_lim_rounds": -1}}'), "json", "griffin_lim_rounds is -1"),
        (settings("[3]"), "json", "expected a JSON object of settings"),
        (settings("{"), "json", "cannot be read as JSON"),
    ],
)
def test_contradiction_in_the_record_of_spectrograms_is_one_clear_line(spectrogram, change, file, message):
    path = spectrogram / "specgan_spectrogram.npz"
    edit(named_set)(path)
    change(path)
    assert_one_line(spectrogram, f"specgan_spectrogram.{file}", message)


def test_settings_of_spectrograms_without_an_archive_are_one_clear_line(dcgan):
    (dcgan / "specgan_spectrogram.json").write_text("{}")
    assert_one_line(dcgan, "specgan_spectrogram.npz", "missing, although specgan_spectrogram.json is there")


def test_folder_without_records_is_one_clear_line(tmp_path):
    assert_one_line(tmp_path, "", "holds no golden record")
    assert_one_line(tmp_path / "nowhere", "", "no such folder")
