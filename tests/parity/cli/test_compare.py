"""``parity compare``: models of a user's own, and what cannot be compared."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from parity.__main__ import main, run
from tests.parity.cli.error_lines import error_line

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


def test_compare_a_pair_of_ones_own(models: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", f"{models}:keras_net", f"{models}:TorchNet"]) == 0
    assert "faithful: 1 of 1" in capfd.readouterr().out
    assert run(["compare", f"{models}:keras_net", f"{models}:shifted"]) == 1
    out = capfd.readouterr().out
    assert "padding-alignment" in out and "F.pad(x, (1, 2, 1, 2))" in out and "first" in out


def test_compare_judges_the_weights_that_the_port_holds(models: str, capfd: pytest.CaptureFixture[str]) -> None:
    pair = [f"{models}:keras_net", f"{models}:TorchNet", "--rungs", "forward"]
    assert run(["compare", *pair]) == 0
    assert "(with the reference's weights copied)" in capfd.readouterr().out
    assert run(["compare", *pair, "--own-weights"]) == 1
    out = capfd.readouterr().out
    assert "[wrong-weights] all 2 layers (first, last)" in out and "(own weights)" in out


def test_compare_builds_a_subclassed_model_from_input(models: str, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", f"{models}:Subclassed", f"{models}:TorchConv"]
    assert "not built" in error_line(arguments, capfd)
    assert run([*arguments, "--input", "2,16,16,3"]) == 0


def test_compare_takes_a_mapping(models: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mapping = tmp_path / "map.yaml"
    mapping.write_text("conv: first\nhead: last\n")
    arguments = ["compare", f"{models}:keras_net", f"{models}:TorchNet", "--mapping", str(mapping)]
    assert run(arguments) == 0
    mapping.write_text("conv: nowhere\n")
    assert "'nowhere'" in error_line(arguments, capfd)
    mapping.write_text("- conv\n")
    assert "expected lines" in error_line(arguments, capfd)


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
    assert expected in error_line(["compare", f"{models}:{reference}", f"{models}:{port}", *options], capfd)


def test_models_are_imported_and_built_with_the_working_folder_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_parts.py").write_text("FILTERS = 4\n")
    lazy = MODELS.replace("def keras_net():\n", "def keras_net():\n    import own_parts\n")
    (tmp_path / "own_nets.py").write_text(lazy)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder not in ("", str(tmp_path))])
    before = list(sys.path)
    assert run(["compare", "own_nets:keras_net", "own_nets:TorchNet", "--rungs", "structure"]) == 0
    assert sys.path == before


def test_scope_weights_and_report_are_asked_on_the_command_line(
    models: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pair = ["compare", f"{models}:keras_net", f"{models}:TorchNet"]
    folder = tmp_path / "report"
    assert run([*pair, "--scope", "inference", "--report", str(folder)]) == 0
    out = capfd.readouterr().out
    assert "faithful for inference: 1 of 1" in out and "not asked: gradients, penalty, state" in out
    assert "reads the image as (c, h, w)" in out
    assert "--scope inference" in (folder / "report.md").read_text()
    assert run([*pair, "--own-weights", "--rungs", "weights"]) == 1
    assert "own weights" in capfd.readouterr().out
    assert run(["compare", f"{models}:keras_net", f"{models}:shifted", "--rungs", "shapes"]) == 0
    out = capfd.readouterr().out
    assert "leaves open whether it is faithful: 1 of 1" in out and "\nfaithful" not in out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--scope", "all"], "unknown scope 'all'"),
        (["--scope", "inference", "--rungs", "state"], "only training needs it"),
        (["--device", "tpu"], "expected cpu, cuda"),
        (["--device", "cuda:99"], "torch sees"),
        (["--report", __file__], "it is a file"),
    ],
)
def test_unusable_options_get_one_line(
    options: list[str], expected: str, models: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert expected in error_line(["compare", f"{models}:keras_net", f"{models}:TorchNet", *options], capfd)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise type('Stop', (BaseException,), {})('x')", "Stop: x"),
        ("raise KeyboardInterrupt", "interrupted"),
    ],
)
def test_a_factory_or_file_that_ends_the_process_gets_one_line(
    end: str, expected: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number, content in enumerate((f"def net():\n    {end}\n", end)):
        name = f"{tmp_path}/leaving{number}.py:net"
        (tmp_path / f"leaving{number}.py").write_text(content)
        assert expected in error_line(["compare", name, name], capfd)


@pytest.mark.parametrize("end", ["sys.exit(0)", "os.kill(os.getpid(), signal.SIGINT)", "raise GeneratorExit"])
def test_a_port_that_ends_the_process_as_it_runs_is_no_success(
    end: str, models: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ending.py"
    file.write_text(
        f"import os, signal, sys\nfrom torch import nn\nclass Net(nn.Module):\n"
        f"    def forward(self, x):\n        {end}\n"
    )
    monkeypatch.setattr(sys, "argv", ["parity", "compare", f"{models}:keras_net", f"{file}:Net"])
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capfd.readouterr()
    assert said.err.count("parity: ") == 1 and "Traceback" not in said.err and "faithful" not in said.out


def test_the_same_seed_gives_the_same_figures(models: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Both factories draw their weights, with NumPy and ``random`` too."""
    file = tmp_path / "drawn.py"
    file.write_text(
        "import random\nimport numpy as np\nimport keras, torch\nfrom torch import nn\n"
        "def own():\n"
        "    net = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, padding='same', name='conv')])\n"
        "    net.layers[0].bias.assign([random.random(), np.random.random()])\n"
        "    return net\n"
        "def port():\n    return nn.Conv2d(3, 2, 3)\n"
    )
    outputs = []
    for seed in ("7", "7", "8"):
        capfd.readouterr()
        assert run(["compare", f"{file}:own", f"{file}:port", "--seed", seed]) == 1
        outputs.append(capfd.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]


@pytest.mark.parametrize("seed", ["-3", str(2**32), "1.5", "x"])
def test_a_seed_is_what_every_generator_takes(seed: str, models: str, capfd: pytest.CaptureFixture[str]) -> None:
    line = error_line(["compare", f"{models}:keras_net", f"{models}:TorchNet", f"--seed={seed}"], capfd)
    assert "Invalid value for '--seed'" in line


def test_an_internal_error_is_one_line_that_says_where_its_details_are(
    models: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("parity.cli.compare.verify_models", broken)
    monkeypatch.setattr(sys, "argv", ["parity", "compare", f"{models}:keras_net", f"{models}:TorchNet"])
    with pytest.raises(SystemExit, match="70"):
        main()
    said = capfd.readouterr().err
    assert said.startswith("parity: internal error: ZeroDivisionError: a bug; details: ") and said.count("\n") == 1
    details = Path(said.rpartition("details: ")[2].strip())
    assert "in broken" in details.read_text()
    details.unlink()
