"""What a reader does not know in a folder of golden records is listed as not judged; the rest decides."""

from __future__ import annotations

import numpy as np
import pytest

from parity.__main__ import run
from parity.systems.golden import check, render
from parity.verdict import UnusableInput
from tests.parity.systems.golden.copies import copied, edit, not_judged, put, rewritten

pytestmark = pytest.mark.usefixtures("replayed_once")
NO_QUANTITY = "no quantity that these settings have"


def options(setting: str, **changed):
    return edit(lambda content: content[setting].update(changed))


@pytest.mark.parametrize(
    ("record", "change", "message"),
    [
        (
            "dcgan_training.npz",
            put("final/G/99.weight", np.ones(3)),
            f"dcgan_training/final/G/99.weight: {NO_QUANTITY}",
        ),
        ("dcgan_training.npz", put("notes", np.array([{}])), f"dcgan_training/notes: {NO_QUANTITY}"),
        ("dcgan_training.npz", put("First_Fake", np.array([np.nan])), f"dcgan_training/First_Fake: {NO_QUANTITY}"),
        ("specgan_spectrogram.npz", put("phase", np.ones(3)), f"specgan_spectrogram/phase: {NO_QUANTITY}"),
        ("specgan_spectrogram.npz", put("quick_phase", np.ones(3)), f"specgan_spectrogram/quick_phase: {NO_QUANTITY}"),
        ("specgan_spectrogram.npz", put("log_mean", np.ones(3)), f"specgan_spectrogram/log_mean: {NO_QUANTITY}"),
    ],
)
def test_unknown_quantity_is_not_judged(tmp_path, record, change, message):
    copied(tmp_path, record.partition(".")[0])
    change(tmp_path / record)
    assert not_judged(tmp_path) == [message]
    assert run(["golden", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("npz", put("default/extra", np.ones(3)), f"default/extra: {NO_QUANTITY}"),
        ("npz", put("stranger/extra", np.ones(3)), "stranger: 1 array belongs to no setting of specgan_forward.json"),
        ("npz", put("Default/extra", np.ones(3)), "Default: 1 array belongs to no setting of specgan_forward.json"),
        ("json", put("recorded", "2026"), "recorded: not a setting: expected an object, got str"),
        ("json", options("linear", dilation=2), "linear: unknown field dilation; valid: dim, kernel_len, use_bn"),
        ("json", options("linear", Upsample="nn"), "linear: unknown field Upsample, did you mean upsample?; valid"),
        ("json", options("linear", upsample="Linear"), "linear: upsample is 'Linear', did you mean linear?; valid"),
        ("json", options("linear", upsample=[]), "linear: upsample is []; valid: 'zeros', 'nn', 'linear' or 'cubic'"),
        ("json", options("linear", kernel_len=9), "linear: kernel_len is 9; valid: 3, 4, 5, 6 or 7"),
        ("json", options("linear", kernel_len="5"), "linear: kernel_len is '5'; valid: 3, 4, 5, 6 or 7"),
        ("json", options("linear", kernel_len=float("nan")), "linear: kernel_len is nan"),
    ],
)
def test_unknown_part_of_the_forward_record_is_not_judged(tmp_path, capfd, file, change, message):
    copied(tmp_path, "specgan_forward")
    change(tmp_path / f"specgan_forward.{file}")
    (found,) = not_judged(tmp_path)
    assert found.startswith(f"specgan_forward/{message}")
    judged = {result.setting for result in check(tmp_path) if result.judged}
    assert len(judged) == (5 if "linear:" in message else 6)
    assert run(["golden", str(tmp_path)]) == 0
    assert f"not judged: {found}" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("npz", put("wgan/more", np.ones(3)), f"wgan/more: {NO_QUANTITY}"),
        ("npz", put("wgan/final/D/more", np.ones(3)), f"wgan/final/D/more: {NO_QUANTITY}"),
        (
            "npz",
            put("stranger/G_loss", np.ones(12)),
            "stranger: 1 array belongs to no setting of specgan_training.json",
        ),
        ("json", options("wgan", loss="wgangp"), "wgan: loss is 'wgangp', did you mean wgan"),
        ("json", options("wgan", loss="hinge"), "wgan: loss is 'hinge'"),
        ("json", options("wgan", kernel_length=5), "wgan: unknown field kernel_length, did you mean kernel_len?"),
        ("json", options("wgan", kernel_len=8), "wgan: kernel_len is 8; valid: 3, 4, 5, 6 or 7"),
        ("json", options("wgan", upsample="nearest"), "wgan: upsample is 'nearest', did you mean"),
    ],
)
def test_unknown_part_of_the_training_record_is_not_judged(tmp_path, file, change, message):
    copied(tmp_path, "specgan_training")
    change(tmp_path / f"specgan_training.{file}")
    (found,) = not_judged(tmp_path)
    assert found.startswith(f"specgan_training/{message}")
    judged = {result.setting for result in check(tmp_path) if result.judged}
    assert judged == {"dcgan", "lsgan", "wgan-gp"} | ({"wgan"} if file == "npz" else set())
    assert run(["golden", str(tmp_path)]) == 0


