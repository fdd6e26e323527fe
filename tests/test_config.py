"""Presets, overrides, and the one line that answers whatever does not fit."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import torch_impl
from common import config
from common.config import ConfigError, load


def test_presets_are_the_files_in_configs():
    assert config.presets() == ["dcgan", "dcgan_tiny", "specgan", "specgan_tiny"]


@pytest.mark.parametrize("name", config.presets())
def test_every_preset_loads_and_opens_with_what_it_is_its_command_and_what_to_expect(name):
    text = (config.PRESETS / f"{name}.yaml").read_text(encoding="utf-8")
    what, command, expect = text.splitlines()[:3]
    model = load(name).model
    sizes = [torch_impl.build(model, network).parameters() for network in ("generator", "discriminator")]
    counts = " + ".join(f"{sum(parameter.numel() for parameter in network):,}" for network in sizes)
    assert f"({counts} parameters)" in what
    assert command == f"#   parity verify {name}"
    assert expect.startswith("# Expect")
    assert set(re.findall(r"^  (\w+):", text, re.MULTILINE)) == set(type(model).model_fields)


@pytest.mark.parametrize("name", ["specgan", "dcgan"])
def test_full_size_presets_are_the_defaults(name):
    model = load(name).model
    assert model == type(model)()


def test_overrides_change_one_value_of_its_type():
    model = load("specgan", ["model.dim=8", "model.use_batchnorm=true", "model.upsample=cubic"]).model
    assert (model.dim, model.use_batchnorm, model.upsample, model.kernel_len) == (8, True, "cubic", 5)


def test_a_path_is_read_like_a_preset(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: {system: dcgan, ngf: 2}\n")
    assert load(path).model.ngf == load(str(path)).model.ngf == 2


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        ("spec_gan", [], r"unknown preset 'spec_gan', did you mean specgan\?; valid: dcgan, dcgan_tiny, specgan,"),
        ("nothing/such.yaml", [], r"nothing/such.yaml: cannot be read as YAML: .*No such file"),
        ("specgan", ["model.dim"], r"override 'model.dim': expected section.key=value"),
        ("specgan", ["dim=8"], r"override 'dim=8': expected section.key=value"),
        ("specgan", ["model.dim.x=8"], r"override 'model.dim.x=8': dim is a value, not a section"),
        ("specgan", ["model.dim=[8"], r"override 'model.dim=\[8': the value cannot be read"),
        ("specgan", ["modle.dim=8"], r"specgan: unknown field modle, did you mean model\?; valid: model"),
        ("specgan", ["model.kernel_ln=4"], r"unknown field model.kernel_ln, did you mean kernel_len\?; valid: system"),
        ("specgan", ["model.dim=big"], r"model.dim is 'big': input should be a valid integer"),
        ("specgan", ["model.dim=0"], r"model.dim is 0: input should be greater than or equal to 1"),
        ("specgan", ["model.dim=8.0"], r"model.dim is 8.0: input should be a valid integer"),
        ("specgan", ["model.use_batchnorm=1"], r"model.use_batchnorm is 1: input should be a valid boolean"),
        ("specgan", ["model.kernel_len=9"], r"model.kernel_len is 9; valid: 3, 4, 5, 6 or 7"),
        ("specgan", ["model.upsample=lin"], r"model.upsample is 'lin', did you mean linear\?; valid: 'zeros', "),
        ("specgan", ["model.system=specgun"], r"model.system is 'specgun', did you mean specgan\?; valid: specgan, d"),
        ("specgan", ["model.system="], r"model.system is "),
        ("specgan", ["model=3"], r"expected section.key=value"),
        ("dcgan", ["model.init=glorot"], r"model.init is 'glorot'; valid: 'normal' or 'framework'"),
        ("dcgan", ["model.dim=8"], r"dcgan: unknown field model.dim"),
        (
            "specgan",
            ["model.padding=symmetric", "model.upsample=linear", "model.kernel_len=4"],
            r"model: no symmetric padding keeps the size .*kernel_len=4, upsample=linear.*use an odd kernel_len",
        ),
    ],
)
def test_what_does_not_fit_is_answered_in_one_line(preset, overrides, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load(preset, overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected sections .model, data, loss, optimizer, training, runs., got NoneType"),
        ("- 1\n", "got list"),
        ("model: {system: dcgan\n", "cannot be read as YAML"),
        ("model: 3\n", "model is 3: input should be a valid dictionary"),
        ("model: {nz: 3}\n", "model.system is missing; valid: specgan, dcgan"),
        ("{}\n", "model is missing"),
        ("1: 2\nmodel: {system: dcgan}\n", "keys should be strings"),
        (b"\xff\xfe\x00", "cannot be read as YAML"),
    ],
)
def test_a_damaged_file_is_answered_in_one_line(text, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_presets_are_found_beside_the_installed_package_from_any_folder(tmp_path):
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    for package in ("common", "configs"):
        shutil.copytree(Path(config.PRESETS).parent / package, site / package)
    (elsewhere / "configs").mkdir(parents=True)  # the caller's own folder of that name does not get in the way
    path = [str(elsewhere), str(site)]
    code = f"import sys; sys.path[:0] = {path}; from common import config; print(config.PRESETS, *config.presets())"
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=elsewhere, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str((site / "configs").resolve()), *config.presets()]


def test_configuration_needs_no_framework():
    code = "import sys, common.config; print(*(n for n in ('torch', 'tensorflow', 'keras') if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
