"""Golden records that the project has never seen are judged like its own: sound ones pass, faulty ones fail."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from parity.systems.golden import check, dcgan_training, replay, specgan_forward, specgan_spectrogram
from parity.systems.golden.records import read_folder
from parity.systems.golden.settings import DCGANSetting, SpecGANSetting, SpecGANTrainingSetting
from tests.parity.systems.golden.copies import copied, failures, rewritten
from tests.parity.systems.golden.original import Original, setting

pytestmark = pytest.mark.usefixtures("replayed_once")


def write_settings(folder: Path, record: str, **settings) -> Path:
    """A record with these settings and no arrays."""
    (folder / f"{record}.json").write_text(json.dumps(settings))
    np.savez(folder / f"{record}.npz")
    return folder


def test_forward_record_made_by_torch_passes_in_both_frameworks(tmp_path):
    options = setting("dcgan", dim=2, kernel_len=4, upsample="cubic", use_bn=True, latent=7, seed=5, batch=3)
    options = {key: value for key, value in options.items() if key not in ("loss", "loops", "disc_nupdates")}
    write_settings(tmp_path, "specgan_forward", new=options | {"train": True})
    record = read_folder(tmp_path)["specgan_forward"]
    parsed = record.setting(SpecGANSetting, record.settings["new"])
    made = specgan_forward.forward(record, "new", parsed)[0]["torch"]
    np.savez(tmp_path / "specgan_forward.npz", **{f"new/{key}": value for key, value in made.items()})
    judged = [result for result in check(tmp_path) if result.judged]
    assert len(judged) == 2 * 12
    assert [result.message for result in judged if not result.passed] == []


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("wgan-gp", {"dim": 1, "batch": 3, "latent": 7, "seed": 77, "loops": 1, "disc_nupdates": 2}),
        ("lsgan", {"dim": 3, "batch": 2, "latent": 20, "seed": 78, "loops": 3, "disc_nupdates": 1}),
    ],
)
def test_training_record_made_by_torch_passes_in_both_frameworks(tmp_path, loss, options):
    """Another width, batch, seed and number of updates."""
    write_settings(tmp_path, "specgan_training", new=setting(loss, **options))
    record = read_folder(tmp_path)["specgan_training"]
    parsed = record.setting(SpecGANTrainingSetting, record.settings["new"])
    made = replay.specgan_training(record, "new", parsed)[0]["torch"]
    arrays = {key: value.astype(np.float32) for key, value in made.arrays.items()} | {"order": np.array(made.order)}
    np.savez(tmp_path / "specgan_training.npz", **{f"new/{key}": value for key, value in arrays.items()})
    judged = [result for result in check(tmp_path) if result.judged]
    assert len(judged) == 2 * (1 + 2 + 24)
    assert [result.message for result in judged if not result.passed] == []


def original_record(folder: Path, loss: str, options: dict, **faults) -> Path:
    """A training record of the original's graph, perhaps with a fault."""
    listed = setting(loss, **options)
    (folder / "specgan_training.json").write_text(json.dumps({"new": listed}))
    graph = Original(SpecGANTrainingSetting.model_validate(listed)).faulty(**faults)
    np.savez(folder / "specgan_training.npz", **graph.record("new"))
    return folder


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("wgan-gp", {"use_bn": True}),
        ("dcgan", {"use_bn": True, "upsample": "nn", "kernel_len": 3, "loops": 2, "disc_nupdates": 1}),
        ("wgan", {"use_bn": True, "upsample": "cubic", "kernel_len": 7}),
        ("lsgan", {"upsample": "linear", "kernel_len": 6, "dim": 2}),
        ("wgan-gp", {"upsample": "cubic", "kernel_len": 4, "batch": 3}),
    ],
)
def test_training_record_of_the_original_with_optional_settings_passes(tmp_path, loss, options):
    results = check(original_record(tmp_path, loss, options))
    judged = [result for result in results if result.judged]
    assert [result.message for result in judged if not result.passed] == []
    # G: 6 layers of 2 variables and 5 norms of 4; D: 6 layers and 4 norms of 2; no biases in front of a norm.
    weights = 12 - 5 + 20 + 12 - 4 + 8 if options.get("use_bn") else 24
    assert len(judged) == 2 * (1 + 2 + weights)
    reasons = [result.message.partition(": ")[2] for result in results if result.quantity and not result.judged]
    assert sorted({reason: reasons.count(reason) for reason in reasons}.values()) == ([8, 9] if weights > 24 else [])


@pytest.mark.parametrize(
    ("loss", "options", "fault", "quantity"),
    [
        ("lsgan", {"use_bn": True}, {"evaluating": True}, "D_loss"),
        ("lsgan", {"use_bn": True}, {"epsilon": 1e-5}, "D_loss"),
        ("lsgan", {"use_bn": True}, {"momentum": 0.98}, "final/G/upconv_1/batch_normalization/moving_mean"),
        ("lsgan", {"upsample": "linear"}, {"half_pixels": True}, "D_loss"),
        ("lsgan", {"upsample": "cubic", "kernel_len": 4}, {"half_pixels": True}, "D_loss"),
        ("wgan-gp", {"kernel_len": 3}, {"penalty": 9.9}, "D_loss"),
    ],
    ids=["D evaluates", "epsilon", "averages moved twice", "half pixels", "half pixels, cubic", "penalty"],
)
def test_faulty_training_record_of_the_original_fails_in_both_frameworks(tmp_path, loss, options, fault, quantity):
    """``momentum`` 0.98 is what two generator runs per update amount to."""
    folder = original_record(tmp_path, loss, {**options, "disc_nupdates": 1}, **fault)
    failed = [(result.quantity, result.framework) for result in failures(folder)]
    assert {(quantity, "Keras"), (quantity, "torch")} <= set(failed)


