"""Networks out to files: every format loads by itself and computes what the run computes, or is not written."""

from __future__ import annotations

import importlib.util
import json
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors
import safetensors.torch
import torch

import tf_impl
import tf_impl.checkpoints
import tf_impl.trainer
import torch_impl
import torch_impl.checkpoints
import torch_impl.trainer
from parity.systems.conversion import formats
from parity.systems.conversion.exports import export
from parity.systems.conversion.formats import FORMATS, NOTES
from parity.verdict import NotFaithful, UnusableInput
from shared_impl.config.presets import ConfigError, checked, load
from shared_impl.config.schema import Config
from shared_impl.storage.checkpoints import Checkpoint, CheckpointError

ROOT = Path(__file__).resolve().parents[4]
IMPLEMENTATIONS = {
    "tensorflow": (tf_impl.trainer, tf_impl.checkpoints),
    "torch": (torch_impl.trainer, torch_impl.checkpoints),
}
DCGAN = ("dcgan_tiny", "training.ema=0.9")
CONDITIONAL = ("conditional_dcgan_improved_tiny", "model.label=auxiliary", "model.spectral_norm_g=true")
SPECGAN = ("specgan_tiny", "model.use_batchnorm=true", "model.upsample=linear")
FLOAT32 = 1e-5  # of the largest output: a few hundred roundings


@cache
def checkpoint(framework: str, preset: str, *overrides: str) -> Checkpoint:
    """A state whose every value is drawn, near those of a network that has just begun."""
    config = load(preset, overrides)
    trainer, files = IMPLEMENTATIONS[framework]
    rng = np.random.default_rng(0)
    arrays = {
        name: np.asarray(array + 0.05 * np.abs(rng.standard_normal(array.shape)), array.dtype)
        for name, array in files.state(trainer.Trainer(config, 1)).items()
    }
    manifest = {"framework": framework, "config": config.model_dump(mode="json"), "step": 7}
    return Checkpoint(Path("step-00000007"), arrays, manifest)


def expected(held: Checkpoint, scope: str, x: np.ndarray) -> np.ndarray:
    """What the implementation's own network makes of channels-last inputs, in float64."""
    config = load_config(held)
    trainer, files = IMPLEMENTATIONS[held.manifest["framework"]]
    in_float64 = config.training.model_copy(update={"precision": "float64"})
    made = trainer.Trainer(config.model_copy(update={"training": in_float64}), 1)
    files.restore(made, held.arrays)
    network = getattr(made, scope)
    if held.manifest["framework"] == "tensorflow":
        return network(x.astype(np.float64), training=False).numpy()
    with torch.no_grad():
        return last(network.eval()(torch.from_numpy(first(x).astype(np.float64))).numpy())


def load_config(held: Checkpoint) -> Config:
    return checked(Config, held.manifest["config"], where="test")


def first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim == 4 else x


def last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x


def filled(held: Checkpoint, network: str, tensors) -> torch.nn.Module:
    module = torch_impl.build(load_config(held).model, network).eval()
    module.load_state_dict(tensors)
    return module


