"""Training states across the bridge: there and back bit for bit, and training goes on as if nothing had happened."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tf_impl.checkpoints
import tf_impl.trainer
import torch_impl.checkpoints
import torch_impl.trainer
from parity.__main__ import run
from parity.systems.conversion import converted_runs, to_keras, to_torch
from parity.systems.conversion.check_conversion import prove
from shared_impl.cli import main as cli
from shared_impl.config.presets import load
from shared_impl.config.schema import Config
from shared_impl.storage import checkpoints
from shared_impl.storage.checkpoints import MANIFEST, TENSORS, CheckpointError
from shared_impl.storage.experiments import PAGE
from shared_impl.storage.metrics_log import WALL_CLOCK
from shared_impl.storage.run_folder import CHECKPOINTS, Run

IMPLEMENTATIONS = {
    "tensorflow": (tf_impl.trainer.Trainer, tf_impl.checkpoints, to_torch),
    "torch": (torch_impl.trainer.Trainer, torch_impl.checkpoints, to_keras),
}
STEPS, CROSSED_AFTER = 6, 3
# float64 twins keep together to 2.5e-13 over 200 steps at this size; a wrong layout or a lost moment shows at 1e-4.
SAME = 1e-10
VARIANTS = {
    "dcgan": ("dcgan_tiny", ["training.ema=0.9", "optimizer.schedule=cosine", "model.nc=3"]),
    "specgan": ("specgan_tiny", ["training.d_updates=2", "training.ema=0.5", "model.upsample=nearest"]),
    "specgan norm": (
        "specgan_tiny",
        ["training.d_updates=1", "model.use_batchnorm=true", "loss.kind=lsgan"],
    ),  # RMSProp
}


def config_of(variant: str) -> Config:
    preset, overrides = VARIANTS[variant]
    return load(preset, ["training.precision=float64", "training.batch_size=4", f"training.steps={STEPS}", *overrides])


def batches(config: Config, skip: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """Random images, the same for every run; ``skip`` of them already seen."""
    rng, side = np.random.RandomState(0), {"specgan": 128, "dcgan": 64}[config.model.system]
    shape, labels = (4, side, side, config.model.nc), np.zeros(4, np.int64)
    made = ({"x": rng.randint(0, 256, shape).astype(np.uint8), "label": labels} for _ in range(1000))
    for _ in range(skip):
        next(made)
    yield from made


def train(framework: str, config: Config, first: int, last: int, arrays=None) -> tuple[list[dict[str, float]], dict]:
    """The metrics of those steps, starting from a state or from the beginning, and the state after them."""
    make, files, _ = IMPLEMENTATIONS[framework]
    trainer = make(config, STEPS)
    if arrays is not None:
        files.restore(trainer, arrays)
    stream = batches(config, first * config.training.d_updates)
    metrics = [{k: float(v) for k, v in trainer.step(i, stream).items()} for i in range(first, last)]
    return metrics, files.state(trainer)


def apart(one: list[dict[str, float]], other: list[dict[str, float]]) -> float:
    return max(abs(a[name] - b[name]) for a, b in zip(one, other, strict=True) for name in a | b)


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_goes_on_across_the_bridge_as_either_framework_alone(variant):
    config = config_of(variant)
    alone = {name: train(name, config, 0, STEPS) for name in IMPLEMENTATIONS}
    for here, there in (("tensorflow", "torch"), ("torch", "tensorflow")):
        begun, state = train(here, config, 0, CROSSED_AFTER)
        ended, last = train(there, config, CROSSED_AFTER, STEPS, IMPLEMENTATIONS[here][2](state, config))
        for metrics, _ in alone.values():
            assert apart(begun + ended, metrics) <= SAME
        assert all(np.abs(last[name] - array).max() <= SAME for name, array in alone[there][1].items())


def test_a_part_left_behind_shows():
    config = config_of("dcgan")
    metrics, last = train("torch", config, 0, STEPS)
    _, state = train("tensorflow", config, 0, CROSSED_AFTER)
    fresh = torch_impl.checkpoints.state(torch_impl.trainer.Trainer(config, STEPS))
    for group in ("g_optimizer/m", "d_optimizer/v", "g_optimizer/updates", "ema", "discriminator"):
        carried = {n: fresh[n] if n.startswith(group) else array for n, array in to_torch(state, config).items()}
        ended, other = train("torch", config, CROSSED_AFTER, STEPS, carried)
        off = max(np.abs(last[name] - array).max() for name, array in other.items())
        assert max(apart(ended, metrics[CROSSED_AFTER:]), off) > 1e5 * SAME, group


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_state_comes_back_bit_for_bit(variant):
    config = config_of(variant)
    for framework, there, back in (("tensorflow", to_torch, to_keras), ("torch", to_keras, to_torch)):
        make, files, _ = IMPLEMENTATIONS[framework]
        rng = np.random.default_rng(0)
        sent = {name: rng.standard_normal(a.shape).astype(a.dtype) for name, a in files.state(make(config, 1)).items()}
        sent["moments/mean"] = rng.standard_normal(128)
        carried = there(sent, config)
        assert sent.keys() - carried.keys() and carried["moments/mean"] is sent["moments/mean"]
        assert all(array.flags.c_contiguous for array in carried.values())
        returned = back(carried, config)
        assert list(returned) == list(sent)
        assert all(returned[n].tobytes() == a.tobytes() and returned[n].dtype == a.dtype for n, a in sent.items())


def test_a_state_of_another_configuration_is_refused_by_name():
    config = config_of("dcgan")
    state = tf_impl.checkpoints.state(tf_impl.trainer.Trainer(config, 1))
    del state["g_optimizer/m/upconv_1/kernel"]
    state["ema/extra/kernel"] = np.zeros(3)
    state["generator/upconv_4/kernel"] = np.zeros((4, 4, 8, 3))
    with pytest.raises(CheckpointError) as error:
        to_torch(state, config)
    assert "ema/extra/kernel: got (3,), expected nothing" in str(error.value)
    assert "g_optimizer/m/upconv_1/kernel: got nothing, expected (4, 4, 32, 64)" in str(error.value)
    assert "generator/upconv_4/kernel: got (4, 4, 8, 3), expected (4, 4, 3, 8)" in str(error.value)
    with pytest.raises(CheckpointError, match=r"generator/upconv_0/kernel: got .*expected nothing"):
        to_keras(tf_impl.checkpoints.state(tf_impl.trainer.Trainer(config, 1)), config)


SMALL = ["training.batch_size=4", "training.precision=float64", "runs.log_every=1", "runs.samples=4", "runs.previews=2"]
DIGITS = ["dcgan_tiny", "model.ngf=2", "model.ndf=2", "model.nz=8", "training.ema=0.9", *SMALL]
DRUMS = ["specgan_tiny", "model.dim=1", "model.nz=8", "training.d_updates=1", *SMALL]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def implementation(name: str, *arguments: str) -> int:
    """The exit status of ``python -m tf_impl|torch_impl ...``, run in this process."""
    module = __import__(f"{name}.__main__", fromlist=["implementation"])
    return cli.run(name, module.load_framework, arguments)


def logged(folder: str) -> list[dict]:
    lines = [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in WALL_CLOCK} for line in lines]


@pytest.mark.parametrize(
    ("preset", "here", "there", "framework"),
    [(DIGITS, "torch_impl", "tf_impl", "tensorflow"), (DRUMS, "tf_impl", "torch_impl", "torch")],
    ids=["dcgan torch-tensorflow", "specgan tensorflow-torch"],
)
def test_a_run_goes_on_in_the_other_framework_as_if_it_had_never_left(preset, here, there, framework, workplace, capfd):
    name = preset[0]
    assert implementation(here, "train", *preset, "training.steps=4") == 0
    assert implementation(here, "train", *preset, "training.steps=2") == 0
    capfd.readouterr()
    assert run(["convert", "2", framework]) == 0
    out, err = capfd.readouterr()
    assert err == "" and f"go on with: python -m {there} train runs/0003-{name} --resume" in out
    assert "step 2, stream position and" in out and "there and back again bit for bit" in out
    carried = Run.open(Path(f"runs/0003-{name}"))
    assert carried.framework == framework and carried.about["preset"] == name
    assert logged(carried.path) == logged(f"runs/0002-{name}")
    assert f"interrupted at step 2 (carried over from runs/0002-{name}" in Path("runs", PAGE).read_text()
    assert implementation(there, "train", str(carried.path), "--resume", "training.steps=4") == 0
    for got, expected in zip(logged(carried.path), logged(f"runs/0001-{name}"), strict=True):
        assert got == pytest.approx(expected, rel=SAME)
    ends = [checkpoints.load(checkpoints.latest(Path(f"runs/000{n}-{name}", CHECKPOINTS))) for n in (1, 3)]
    assert ends[0].manifest["stream"] == ends[1].manifest["stream"]
    assert ends[1].manifest["framework"] == framework
    assert implementation(here, "train", str(carried.path), "--resume", "training.steps=5") == 2
    assert "carry it over with `parity convert`" in capfd.readouterr().err


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A runs folder with run 1, torch, at step 3: no data set was needed."""
    folder = tmp_path_factory.mktemp("made") / "runs"
    config = load("dcgan_tiny", ["model.ngf=2", "model.ndf=2", f"runs.folder={folder}", "runs.tensorboard=false"])
    started = Run.create(config, "dcgan_tiny", "torch")
    started.log(3, {"g_loss": 1.0})
    rng = np.random.default_rng(0)
    state = {
        name: (array + 0.01 * rng.uniform(size=array.shape)).astype(array.dtype)
        for name, array in torch_impl.checkpoints.state(torch_impl.trainer.Trainer(config, 3)).items()
    }
    started.checkpoint(3, state, {"stream": {"next": 12}, "note": "kept"}, value=0.5)
    started.finish("interrupted")
    return folder


