"""The commands: what they print, how they exit, and what bad input gets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from parity.__main__ import run
from parity.systems.registry import registry

MODELS = """
import keras, torch
from torch import nn

def keras_net():
    return keras.Sequential([
        keras.Input((16, 16, 3)),
        keras.layers.Conv2D(4, 5, strides=2, padding="same", name="conv"),
        keras.layers.ReLU(name="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(2, name="head"),
    ])

class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = keras.layers.Conv2D(4, 5, strides=2, padding="same")

    def call(self, x):
        return self.conv(x)

class TorchNet(nn.Module):
    def __init__(self, pads=(1, 2, 1, 2)):
        super().__init__()
        self.pad = nn.ZeroPad2d(pads)
        self.first = nn.Conv2d(3, 4, 5, stride=2)
        self.last = nn.Linear(4 * 8 * 8, 2)

    def forward(self, x):
        return self.last(torch.relu(self.first(self.pad(x))).flatten(1))

def shifted():
    return TorchNet((2, 2, 2, 2))

class TorchConv(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 5, stride=2)

    def forward(self, x):
        return self.conv(nn.functional.pad(x, (1, 2, 1, 2)))

def broken():
    raise RuntimeError("no such file: weights.h5")

def with_nan():
    model = TorchNet()
    with torch.no_grad():
        model.last.bias[0] = float("nan")
    return model
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "my_nets.py"
    path.write_text(MODELS)
    return str(path)


def refused(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    """The one line that unusable input gets."""
    capfd.readouterr()
    assert run(arguments) == 2
    captured = capfd.readouterr()
    lines = [line for line in captured.err.splitlines() if not line.startswith("[")]
    assert len(lines) == 1 and lines[0].startswith("parity: "), captured.err
    assert "Traceback" not in captured.err + captured.out
    return lines[0]


def test_a_faithful_pair_exits_0(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "verdicts.json"
    assert run(["verify", "dcgan_tiny.generator", "model.nc=3", "--json", str(file)]) == 0
    out = capfd.readouterr().out
    assert "dcgan_tiny.generator:model.nc=3" in out and "faithful: 1 of 1" in out
    (verdict,) = json.loads(file.read_text())
    assert verdict["schema"] == "parity-verdict/1" and verdict["passed"]
    assert verdict["command"] == "parity verify dcgan_tiny.generator model.nc=3"
    assert list(tmp_path.iterdir()) == [file]


def test_symmetric_padding_is_exact_in_a_mirror_only(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", "specgan_tiny.generator", "model.padding=symmetric", "--rungs", "shapes,padding"]
    assert run(arguments) == 1
    out = capfd.readouterr().out
    assert "got (2, 1), expected (1, 2)" in out and "not faithful: 1 of 1" in out
    assert run([*arguments, "--mirrored"]) == 0


def test_selftest_exits_1_for_a_fault_that_is_not_caught(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from parity.systems import mutants
    from parity.systems.training import mutants as in_training

    first = mutants.MUTANTS[0]
    monkeypatch.setattr(in_training, "MUTANTS", [])
    monkeypatch.setattr(mutants, "MUTANTS", [first])
    assert run(["selftest"]) == 0
    assert "1 of 1 faults caught" in capfd.readouterr().out
    monkeypatch.setattr(mutants, "MUTANTS", [replace(first, fault=lambda layer: layer)])
    assert run(["selftest"]) == 1
    assert "the broken port passes" in capfd.readouterr().out


def test_list_names_every_pair(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--list"]) == 0
    assert capfd.readouterr().out.split() == [pair.name for pair in registry()]


def test_compare_a_pair_of_ones_own(models: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", f"{models}:keras_net", f"{models}:TorchNet"]) == 0
    assert "faithful: 1 of 1" in capfd.readouterr().out
    assert run(["compare", f"{models}:keras_net", f"{models}:shifted"]) == 1
    out = capfd.readouterr().out
    assert "padding-alignment" in out and "F.pad(x, (1, 2, 1, 2))" in out and "first" in out


def test_compare_builds_a_subclassed_model_from_input(models: str, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", f"{models}:Subclassed", f"{models}:TorchConv"]
    assert "not built" in refused(arguments, capfd)
    assert run([*arguments, "--input", "2,16,16,3"]) == 0


def test_compare_takes_a_mapping(models: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mapping = tmp_path / "map.yaml"
    mapping.write_text("conv: first\nhead: last\n")
    arguments = ["compare", f"{models}:keras_net", f"{models}:TorchNet", "--mapping", str(mapping)]
    assert run(arguments) == 0
    mapping.write_text("conv: nowhere\n")
    assert "'nowhere'" in refused(arguments, capfd)
    mapping.write_text("- conv\n")
    assert "expected lines" in refused(arguments, capfd)


def test_golden_passes_on_the_projects_own_records(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["golden"]) == 0
    assert "agree in Keras and torch" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["verify"], "name the pairs"),
        (["verify", "specgan", "--all"], "name the pairs"),
        (["verify", "spectgan"], "did you mean specgan?"),
        (["verify", "specgan_tiny.generator", "model.kernel_length=4"], "did you mean kernel_len?"),
        (["verify", "specgan_tiny.generator", "model.kernel_len=40"], "valid: 3, 4, 5, 6 or 7"),
        (["verify", "model.dim=8"], "overrides need a preset"),
        (["verify", "optimizer.kind=adam"], "overrides need a preset"),
        (["verify", "dcgan_tiny", "optimizer.knid=adam"], "did you mean kind?"),
        (["verify", "dcgan.training", "training.accumulation=3", "training.batch_size=4"], "equal portions"),
        (
            ["verify", "dcgan.generator", "--rungs", "training,data"],
            "none of the pairs named has a rung training, data",
        ),
        (["verify", "dcgan.training", "--mirrored"], "training is not: leave --mirrored out"),
        (["compare", "a:f", "a:f", "--rungs", "training"], "no rung 'training' here: it needs a system"),
        (["verify", "specgan", "--rungs", "forwards"], "unknown rung 'forwards'; valid: structure"),
        (["verify", "dcgan_tiny", "--json", "/nonexistent/file.json"], "cannot be written"),
        (["report", "--out", "/proc/report"], "cannot be written"),
        (["golden", "/nonexistent"], "/nonexistent"),
        (["compare", "nocolon", "nocolon"], "expected MODULE:FACTORY"),
        (["compare", "no_such_module:f", "no_such_module:g"], "importing no_such_module failed"),
        (["compare", "/nonexistent.py:f", "/nonexistent.py:g"], "there is no file"),
        (["convert-everything"], "convert-everything"),
        (["padding", "--op", "conv", "--size", "-3", "--kernel", "5", "--stride", "2"], "-3"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_unusable_input_gets_one_line(arguments: list[str], expected: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert expected in refused(arguments, capfd)


@pytest.mark.parametrize(
    ("reference", "port", "options", "expected"),
    [
        ("keras_net", "nothing", [], "has no 'nothing'"),
        ("keras_net", "broken", [], "no such file: weights.h5"),
        ("TorchNet", "keras_net", [], "the reference comes first"),
        ("keras_net", "with_nan", [], "NaN or infinity: last.bias"),
        ("keras_net", "TorchNet", ["--input", "2,16"], "16, 16, 3"),
        ("keras_net", "TorchNet", ["--input", "2,a"], "expected whole numbers"),
    ],
)
def test_unusable_models_get_one_line(
    reference: str, port: str, options: list[str], expected: str, models: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert expected in refused(["compare", f"{models}:{reference}", f"{models}:{port}", *options], capfd)


@pytest.mark.parametrize("command", [[], ["verify"], ["compare"], ["report"], ["golden"], ["padding"], ["selftest"]])
def test_help_explains(command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    assert "Usage: parity" in capfd.readouterr().out


def test_an_interrupted_report_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "report"
    process = subprocess.Popen(
        [sys.executable, "-m", "parity", "report", "--out", str(out)],
        cwd=Path(__file__).resolve().parents[3],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("[1/")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.splitlines()[-1] == "parity: interrupted"
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