def computed(path: Path, held: Checkpoint, network: str, x: np.ndarray) -> np.ndarray:
    """What a file computes, loaded as its documentation says."""
    if path.suffix == ".keras":
        return np.asarray(keras.saving.load_model(path)(x, training=False))
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path)
        return last(session.run(None, {session.get_inputs()[0].name: first(x)})[0])
    module = {
        ".pt2": lambda: torch.export.load(path).module(),
        ".pt": lambda: filled(held, network, torch.load(path, weights_only=True)),
        ".safetensors": lambda: filled(held, network, safetensors.torch.load_file(path)),
    }[path.suffix]()
    with torch.no_grad():
        return last(module(torch.from_numpy(first(x))).numpy())


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("network", ["generator", "discriminator"])
@pytest.mark.parametrize("case", [("tensorflow", *SPECGAN), ("torch", *DCGAN)])
def test_a_file_computes_what_the_run_computes_at_any_batch_size(case, network, suffix, tmp_path):
    held = checkpoint(*case)
    done = export(held, tmp_path / f"net{suffix}", network)
    assert done.passed and 0 < done.limit < FLOAT32 and done.exact == done.arrays > (0 if suffix != ".onnx" else -1)
    assert [path.name for path in tmp_path.iterdir()] == [f"net{suffix}"]
    model, rng = load_config(held).model, np.random.default_rng(1)
    side = {"specgan": 128, "dcgan": 64}[model.system]
    shape = (model.nz,) if network == "generator" else (side, side, model.nc)
    scope = "ema" if network == "generator" and case[1:] == DCGAN else network
    for count in (1, 5):
        x = rng.uniform(-1, 1, (count, *shape)).astype(np.float32)
        want = expected(held, scope, x)
        got = computed(done.path, held, network, x)
        assert got.shape == want.shape
        assert np.abs(got - want).max() <= FLOAT32 * np.abs(want).max()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_what_is_told_classes_or_names_them_goes_out_with_them(network, suffix, tmp_path):
    held = checkpoint("torch", *CONDITIONAL)
    done = export(held, tmp_path / f"net{suffix}", network)
    assert done.passed and done.exact == done.arrays
    model = load_config(held).model
    if suffix == ".onnx":
        session = onnxruntime.InferenceSession(done.path)
        names = ["z", "label"] if network == "generator" else ["images"]
        assert [one.name for one in session.get_inputs()] == names
        assert [one.name for one in session.get_outputs()] == (["images"] if names[1:] else ["logits", "classes"])
        images = np.zeros((5, model.nc, 32, 32), np.float32)
        given = {"z": np.zeros((5, model.nz), np.float32), "label": np.arange(5), "images": images}
        outputs = session.run(None, {name: given[name] for name in names})
        assert [output.shape for output in outputs] == ([images.shape] if names[1:] else [(5,), (5, model.classes)])


@pytest.mark.parametrize(("precision", "dtypes"), [("bfloat16", {"float32"}), ("float64", {"float64", "float32"})])
def test_a_file_is_as_precise_as_the_run_and_the_format(precision, dtypes, tmp_path):
    held = checkpoint("torch", "dcgan_tiny", "model.ngf=2", f"training.precision={precision}")
    found = {suffix: export(held, tmp_path / f"net{suffix}") for suffix in FORMATS}
    assert {done.dtype for done in found.values()} == dtypes
    assert found[".onnx"].dtype == "float32"
    if precision == "float64":
        assert found[".keras"].limit < 1e-12
        assert torch.load(found[".pt"].path, weights_only=True)["upconv_0.weight"].dtype == torch.float64


LOADERS = {
    ".keras": "import keras; y = keras.saving.load_model('net.keras')(np.zeros((3, 100)))",
    ".pt2": "import torch; y = torch.export.load('net.pt2').module()(torch.zeros(3, 100))",
    ".onnx": "import onnxruntime as o; y = o.InferenceSession('net.onnx').run(None, {'z': np.zeros((3, 100), 'f')})[0]",
}


@pytest.mark.parametrize("suffix", LOADERS)
def test_a_file_needs_its_runtime_alone(suffix, tmp_path):
    export(checkpoint("torch", "specgan_tiny"), tmp_path / f"net{suffix}")
    code = f"import sys, numpy as np\n{LOADERS[suffix]}\nprint(tuple(y.shape), sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(f"{(3, 128, 128, 1) if suffix == '.keras' else (3, 1, 128, 128)}")
    assert not {"'parity'", "'tf_impl'", "'torch_impl'"} & set(run.stdout.split())


def test_a_keras_file_with_the_projects_own_layers_needs_tf_impl(tmp_path):
    export(checkpoint("tensorflow", *SPECGAN), tmp_path / "net.keras")
    code = """if True:
        import keras
        try:
            keras.saving.load_model("net.keras")
        except TypeError as error:
            print("tf_impl>" in str(error))
        import tf_impl.systems
        print(type(keras.saving.load_model("net.keras")).__name__, "parity" in sys.modules)
    """
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({str(ROOT)!r})\n{code}"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.stdout.split() == ["True", "Sequential", "False"], run.stderr