@pytest.fixture
def there(made, workplace) -> Path:
    """A fresh copy of it in the working directory."""
    shutil.copytree(made, workplace / "runs")
    return Path("runs/0001-dcgan_tiny/checkpoints/step-00000003")


def test_a_checkpoint_alone_is_carried_with_all_it_says(there, capfd):
    assert run(["convert", str(there), "elsewhere/step-00000003"]) == 0
    assert "go on with: python -m tf_impl generate elsewhere/step-00000003" in capfd.readouterr().out
    assert run(["convert", "elsewhere/step-00000003", "back"]) == 0
    first, second = (checkpoints.load(p) for p in (there, Path("back/0001-dcgan/checkpoints/step-00000003")))
    assert first.arrays.keys() == second.arrays.keys()
    assert all(second.arrays[name].tobytes() == array.tobytes() for name, array in first.arrays.items())
    kept = ("stream", "note", "value", "framework", "step", "schema")
    assert {n: first.manifest[n] for n in kept} == {n: second.manifest[n] for n in kept}
    middle = checkpoints.read_manifest(Path("elsewhere/step-00000003"))
    assert "tensorflow" in middle["versions"] and middle["converted"] == {"from": "torch", "step": 3}


def test_a_second_run_takes_the_next_number(there, capfd):
    for number in (1, 2):
        assert run(["convert", "dcgan_tiny", "new/runs"]) == 0
        assert Path(f"new/runs/000{number}-dcgan_tiny/checkpoints/step-00000003").is_dir()
    assert Run.open(Path("new/runs/0002-dcgan_tiny")).config.runs.folder == "new/runs"


