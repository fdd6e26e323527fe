"""Comparison of two presets: its rows, the command, the report, and unusable input."""

from __future__ import annotations

import json

import pytest

from parity.__main__ import run
from parity.report import COMPARISONS, FILES, render, validate_folder, write
from parity.systems.preset_comparison import compare, configurations
from parity.systems.preset_comparison.network_rows import KINDS, ROWS
from parity.systems.preset_comparison.network_run import LAYERS, run_network
from parity.systems.preset_comparison.training_rows import INITIAL, LATENTS, LOSSES, OPTIMIZERS
from parity.systems.preset_comparison.training_rows import ROWS as TRAINING
from parity.verdict import UnusableInput
from shared_impl.config.presets import load


@pytest.fixture(scope="module")
def comparison() -> dict:
    return compare("upsample_dcgan", "dcgan")


def rows(comparison: dict, part: str) -> dict[str, dict]:
    (found,) = (one for one in comparison["parts"] if one["id"] == part)
    return {row["component"]["en"]: row for row in found["rows"]}


@pytest.mark.parametrize(
    "overrides",
    [
        ["training.instance_noise=0.3"],
        ["optimizer.clip_norm=0.5"],
        ["data.balance=false"],
        ["loss.perceptual_weight=1", "loss.features=vgg19.h5"],
        ["loss.texture_weight=1", "loss.features=vgg19.h5"],
        ["model.label=auxiliary"],
        ["model.growing=[8,16]"],
    ],
)
def test_every_training_setting_has_a_row_that_shows_it(overrides):
    """A setting without a row would make two presets look the same."""
    plain, other = load("conditional_dcgan_tiny"), load("conditional_dcgan_tiny", overrides)
    differing = [words for words, describe in TRAINING if describe(plain) != describe(other)]
    assert len(differing) == 1
    assert all(all(describe(other)) for _, describe in TRAINING)


def described(network: str, preset: str, *overrides: str) -> dict[str, str]:
    """A network's rows in English, by component."""
    found = run_network(load(preset, overrides).model, network)
    return {words[0]: describe(found)[0] for words, describe in ROWS[network]}


def test_comparison_with_the_dcgan_paper_has_the_document_s_values(comparison):
    """The document compares the implementation with the DCGAN paper's in a table, row by row."""
    g, d, training = (rows(comparison, part) for part in ("generator", "discriminator", "training"))
    expected = {
        "Initial layer": ("dense layer 100 → 4×4×512", "transposed convolution 4×4, stride 1: 1×1×100 → 4×4×512"),
        "Upsampling method": (
            "4 × nearest upsampling ×2, then convolution",
            "4 × transposed convolution, stride 2",
        ),
        "Hidden activation": ("3 × LeakyReLU 0.2", "4 × ReLU"),
        "Final activation": ("tanh", "tanh"),
        "Batch normalisation": (
            "3 of 5 layers, not z_project, upconv_3; momentum 0.8 (torch) = 0.2 (Keras), eps 1e-05",
            "4 of 5 layers, not upconv_4; momentum 0.1 (torch) = 0.9 (Keras), eps 1e-05",
        ),
        "Kernel size": ("3×3", "4×4"),
        "Parameters": ("2,378,755", "3,574,656"),
    }
    assert {name: (g[name]["a"]["en"], g[name]["b"]["en"]) for name in expected} == expected
    assert g["Final activation"]["same"] and not g["Hidden activation"]["same"]
    assert d["Downsampling method"]["same"] and d["Hidden activation"]["same"]
    assert (d["Dropout"]["a"]["en"], d["Dropout"]["b"]["en"]) == ("4 × whole channels, 0.25", "none")
    assert (d["Final activation"]["a"]["en"], d["Final activation"]["b"]["en"]) == ("sigmoid", "none")
    assert d["Architecture flow"]["a"]["en"] == "64×64×3 → 32×32×64 → 16×16×128 → 8×8×256 → 4×4×512 → 1"
    assert training["Optimiser"]["same"] and not training["Loss"]["same"] and not training["Initialisation"]["same"]
    assert training["Targets of D"]["a"]["en"] == "real 0.9, fake 0.1"


def test_every_network_option_appears_in_its_row():
    """Read from the built network, not from its configuration."""
    improved = described("discriminator", "conditional_dcgan_improved_tiny")
    assert improved["Spectral normalisation"] == "4 of 4 layers" and improved["Self-attention"] == "at 8×8"
    assert described("discriminator", "conditional_dcgan_tiny")["Spectral normalisation"] == "3 of 4 layers"
    auxiliary = described("discriminator", "conditional_dcgan_tiny", "model.label=auxiliary")
    assert auxiliary["Architecture flow"].endswith("4×4×16 → 1×1×10 | 4×4×16 → 1×1×1")
    scales = described("discriminator", "conditional_dcgan_tiny", "model.image_size=64", "model.scales=2")
    assert " | 32×32×4 → " in scales["Architecture flow"]
    assert scales["Downsampling method"].startswith("1 × average pooling; ")
    resized = described("generator", "specgan_tiny", "model.upsample=cubic")["Upsampling method"]
    assert resized == "5 × LegacyUpsample cubic, then convolution"
    normed = described("discriminator", "specgan_tiny", "model.use_batchnorm=true")["Batch normalisation"]
    assert normed == "4 of 6 layers, not downconv_0, output; always batch statistics, eps 0.001"
    doubled = described("generator", "upsample_dcgan_tiny", "model.upsample=bilinear")["Upsampling method"]
    assert doubled == "4 × bilinear upsampling ×2, then convolution"
    assert described("discriminator", "upsample_dcgan_tiny", "model.dropout=0.0")["Dropout"] == "none"