def test_unlisted_variable_leaves_its_final_value_not_judged(tmp_path):
    """Its network then lacks it, which is one clear line."""
    copied(tmp_path, "specgan_training")
    rewritten(tmp_path / "specgan_training.json", lambda content: content["wgan"]["discriminator_variables"].pop())
    with pytest.raises(UnusableInput, match="variable D/output/dense/bias is not listed"):
        check(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('{"quick": {"hop": 64}}', "quick: unknown field hop; valid: griffin_lim_rounds"),
        ('{"quick": {"Griffin_Lim_Rounds": 3}}', "quick: unknown field Griffin_Lim_Rounds, did you mean"),
        ('{"recorded": "2026"}', "recorded: not a setting: expected an object, got str"),
    ],
)
def test_unknown_option_of_a_set_of_spectrograms_is_not_judged(spectrogram, settings, message):
    edit(lambda arrays: arrays.update({f"quick_{key}": value for key, value in arrays.items()}))(
        spectrogram / "specgan_spectrogram.npz"
    )
    (spectrogram / "specgan_spectrogram.json").write_text(settings)
    (found,) = not_judged(spectrogram)
    assert found.startswith(f"specgan_spectrogram/{message}")
    judged = {result.setting for result in check(spectrogram) if result.judged}
    assert judged == ({"", "quick"} if "recorded" in settings else {""})


@pytest.mark.parametrize("file", ["wavegan_forward.npz", "SpecGAN_Forward.NPZ", "extra.json", "specgan.npy"])
def test_unknown_file_is_not_judged_and_not_read(dcgan, capfd, file):
    (dcgan / file).write_bytes(b"not even an archive")
    assert not_judged(dcgan) == [f"{file}: a file of no known record, in {dcgan}"]
    assert run(["golden", str(dcgan)]) == 0
    assert "\njudged: 49; not judged: 4\n" in capfd.readouterr().out


def test_files_that_hold_no_data_are_not_listed(dcgan):
    (dcgan / "README.md").write_text("about")
    (dcgan / "code.py").write_text("1")
    assert not_judged(dcgan) == []


def test_failure_beside_unknown_parts_still_fails(dcgan, capfd):
    def change(arrays):
        arrays["phase"] = np.ones(3)
        arrays["first_logits"][0] += 1

    rewritten(dcgan / "dcgan_training.npz", change)
    (dcgan / "wavegan.npz").write_bytes(b"")
    assert run(["golden", str(dcgan)]) == 1
    text = capfd.readouterr().out
    assert "FAIL dcgan_training/first_logits: torch is" in text
    assert "not judged: wavegan.npz" in text and "not judged: dcgan_training/phase" in text


@pytest.mark.parametrize(
    ("record", "file", "change", "reason"),
    [
        ("specgan_spectrogram", "npz", lambda arrays: [arrays.pop(key) for key in list(arrays)], "holds no waveforms"),
        ("specgan_spectrogram", "npz", lambda arrays: [arrays.pop(k) for k in list(arrays) if k != "mean"], "missing"),
        ("dcgan_training", "json", lambda content: content.__setitem__("gff", 4), "unknown field gff, did you mean gf"),
        ("specgan_training", "json", lambda content: [one.update(more=1) for one in content.values()], "field more"),
        ("specgan_forward", "json", lambda content: content.update(dict.fromkeys(content, {"new": 1})), "field new"),
    ],
)
def test_record_without_anything_known_does_not_count_as_agreeing(tmp_path, capfd, record, file, change, reason):
    copied(tmp_path, record)
    rewritten(tmp_path / f"{record}.{file}", change)
    with pytest.raises(UnusableInput, match=reason):
        check(tmp_path)
    assert run(["golden", str(tmp_path)]) == 2
    line = capfd.readouterr().err
    assert line.startswith(f"parity: {tmp_path}") and line.count("\n") == 1


def test_folder_with_unknown_files_only_is_unusable(tmp_path):
    (tmp_path / "wavegan_forward.npz").write_bytes(b"")
    with pytest.raises(UnusableInput, match="holds no golden record .*, but: wavegan_forward.npz"):
        check(tmp_path)


def test_counts_of_judged_and_not_judged_are_the_lines_above_them(dcgan):
    results = check(dcgan)
    text = render(results)
    assert "\njudged: 49; not judged: 3\n" in text and text.count("\nnot judged: ") == 3