def test_a_network_goes_out_to_a_file_from_the_command_line(there, capfd):
    assert run(["convert", "1", "d.safetensors", "--network", "discriminator"]) == 0
    out, err = capfd.readouterr()
    assert err == "" and "the discriminator after step 3: 3,088 values in float32" in out
    assert "20 of 20 arrays bit for bit" in out and "limit" in out and "rounding" in out
    assert "module.load_state_dict(safetensors.torch.load_file('d.safetensors'))" in out


def edited(path: Path, **changes) -> None:
    """The manifest changed and sealed anew, as another program's version would have written it."""
    manifest = json.loads((path / MANIFEST).read_text())
    del manifest["seal"]
    for name, value in changes.items():
        manifest[name] = value
    (path / MANIFEST).write_text(json.dumps({**manifest, "seal": checkpoints._seal(manifest)}))


def taken(path: Path) -> None:
    Path("full").mkdir()
    Path("full/file").touch()
    Path("net.onnx").touch()


def broken(path: Path) -> None:
    content = bytearray((path / TENSORS).read_bytes())
    content[-3] ^= 1
    (path / TENSORS).write_bytes(content)


REFUSED = [
    (
        ["1", "torch"],
        None,
        "is torch's already: go on with it by `python -m torch_impl train runs/0001-",
    ),
    (["1", "net.h5"], None, "unknown suffix '.h5'; valid: .keras, .pt2, .safetensors, .pt, .onnx for a network, tens"),
    (["1", "net.onnx"], taken, "net.onnx: exists: remove it or choose another name"),
    (["1", "full"], taken, "full: exists and is not empty: remove it or choose another name"),
    (["1", "net.onnx/new"], taken, "net.onnx/new: cannot be written: name a folder where you may write"),
    (["1", "nowhere/net.pt"], None, "nowhere/net.pt cannot be written: name a file in an existing folder"),
    (["1", "runs/0009-new"], None, "runs/0009-new: a run gets its number by itself: name the folder for it, runs"),
    (["1", "x/step-00000009"], None, "a checkpoint is named after its step: expected step-00000003"),
    (["1", "tensorflow", "--network", "generator"], None, "a training state is carried whole; it concerns files alone"),
    (["1", "net.pt", "--network", "generatr"], None, "unknown network 'generatr', did you mean generator?"),
    (["2", "tensorflow"], None, "no run '2' in runs; there are 0001-dcgan_tiny"),
    (["1", "tensorflow", "--runs", "none"], None, "no run '1' in none; there is none: train one first"),
    (["1", "tensorflow"], lambda p: shutil.rmtree(p), "runs/0001-dcgan_tiny: no checkpoint yet"),
    (["1", "tensorflow"], broken, "state.safetensors: damaged: its checksum is not the manifest's"),
    (["1", "net.keras"], broken, "state.safetensors: damaged: its checksum is not the manifest's"),
    (["1", "tensorflow"], lambda p: edited(p, framework="jax"), "made in 'jax', expected one of tensorflow, torch"),
    (
        ["1", "tensorflow"],
        lambda p: edited(p, config={"model": {"system": "soundgun"}}),
        "model.system is 'soundgun', did you mean soundgan?; valid: specgan, dcgan",
    ),
    (
        ["1", "net.pt"],
        lambda p: edited(p, config={"model": {"system": "dcgan", "ngf": 4}}),
        "arrays are not this run's: upconv_0.weight: got (100, 16, 4, 4), expected (100, 32, 4, 4)",
    ),
]