def test_a_file_says_what_it_is(tmp_path):
    held = checkpoint("torch", *DCGAN)
    for suffix in (".onnx", ".pt2", ".safetensors"):
        export(held, tmp_path / f"net{suffix}")
    metadata = {item.key: item.value for item in onnx.load(tmp_path / "net.onnx").metadata_props}
    extra = {NOTES: ""}
    torch.export.load(tmp_path / "net.pt2", extra_files=extra)
    with safetensors.safe_open(tmp_path / "net.safetensors", "pt") as file:
        also = file.metadata()
    assert also.pop("format") == "pt"
    assert json.loads(extra[NOTES]) == also and also.items() <= metadata.items()
    assert metadata["network"] == "the generator's moving average" and metadata["step"] == "7"
    assert json.loads(metadata["model"])["ngf"] == 8


def test_exporting_is_silent(tmp_path, capfd):
    export(checkpoint("torch", "dcgan_tiny", "model.ngf=2"), tmp_path / "net.onnx")
    assert capfd.readouterr() == ("", "")


def scaled(module: torch.nn.Module) -> torch.nn.Module:
    module.upconv_4.weight.mul_(1.0001)
    return module


@pytest.mark.parametrize("suffix", [".pt2", ".onnx", ".pt"])
def test_a_file_that_computes_something_else_is_not_written(suffix, tmp_path, monkeypatch):
    form = FORMATS[suffix]
    broken = replace(form, write=lambda module, *rest: form.write(scaled(module), *rest))
    monkeypatch.setitem(FORMATS, suffix, broken)
    with pytest.raises(NotFaithful, match=r"outputs differ by \S+ of the largest, expected at most \S+; nothing was w"):
        export(checkpoint("torch", "dcgan_tiny", "model.ngf=2"), tmp_path / f"net{suffix}")
    assert not list(tmp_path.iterdir())


def test_a_file_that_loses_a_bit_is_not_written(tmp_path, monkeypatch):
    def read(path, fresh):
        loaded = form.read(path, fresh)
        loaded.arrays["upconv_0_bn.bias"].view(np.int32)[0] ^= 1
        return loaded

    form = FORMATS[".pt"]
    monkeypatch.setitem(FORMATS, ".pt", replace(form, read=read))
    with pytest.raises(NotFaithful, match="and 1 of 25 arrays are others"):
        export(checkpoint("torch", "dcgan_tiny", "model.ngf=2"), tmp_path / "net.pt")
    assert not list(tmp_path.iterdir())


def test_a_network_that_the_other_framework_cannot_compute_is_not_written(tmp_path):
    held = checkpoint("torch", "specgan_tiny", "model.padding=symmetric")
    assert export(held, tmp_path / "net.pt2").passed
    with pytest.raises(NotFaithful, match=r"model.padding=symmetric is torch's alone"):
        export(held, tmp_path / "net.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt2"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_full_disk_leaves_nothing(suffix, tmp_path):
    held = checkpoint("torch", "dcgan_tiny", "model.ngf=2")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, limits[1]))
    try:
        with pytest.raises(UnusableInput, match=rf"net{suffix}: cannot be written: File too large"):
            export(held, tmp_path / f"net{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None if "onnxs" in name else found(name))
    with pytest.raises(UnusableInput, match=r"\.onnx needs onnxscript: pip install 'parity-bridge\[export\]'"):
        export(checkpoint("torch", "dcgan_tiny", "model.ngf=2"), tmp_path / "net.onnx")


def test_a_state_that_lacks_the_network_is_refused(tmp_path):
    held = checkpoint("torch", "dcgan_tiny", "model.ngf=2")
    with pytest.raises(CheckpointError, match="holds no discriminator"):
        export(held._replace(arrays={"generator/a": np.zeros(1)}), tmp_path / "net.pt", "discriminator")
    with pytest.raises(CheckpointError, match=r"a: got \(1,\), expected nothing"):
        export(held._replace(arrays={"generator/a": np.zeros(1)}), tmp_path / "net.pt")
    with pytest.raises(ConfigError, match=r"unknown suffix '.h5'; valid: .keras, .pt2"):
        export(held, tmp_path / "net.h5")
    with pytest.raises(ConfigError, match="unknown network 'generatr', did you mean generator"):
        export(held, tmp_path / "net.pt", "generatr")
    assert not list(tmp_path.iterdir())