def test_training_rows_show_the_configured_values():
    words = {words[0]: describe for words, describe in TRAINING}
    cfg = load("conditional_dcgan_improved")
    assert words["Learning rates"](cfg)[0] == "G 0.0001, D 0.0004"
    assert words["Batch"](cfg)[0] == "32 in 4 portions" and words["Moving average of G"](cfg)[0] == "0.999"
    assert words["Augmentation"](cfg)[0] == "flip horizontal, rotate ±10°, jitter 0.1"
    assert words["Schedule"](load("upsample_dcgan_anime"))[0] == "cosine → 1e-05"
    assert words["Loss"](load("specgan"))[0] == "Wasserstein, gradient penalty 10"
    assert words["Length"](load("dcgan", ["training.steps=1200"]))[0] == "1,200 steps"
    assert words["Targets of D"](load("specgan")) == ("none", "无")


def test_every_choice_of_the_schema_has_a_text():
    from typing import get_args

    from shared_impl.config.loss import Loss
    from shared_impl.config.optimizer import OptimizerConfig
    from shared_impl.config.systems import SYSTEMS
    from shared_impl.config.training import TrainingConfig

    assert set(LAYERS) == set(KINDS)
    assert set(LOSSES) == set(get_args(Loss))
    assert set(OPTIMIZERS) == set(get_args(OptimizerConfig.model_fields["kind"].annotation))
    assert set(LATENTS) == set(get_args(TrainingConfig.model_fields["latents"].annotation))
    assert set(INITIAL) == {name for one in SYSTEMS.values() for name in get_args(one.model_fields["init"].annotation)}


def test_preset_compared_with_itself_has_no_difference():
    found = compare("dcgan_tiny", "dcgan_tiny")
    assert all(row["same"] for part in found["parts"] for row in part["rows"])


def test_every_row_has_a_text_in_both_languages(comparison):
    for part in comparison["parts"]:
        for row in part["rows"]:
            assert all(row[key][language] for key in ("component", "a", "b") for language in ("en", "zh"))


def test_command_prints_every_row(comparison, capsys):
    assert run(["report", "--against", "upsample_dcgan_tiny", "dcgan_tiny"]) == 0
    printed = capsys.readouterr().out
    for part in comparison["parts"]:
        assert part["id"] in printed
        for row in part["rows"]:
            assert row["component"]["en"] in printed
    assert "differs" in printed and "same" in printed


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["upsample_dcgan", "dcgn"],
            "upsample_dcgan dcgn: unknown preset 'dcgn', did you mean dcgan?; valid: ",
        ),
        (["upsample_dcgan"], "'--against' requires 2 arguments"),
        (["nothing.yaml", "dcgan"], "nothing.yaml: cannot be read as YAML"),
    ],
)
def test_unusable_preset_is_one_line_on_stderr(arguments, problem, capsys):
    assert run(["report", "--against", *arguments]) == 2
    complaint = capsys.readouterr().err
    assert problem in complaint and complaint.count("\n") == 1


def test_report_contains_the_comparison(comparison, tmp_path, monkeypatch):
    from tests.parity.report.samples import verdict

    monkeypatch.setattr("parity.cli.verify.verify_all", lambda *arguments: [verdict("dcgan.generator")])
    monkeypatch.setattr("parity.systems.preset_comparison.compare", lambda a, b: comparison)
    folder = tmp_path / "report"
    words = ["report", "dcgan.generator", "--against", "upsample_dcgan", "dcgan", "--out", str(folder)]
    assert run(words) == 0
    assert {path.name for path in folder.iterdir()} == {*FILES, *COMPARISONS}
    page = (folder / "index.html").read_text("utf-8")
    assert 'id="against"' in page and 'href="#against"' in page and page.count('class="unlike"') > 10
    written = json.loads((folder / "report.json").read_text("utf-8"))
    assert written["against"]["a"] == "upsample_dcgan"
    assert written["command"] == "parity report dcgan.generator --against upsample_dcgan dcgan"
    validate_folder(folder)  # an earlier report with a comparison may be replaced


def test_markdown_files_contain_the_comparison(comparison):
    files = render({"against": comparison})
    row = "| Kernel size | 3×3 | 4×4 | differs |"
    assert row in files["against.md"] and row in files["report.md"]
    assert "| 卷积核尺寸 | 3×3 | 4×4 | 不同 |" in files["against.zh.md"]
    assert files["against.md"].startswith("# upsample_dcgan / dcgan\n")


def test_report_without_a_comparison_mentions_none(tmp_path):
    files = render({})
    assert set(files) == set(FILES) and 'id="against"' not in files["index.html"]
    assert "Two presets" not in files["report.md"]
    assert {path.name for path in write({}, tmp_path / "report")} == set(FILES)


def test_unknown_preset_is_reported_before_anything_is_built():
    with pytest.raises(UnusableInput, match="unknown preset"):
        configurations("specgan", "spcgan")