@pytest.mark.parametrize(("arguments", "before", "message"), REFUSED, ids=[message[:32] for _, _, message in REFUSED])
def test_unusable_input_gets_one_line_and_leaves_nothing(arguments, before, message, there, workplace, capfd):
    if before is not None:
        before(there)
    known = sorted(workplace.rglob("*"))
    capfd.readouterr()
    assert run(["convert", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and message in err and "Traceback" not in err
    assert sorted(workplace.rglob("*")) == known


def test_a_state_with_nan_is_refused_by_name(there, capfd):
    kept = checkpoints.load(there)
    kept.arrays["generator/upconv_1.weight"][0, 0, 0, 0] = np.nan
    manifest = {name: kept.manifest[name] for name in ("config", "framework", "stream")}
    checkpoints.save(there.parent, 4, kept.arrays, manifest)
    assert run(["convert", "1", "tensorflow"]) == 2
    message = "step-00000004: the state holds NaN or infinity (generator/upconv_1/kernel): take an earlier checkpoint"
    assert message in capfd.readouterr().err
    assert run(["convert", "1", "net.onnx"]) == 2
    message = "step-00000004: the network holds NaN or infinity (generator/upconv_1.weight): take an earlier checkpoint"
    assert message in capfd.readouterr().err


@pytest.mark.parametrize("part", ["discriminator/downconv_1/kernel", "g_optimizer/m/upconv_2/kernel"])
def test_a_state_that_does_not_arrive_is_not_written(part, there, workplace, capfd, monkeypatch):
    """A crossing that loses something both ways, so that there and back looks fine."""

    def losing(cross):
        return lambda arrays, config: {n: flipped(n, a) for n, a in cross(arrays, config).items()}

    def flipped(name: str, array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(array[::-1]) if name.replace(".weight", "/kernel") == part else array

    monkeypatch.setitem(converted_runs.CONVERSIONS, "torch", ("tensorflow", losing(to_keras), losing(to_torch)))
    monkeypatch.setattr(converted_runs, "_changed", lambda one, other: [])
    known = sorted(workplace.rglob("*"))
    assert run(["convert", "1", "tensorflow"]) == 1
    err = capfd.readouterr().err
    assert "the state is another in tensorflow: after one step from it" in err and "nothing was written" in err
    assert sorted(workplace.rglob("*")) == known


def test_a_state_that_does_not_come_back_is_not_written(there, capfd, monkeypatch):
    def lossy(arrays, config):
        return {name: a.astype(np.float16).astype(a.dtype) for name, a in to_torch(arrays, config).items()}

    monkeypatch.setitem(converted_runs.CONVERSIONS, "torch", ("tensorflow", to_keras, lossy))
    assert run(["convert", "1", "tensorflow"]) == 1
    assert "there and back changes" in capfd.readouterr().err


def test_a_configuration_that_only_torch_computes_is_named():
    config = load("specgan_tiny", ["model.dim=1", "model.padding=symmetric"])
    state = torch_impl.checkpoints.state(torch_impl.trainer.Trainer(config, 1))
    manifest = {"framework": "torch", "config": config.model_dump(mode="json"), "step": 0}
    with pytest.raises(converted_runs.NotFaithful, match=r"model.padding=symmetric is torch's alone"):
        converted_runs.convert(checkpoints.Checkpoint(Path("step-00000000"), state, manifest))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_proof_holds_for_every_option_and_for_nothing_less_than_the_whole(variant):
    config = config_of(variant)
    _, state = train("torch", config, 0, 2)
    carried = to_keras(state, config)
    proof = prove({"torch": state, "tensorflow": carried}, config, 2)
    assert proof.passed and proof.apart < 1e-11
    assert not replace(proof, apart=float("inf")).passed
    fresh = tf_impl.checkpoints.state(tf_impl.trainer.Trainer(config, STEPS))
    group = {"dcgan": "ema", "specgan": "d_optimizer/updates", "specgan norm": "g_optimizer/s"}[variant]
    behind = {name: fresh[name] if name.startswith(group) else array for name, array in carried.items()}
    assert prove({"torch": state, "tensorflow": behind}, config, 2).apart > 1e-5


def test_help_names_every_target(capfd):
    assert run(["convert", "--help"]) == 0
    out = capfd.readouterr().out
    assert all(word in out for word in (".keras", ".pt2", ".onnx", ".safetensors", ".pt", "torch", "tensorflow"))
