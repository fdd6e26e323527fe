"""Golden records: the project's own copy passes, one changed number fails by name, a damaged file is one clear line."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import wraps
from pathlib import Path

import keras
import numpy as np
import pytest

import tf_impl.spectrogram
import torch_impl.spectrogram
from parity.systems.golden import GoldenResult, check, render, spectrograms
from parity.systems.golden.draws import specgan_weights
from parity.systems.golden.records import OWN
from parity.systems.golden.results import LIMITS, SHOWN_FAILURES
from parity.verdict import UnusableInput
from tests.parity.systems.golden.copies import copied, drop, edit, only, put, rewritten


@pytest.fixture
def dcgan(tmp_path) -> Path:
    """The quickest record alone."""
    return copied(tmp_path, "dcgan_training")


@pytest.fixture
def specgan(tmp_path) -> Path:
    """One setting of the forward record alone, with batch norm in training mode."""
    return only(tmp_path, "specgan_forward", "batchnorm_train")


def test_own_records_pass_in_both_frameworks_and_nothing_is_skipped_in_silence():
    results = check()
    judged = [result for result in results if result.judgement != "abstain"]
    assert [result.message for result in judged if not result.passed] == []
    assert {result.framework for result in judged} == {"Keras", "torch"}
    for record in ("specgan_forward", "specgan_training"):
        settings = {result.setting for result in judged if result.record == record}
        assert settings == set(json.loads((OWN / f"{record}.json").read_text()))
    recorded = {path.stem: set(np.load(path).files) for path in OWN.glob("*.npz")}
    recorded["specgan_spectrogram"].remove("waveform")  # what everything else in that record is made from
    for framework in ("Keras", "torch"):
        found = {(result.record, result.setting, result.quantity) for result in judged if result.framework == framework}
        missing = {
            f"{record}/{key}"
            for record, keys in recorded.items()
            for key in keys - {"/".join(filter(None, names[1:])) for names in found if names[0] == record}
        }
        counts = {key for key in missing if key.endswith("num_batches_tracked")}  # which Keras does not keep
        assert missing == counts and len(counts) == {"Keras": 7, "torch": 0}[framework]
    assert all(result.judgement != "abstain" for result in results)
    assert render(results).endswith("184 of 184 recorded arrays agree in Keras and torch")


def test_checking_leaves_keras_as_it_was(dcgan):
    before = keras.config.floatx(), keras.config.dtype_policy().name
    check(dcgan)
    assert (keras.config.floatx(), keras.config.dtype_policy().name) == before


@pytest.mark.parametrize("quantity", ["first_fake", "first_logits"])
def test_one_changed_number_of_dcgan_fails_in_both_frameworks(dcgan, quantity):
    value = []

    def change(arrays):
        arrays[quantity].flat[3] *= 1 + 1e-9
        value.append(arrays[quantity].flat[3])

    rewritten(dcgan / "dcgan_training.npz", change)
    failed = [result for result in check(dcgan) if not result.passed]
    assert [(result.framework, result.quantity) for result in failed] == [("Keras", quantity), ("torch", quantity)]
    for result in failed:
        assert np.ravel_multi_index(result.index, (4, 1, 64, 64)[: len(result.index)]) == 3
        assert result.expected == value[0] != result.got
        assert f"dcgan_training/{quantity}: {result.framework} is" in result.message
        assert "the record itself stands apart" in result.message


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [
        ("generator_output", 1e-4),
        ("discriminator_logits", 1e-4),
        ("after/G/z_project/batch_normalization/moving_mean", 2e-6),
        ("after/G/upconv_2/batch_normalization/moving_variance", 2e-6),
    ],
)
def test_one_changed_number_of_specgan_fails_in_both_frameworks(specgan, quantity, amount):
    def change(arrays):
        arrays[f"batchnorm_train/{quantity}"].flat[1] += amount

    rewritten(specgan / "specgan_forward.npz", change)
    results = check(specgan)
    failed = [result for result in results if not result.passed]
    assert [(result.framework, result.quantity) for result in failed] == [("Keras", quantity), ("torch", quantity)]
    assert all(result.setting == "batchnorm_train" and result.error > result.limit for result in failed)
    text = render(results)
    assert f"FAIL specgan_forward/batchnorm_train/{quantity}: torch is" in text
    assert "11 of 12 recorded arrays agree" in text


def test_a_biased_running_variance_would_be_seen(specgan):
    """The limit tells TF 1's unbiased variance from Keras 3's biased one: n/(n-1) is 1 + 1/31 after z_project."""

    def change(arrays):
        key = "batchnorm_train/after/G/z_project/batch_normalization/moving_variance"
        drawn = dict(specgan_weights(settings["generator_variables"], settings["seed"]))
        old = 0.99 * drawn["G/z_project/batch_normalization/moving_variance"]
        arrays[key] = (old + (arrays[key] - old) * 31 / 32).astype(np.float32)

    settings = json.loads((specgan / "specgan_forward.json").read_text())["batchnorm_train"]
    rewritten(specgan / "specgan_forward.npz", change)
    failed = [result for result in check(specgan) if not result.passed]
    assert {result.quantity for result in failed} == {"after/G/z_project/batch_normalization/moving_variance"}
    assert all(result.error > 1000 * LIMITS["moving-average"] for result in failed)


def test_a_fault_of_one_framework_is_not_blamed_on_the_record(dcgan, monkeypatch):
    import torch_impl

    build = torch_impl.DCGANGenerator.__init__

    @wraps(build)
    def faulty(self, *args, **kwargs):
        build(self, *args, **kwargs)
        self.upconv_1_bn.eps = 1e-3

    monkeypatch.setattr(torch_impl.DCGANGenerator, "__init__", faulty)
    results = {(result.quantity, result.framework): result for result in check(dcgan)}
    assert results["first_fake", "Keras"].passed
    assert not results["first_fake", "torch"].passed
    assert "stands apart" not in results["first_fake", "torch"].message


def test_a_long_list_of_failures_is_cut_with_a_count(dcgan):
    rewritten(dcgan / "dcgan_training.npz", lambda arrays: arrays["first_fake"].__imul__(2))
    failed = [result for result in check(dcgan) if not result.passed]
    text = render(failed * SHOWN_FAILURES)
    assert text.count("\nFAIL ") == SHOWN_FAILURES
    assert f"... and {len(failed) * SHOWN_FAILURES - SHOWN_FAILURES} more failures" in text


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones(3))


def broken(key, value=np.nan):
    return edit(lambda arrays: arrays[key].__setitem__((0,) * arrays[key].ndim, value))


def reset(**options):
    return edit(lambda content: content["batchnorm_train"].update(options))


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("dcgan_training.npz", Path.unlink, "missing, although dcgan_training.json is there"),
        ("dcgan_training.json", Path.unlink, "missing, although dcgan_training.npz is there"),
        ("dcgan_training.npz", halve, "cannot be read as an npz archive"),
        ("dcgan_training.npz", lambda path: path.write_bytes(b""), "cannot be read as an npz archive"),
        ("dcgan_training.npz", lambda path: path.write_text("no archive"), "cannot be read as an npz archive"),
        ("dcgan_training.npz", one_array, "it is a single array"),
        ("specgan_spectrogram.npz", flip, "cannot be read as an npz archive"),
        ("dcgan_training.json", halve, "cannot be read as JSON"),
        ("dcgan_training.json", lambda path: path.write_bytes(b"\xff\xfe{}"), "cannot be read as JSON"),
        ("dcgan_training.json", lambda path: path.write_text("[]"), "expected a non-empty JSON object"),
        ("dcgan_training.npz", drop("first_fake"), "missing first_fake"),
        ("dcgan_training.npz", broken("first_fake"), r"first_fake holds nan at \[0, 0, 0, 0\]"),
        ("dcgan_training.npz", broken("loss_D", np.inf), r"loss_D holds inf at \[0\]"),
        ("dcgan_training.npz", put("first_logits", np.ones(5)), r"first_logits has shape \(5,\), the settings imply"),
        ("dcgan_training.npz", put("first_logits", np.array(list("abcd"))), "first_logits holds <U1"),
        ("dcgan_training.npz", put("first_logits", np.array([{}] * 4)), "cannot be read as an npz archive"),
        ("dcgan_training.json", drop("seed"), "seed is missing"),
        ("dcgan_training.json", put("seed", -1), "seed is -1"),
        ("dcgan_training.json", put("seed", 1.5), "seed is 1.5"),
        ("dcgan_training.json", put("gff", 4), "unknown field gff, did you mean gf"),
        ("dcgan_training.json", put("gf", 5), r"generator: variable 0.weight is \(16, 32, 4, 4\), the network .* has"),
        ("dcgan_training.json", put("generator_parameters", [["0.weight", 3]]), "generator_parameters.0.1 is 3"),
        ("dcgan_training.json", put("generator_parameters", []), "variable 0.weight is not listed"),
        ("specgan_training.npz", broken("wgan/G_loss"), r"wgan/G_loss holds nan at \[0\]"),
    ],
)
def test_a_missing_or_damaged_file_is_one_clear_line(tmp_path, file, damage, message):
    copied(tmp_path, "dcgan_training", Path(file).stem)
    path = tmp_path / file
    damage(path)
    with pytest.raises(UnusableInput, match=message) as caught:
        check(tmp_path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("npz", put("stranger/generator_output", np.ones(3)), "stranger/generator_output belongs to no setting"),
        ("npz", put("batchnorm_train/extra", np.ones(3)), "batchnorm_train/extra: the network .* has no such quantity"),
        ("npz", drop("batchnorm_train/generator_output"), "missing batchnorm_train/generator_output"),
        (
            "npz",
            drop("batchnorm_train/after/G/upconv_3/batch_normalization/moving_mean"),
            "missing batchnorm_train/after/G/upconv_3/batch_normalization/moving_mean",
        ),
        ("json", put("batchnorm_train", 3), "setting 'batchnorm_train': expected an object, got int"),
        ("json", put("another", {}), "setting 'another': dim is missing"),
        ("json", reset(upsample="lin"), "upsample is 'lin', did you mean"),
        ("json", reset(use_bn=False), "has none such"),
        ("json", reset(kernel_len=4), r"is \(5, 5, 32, 64\), the network"),
        ("json", edit(lambda content: content["batchnorm_train"]["discriminator_variables"].pop()), "is not listed"),
    ],
)
def test_what_does_not_fit_the_forward_record_s_format_is_one_clear_line(specgan, file, change, message):
    path = specgan / f"specgan_forward.{file}"
    change(path)
    with pytest.raises(UnusableInput, match=message) as caught:
        check(specgan)
    assert str(caught.value).startswith(str(specgan / "specgan_forward."))
    assert "\n" not in str(caught.value)


def test_a_folder_without_records_is_one_clear_line(tmp_path):
    with pytest.raises(UnusableInput, match="holds no golden record"):
        check(tmp_path)
    with pytest.raises(UnusableInput, match="no such folder"):
        check(tmp_path / "nowhere")


def test_records_that_are_not_there_are_named(dcgan):
    absent = [result.record for result in check(dcgan) if "not in" in result.message]
    assert absent == ["specgan_forward", "specgan_training", "specgan_spectrogram"]


def test_a_record_never_seen_before_is_judged_like_the_others(specgan):
    """Another width, kernel, upsampling and seed: what torch's implementation makes of it, recorded, passes in Keras's."""
    from parity.systems.golden.networks import specgan_forward
    from parity.systems.golden.records import SpecGANSetting, read_folder

    def narrower(content):
        setting = content.pop("batchnorm_train")
        setting |= {"dim": 2, "kernel_len": 4, "upsample": "cubic", "latent": 7, "seed": 5, "batch": 3}
        for network in ("generator_variables", "discriminator_variables"):
            setting[network] = [[name, narrow(name, shape)] for name, shape in setting[network]]
        content["new"] = setting

    def narrow(name, shape):
        halved = [n if n == 1 else n // 2 for n in shape]
        if len(shape) == 4:
            wide, deep = halved[2:]
            return [4, 4, *((deep, wide) if "upconv" in name else (wide, deep))]
        return [7, *halved[1:]] if "z_project/dense/kernel" in name else halved

    rewritten(specgan / "specgan_forward.json", narrower)
    path = specgan / "specgan_forward.json"
    path.write_text(path.read_text().replace("conv2d_transpose", "conv2d"))
    record = read_folder(specgan)["specgan_forward"]
    setting = record.setting(SpecGANSetting, record.settings["new"])
    made = specgan_forward(record, "new", setting)[0]["torch"]
    np.savez(specgan / "specgan_forward.npz", **{f"new/{key}": value for key, value in made.items()})
    judged = [result for result in check(specgan) if result.judgement != "abstain"]
    assert len(judged) == 2 * 12
    assert [result.message for result in judged if not result.passed] == []


def test_the_package_and_its_damage_reports_need_no_framework(tmp_path):
    code = (
        "import sys, parity.systems.golden.records, parity.systems.golden.draws, parity.systems.golden.results\n"
        "print(*(name for name in ('torch', 'tensorflow', 'keras') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_record_stands_in_the_provenance():
    text = (OWN / "README.md").read_text(encoding="utf-8")
    for path in [*OWN.glob("*.npz"), *OWN.glob("*.json")]:
        assert f"`{path.stem}" in text


@pytest.fixture
def sound(tmp_path) -> Path:
    """The record of spectrograms alone."""
    return copied(tmp_path, "specgan_spectrogram")


def failures(folder: Path) -> dict[tuple[str, str], GoldenResult]:
    return {(result.quantity, result.framework): result for result in check(folder) if not result.passed}


@pytest.mark.parametrize(
    ("quantity", "index", "amount"),
    [
        ("mean", (5,), 2e-5),
        ("std", (128,), 3e-5),
        ("spectrogram", (2, 31, 17, 0), 4e-4),
        ("griffin_lim", (1, 9000, 0), 5e-3),
        ("image", (3, 100, 90, 0), 1),
    ],
)
def test_one_changed_number_of_the_spectrograms_fails_in_both_frameworks(sound, quantity, index, amount):
    def change(arrays):
        arrays[quantity][index] += amount

    rewritten(sound / "specgan_spectrogram.npz", change)
    failed = failures(sound)
    assert {key for key in failed if key[0] == quantity} == {(quantity, "Keras"), (quantity, "torch")}
    for framework in ("Keras", "torch"):
        result = failed[quantity, framework]
        assert result.index == index
        assert result.error > result.limit
        assert result.message.startswith(f"specgan_spectrogram/{quantity}: {framework} is ")
        assert "the record itself stands apart" in result.message
    share = "25.00% of the clips beyond it" if quantity == "griffin_lim" else "% of the values beyond it"
    assert share in failed[quantity, "Keras"].message


@pytest.mark.parametrize(
    ("attribute", "value", "quantities"),
    [
        ("LOG_EPSILON", 1e-5, {"mean", "std", "spectrogram"}),
        ("DEVIATIONS", 3.1, {"spectrogram", "griffin_lim"}),
        ("SMALLEST", 1e-1, {"griffin_lim"}),
    ],
)
def test_a_constant_that_is_not_the_original_s_would_be_seen(sound, monkeypatch, attribute, value, quantities):
    for implementation in (tf_impl.spectrogram, torch_impl.spectrogram):
        monkeypatch.setattr(implementation, attribute, value)
    failed = failures(sound)
    assert failed.keys() == {(quantity, framework) for quantity in quantities for framework in ("Keras", "torch")}
    assert all(result.error > 2 * result.limit for result in failed.values())


@pytest.mark.parametrize("option", [{"iterations": 15}, {"inverse": "corrected"}])
def test_another_griffin_lim_would_be_seen(sound, monkeypatch, option):
    stock = torch_impl.spectrogram.waveform
    monkeypatch.setattr(torch_impl.spectrogram, "waveform", lambda *arguments: stock(*arguments, **option))
    failed = failures(sound)
    assert failed.keys() == {("griffin_lim", "torch")}
    assert failed["griffin_lim", "torch"].error > 10 * failed["griffin_lim", "torch"].limit
    assert "stands apart" not in failed["griffin_lim", "torch"].message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("griffin_lim"), "missing griffin_lim"),
        (put("spectrum", np.ones(3)), "spectrum: the record of spectrograms has no such quantity"),
        (put("waveform", np.ones((4, 16000))), r"waveform has shape \(4, 16000\), the settings imply \(4, 16384\)"),
        (put("waveform", np.float32(1)), r"waveform has shape \(\), the settings imply \(0, 16384\)"),
        (put("std", np.zeros(129)), "expected at least one waveform, and a positive std for every bin"),
        (put("image", np.zeros((4, 128, 128, 1))), "image holds float64, expected unsigned whole numbers"),
        (put("mean", np.zeros(129, int)), "mean holds int64, expected floating-point numbers"),
    ],
)
def test_what_is_no_record_of_spectrograms_is_one_clear_line(sound, change, message):
    path = sound / "specgan_spectrogram.npz"
    change(path)
    with pytest.raises(UnusableInput, match=message) as caught:
        check(sound)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_spectrograms_never_seen_before_are_judged_like_the_others(sound):
    """Other sound, silent for half of its time, and one clip more, in float32: rounding decides phases there."""
    rs = np.random.RandomState(11)
    waveforms = rs.normal(0, 0.2, (5, 16384)).astype(np.float32)
    waveforms[1::2, :8192] = 0
    made = {"waveform": waveforms, "mean": np.zeros(129, np.float32), "std": np.ones(129, np.float32)}
    made["spectrogram"] = np.zeros((5, 128, 128, 1), np.float32)
    made |= single_precision(made, "mean", "std")
    made |= single_precision(made, "spectrogram")
    made |= single_precision(made, "griffin_lim", "image")
    np.savez(sound / "specgan_spectrogram.npz", **made)
    assert failures(sound) == {}


def single_precision(record: dict[str, np.ndarray], *quantities: str) -> dict[str, np.ndarray]:
    """What the Keras implementation makes of a record in float32."""
    made = spectrograms.keras_quantities(record, np.float32)
    return {key: made[key].astype(np.uint8 if key == "image" else np.float32) for key in quantities}
