"""Presets, overrides, and the one-line error about an invalid configuration."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import torch_impl
from shared_impl.config import presets
from shared_impl.config.presets import ConfigError, load
from shared_impl.config.training import total_steps

ROOT = Path(__file__).resolve().parents[3]


def test_presets_are_the_files_in_configs():
    assert presets.presets() == [
        "conditional_dcgan",
        "conditional_dcgan_digits",
        "conditional_dcgan_improved",
        "conditional_dcgan_improved_tiny",
        "conditional_dcgan_tiny",
        "dcgan",
        "dcgan_digits",
        "dcgan_tiny",
        "soundgan",
        "soundgan_drums",
        "soundgan_tiny",
        "specgan",
        "specgan_drums",
        "specgan_tiny",
        "upsample_dcgan",
        "upsample_dcgan_anime",
        "upsample_dcgan_celebrities",
        "upsample_dcgan_digits",
        "upsample_dcgan_tiny",
    ]


@pytest.mark.parametrize("name", presets.presets())
def test_every_preset_loads_and_opens_with_what_it_is_its_command_and_what_to_expect(name):
    text = (presets.PRESETS / f"{name}.yaml").read_text(encoding="utf-8")
    what, command, expect = text.splitlines()[:3]
    model = load(name).model
    with torch.device("meta"):  # their shapes alone
        sizes = [torch_impl.build(model, network).parameters() for network in ("generator", "discriminator")]
    counts = " + ".join(f"{sum(parameter.numel() for parameter in network):,}" for network in sizes)
    assert f"({counts} parameters)" in what
    assert command in (f"#   parity verify {name}", f"#   python -m torch_impl train {name}")
    assert expect.startswith("# Expect")
    section = text.partition("\nmodel:")[2]
    assert set(re.findall(r"^  (\w+):", re.split(r"\n\w", section)[0], re.MULTILINE)) == set(type(model).model_fields)


@pytest.mark.parametrize("name", ["specgan", "dcgan", "upsample_dcgan", "conditional_dcgan"])
def test_full_size_presets_are_the_defaults(name):
    model = load(name).model
    assert model == type(model)()


def test_overrides_change_one_value_of_its_type():
    model = load("specgan", ["model.dim=8", "model.use_batchnorm=true", "model.upsample=cubic"]).model
    assert (model.dim, model.use_batchnorm, model.upsample, model.kernel_len) == (8, True, "cubic", 5)


@pytest.mark.parametrize("given", ["16", "[16]"])
def test_one_size_needs_no_brackets(given):
    assert load("conditional_dcgan_tiny", [f"model.attention_at={given}"]).model.attention_at == (16,)


def test_a_path_is_read_like_a_preset(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: {system: dcgan, ngf: 2}\n")
    assert load(path).model.ngf == load(str(path)).model.ngf == 2


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        ("spec_gan", [], r"unknown preset 'spec_gan', did you mean specgan\?; valid: conditional_dcgan, "),
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
        ("specgan", ["model.system="], r"override 'model.system=': no value: write model.system=null for none"),
        ("specgan", ["model.system=null"], r"model.system is "),
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
def test_an_invalid_configuration_is_rejected_in_one_line(preset, overrides, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load(preset, overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected sections .model, data, loss, optimizer, training, distribution, runs., got NoneType"),
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
    shutil.copytree(Path(presets.__file__).parents[1], site / "shared_impl")
    shutil.copytree(presets.PRESETS, site / "shared_impl" / "presets")  # as setup.py installs them
    (elsewhere / "configs").mkdir(parents=True)  # the caller's own folder of that name does not get in the way
    path = [str(elsewhere), str(site)]
    code = (
        f"import sys; sys.path[:0] = {path}; from shared_impl.config import presets; "
        "print(presets.PRESETS, *presets.presets())"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=elsewhere, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str((site / "shared_impl" / "presets").resolve()), *presets.presets()]


def test_configuration_needs_no_framework():
    code = "import sys, shared_impl.config.presets; print(*{'torch', 'tensorflow', 'keras'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("wgan-gp", ("adam", 1e-4, 0.5, 0.9, 1e-8)),
        ("dcgan", ("adam", 2e-4, 0.5, 0.999, 1e-8)),
        ("lsgan", ("rmsprop", 1e-4, None, None, 1e-10)),
        ("wgan", ("rmsprop", 5e-5, None, None, 1e-10)),
    ],
)
def test_each_loss_brings_its_recommended_optimiser(loss, expected):
    found = load("specgan_tiny", [f"loss.kind={loss}"]).optimizer
    kind, rate, beta1, beta2, epsilon = expected
    assert (found.kind, found.lr, found.epsilon) == (kind, rate, epsilon)
    assert kind == "rmsprop" or (found.beta1, found.beta2) == (beta1, beta2)


def test_what_is_given_overrules_what_is_recommended():
    found = load("specgan_tiny", ["optimizer.beta1=0", "optimizer.lr=1e-3"]).optimizer
    assert (found.kind, found.lr, found.beta1, found.beta2) == ("adam", 1e-3, 0.0, 0.9)
    other = load("specgan_tiny", ["optimizer.kind=rmsprop"]).optimizer
    assert (other.lr, other.epsilon) == (5e-5, 1e-10)


def test_each_system_brings_its_original_recipe():
    sound, image = load("specgan"), load("dcgan")
    assert (sound.loss.kind, sound.training.d_updates, sound.training.batch_size) == ("wgan-gp", 5, 64)
    assert (image.loss.kind, image.training.d_updates, image.training.batch_size) == ("dcgan", 1, 128)
    assert (image.training.reuse_fakes, image.loss.d_scale, image.optimizer.epsilon_place) == (True, 1.0, "torch")
    assert (sound.training.latents, image.training.latents) == ("uniform", "normal")


def test_the_length_of_a_run_is_given_once():
    assert load("dcgan_tiny", ["training.steps=7"]).training.epochs is None
    assert load("dcgan_tiny", ["training.epochs=7"]).training.steps is None
    assert total_steps(load("dcgan_tiny", ["training.steps=7"]).training, 1000) == 7
    assert total_steps(load("dcgan_tiny", ["training.epochs=3", "training.batch_size=64"]).training, 100) == 5
    both = ["training.epochs=3", "training.batch_size=10", "training.d_updates=5"]
    assert total_steps(load("specgan_tiny", both).training, 100) == 6


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        (
            "dcgan_tiny",
            ["training.batch_size=10", "training.accumulation=3"],
            "batch_size=10 cannot be split into accum",
        ),
        ("dcgan_tiny", ["training.d_updates=2"], "reuse_fakes needs d_updates=1, got 2"),
        ("dcgan_tiny", ["data.source=drums"], "gives audio data, but model.system=dcgan learns from image data"),
        ("specgan_tiny", ["data.source=images:x"], "gives image data, but model.system=specgan learns from audio data"),
        ("specgan_tiny", ["model.nc=3"], "model.nc=3: spectrograms of mono audio have one channel"),
        ("specgan_tiny", ["data.source=mnist"], "source is 'mnist'; valid: digits, drums"),
        ("specgan_tiny", ["data.source=csv"], "it needs a place, as in csv:FILE"),
        ("specgan_tiny", ["optimizer.lr=-1"], "optimizer.lr is -1: input should be greater than 0"),
        ("specgan_tiny", ["optimizer.lr=.nan"], "optimizer.lr is nan"),
        ("specgan_tiny", ["training.ema=1"], "training.ema is 1: input should be less than 1"),
        ("specgan_tiny", ["training.seed=-1"], "training.seed is -1"),
        ("specgan_tiny", ["loss.penalty=1"], "unknown field loss.penalty, did you mean penalty_weight?; valid: kind, "),
        ("specgan_tiny", ["loss.kind=hinged"], "loss.kind is 'hinged', did you mean hinge?"),
        ("specgan_tiny", ["training.precision=float16"], "training.precision is 'float16', did you mean bfloat16?"),
    ],
)
def test_impossible_runs_are_rejected_in_one_line(preset, overrides, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load(preset, overrides)
    assert "\n" not in str(caught.value)


def test_a_penalty_through_batch_norm_is_pointed_out():
    assert load("specgan_tiny").advice() == []
    assert load("conditional_dcgan_tiny", ["loss.kind=wgan-gp", "model.batchnorm_d=false"]).advice() == []
    for preset, overrides, remedy in [
        ("specgan_tiny", ["model.use_batchnorm=true"], "model.use_batchnorm=false or another loss"),
        ("conditional_dcgan_tiny", ["loss.kind=wgan-gp"], "model.batchnorm_d=false or another loss"),
        ("dcgan_tiny", ["loss.kind=wgan-gp"], "prefer another loss"),
    ]:
        (sentence,) = load(preset, overrides).advice()
        assert "batch norm in the critic" in sentence and sentence.endswith(remedy)