def test_kernel_length_that_a_training_record_leaves_out_is_five(tmp_path):
    listed = setting("lsgan", disc_nupdates=1)
    parsed = SpecGANTrainingSetting.model_validate(listed)
    assert "kernel_len" not in listed and (parsed.kernel_len, parsed.use_bn, parsed.upsample) == (5, False, "zeros")


def test_dcgan_record_made_by_torch_passes_in_both_frameworks(dcgan):
    def coloured(content):
        content |= {"seed": 5, "batch": 3, "steps": 2, "ch": 3, "latent": 9}
        for parameter in (content["generator_parameters"][-1], content["discriminator_parameters"][0]):
            parameter[1][1] = 3
        content["generator_parameters"][0][1][0] = 9

    rewritten(dcgan / "dcgan_training.json", coloured)
    record = read_folder(dcgan)["dcgan_training"]
    made = dcgan_training.replay(record, record.setting(DCGANSetting, record.settings))["torch"]
    np.savez(dcgan / "dcgan_training.npz", **{key: value.astype(np.float64) for key, value in made.items()})
    assert [result.message for result in failures(dcgan)] == []


def spectrograms(clips: int, seed: int, rounds: int, silent: bool = False) -> dict[str, np.ndarray]:
    """A set of spectrograms of noise, made by the Keras implementation in float32."""

    def computed(*quantities: str) -> dict[str, np.ndarray]:
        found = specgan_spectrogram.keras_quantities(made, rounds, np.float32)
        return {key: found[key].astype(np.uint8 if key == "image" else np.float32) for key in quantities}

    waveforms = np.random.RandomState(seed).normal(0, 0.2, (clips, 16384)).astype(np.float32)
    waveforms[1::2, :8192] *= not silent
    made = {"waveform": waveforms, "mean": np.zeros(129, np.float32), "std": np.ones(129, np.float32)}
    made["spectrogram"] = np.zeros((clips, 128, 128, 1), np.float32)
    made |= computed("mean", "std")
    made |= computed("spectrogram")
    return made | computed("griffin_lim", "image")


def test_spectrograms_in_part_of_silence_pass(tmp_path):
    """More clips, silent for half of their time, in float32: rounding decides their phases."""
    np.savez(tmp_path / "specgan_spectrogram.npz", **spectrograms(5, 11, 16, silent=True))
    assert failures(tmp_path) == []


ROUNDS = {"quick": 3, "no_rounds": 0, "usual": 16}


@pytest.fixture(scope="module")
def sets() -> dict[str, np.ndarray]:
    """Three named sets beside the project's unnamed one."""
    return {
        f"{name}_{key}": array
        for seed, (name, rounds) in enumerate(ROUNDS.items())
        for key, array in spectrograms(seed + 1, seed, rounds).items()
    }


def with_sets(folder: Path, sets: dict[str, np.ndarray], settings: dict) -> Path:
    copied(folder, "specgan_spectrogram")
    rewritten(folder / "specgan_spectrogram.npz", lambda arrays: arrays.update(sets))
    (folder / "specgan_spectrogram.json").write_text(json.dumps(settings))
    return folder


def test_named_sets_of_spectrograms_pass_with_their_own_rounds(tmp_path, sets):
    rounds = {name: {"griffin_lim_rounds": rounds} for name, rounds in ROUNDS.items() if rounds != 16}
    results = check(with_sets(tmp_path, sets, rounds))
    assert [result.message for result in results if not result.passed] == []
    assert {result.setting for result in results if result.judged} == {"", *ROUNDS}
    assert len([result for result in results if result.judged]) == 2 * 5 * 4


def test_wrong_number_of_rounds_fails_in_both_frameworks(tmp_path, sets):
    wrong = {"quick": {"griffin_lim_rounds": 4}, "": {"griffin_lim_rounds": 15}}
    failed = {(result.setting, result.quantity) for result in failures(with_sets(tmp_path, sets, wrong))}
    assert failed == {(name, "griffin_lim") for name in ("quick", "no_rounds", "")}


def test_folder_with_named_sets_alone_is_judged(tmp_path, sets):
    np.savez(tmp_path / "specgan_spectrogram.npz", **{key: sets[key] for key in sets if key.startswith("usual")})
    results = [result for result in check(tmp_path) if result.judged]
    assert {result.setting for result in results} == {"usual"} and all(result.passed for result in results)


def test_numbers_in_another_byte_order_are_judged(tmp_path, sets):
    arrays = {key: array.astype(array.dtype.newbyteorder(">")) for key, array in sets.items() if "usual" in key}
    np.savez(tmp_path / "specgan_spectrogram.npz", **arrays)
    assert failures(tmp_path) == []
