"""The built wheel in fresh environments, used from a folder of somebody else's with packages of the usual names."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.environments import PROJECT, ROOT, Environment, build_wheel, make

pytestmark = pytest.mark.slow

OURS = {"parity", "shared_impl", "tf_impl", "torch_impl"}
USERS_PACKAGES = ("common", "configs", "layers", "models", "tests", "utils")
FOR_TRAINING = ["PIL", "grain", "librosa", "matplotlib", "psutil", "safetensors", "scipy", "sklearn", "soundfile"]
FOR_TRAINING += ["soxr", "tensorboard", "tensorflow_datasets"]
MODELS_FILE = """
import keras
from torch import nn

import common, configs, layers, models, tests, utils

OWNERS = [package.OWNER for package in (common, configs, layers, models, tests, utils)]


def keras_net():
    from utils.building import CHANNELS  # imported as the model is built, not as the file is read

    x = inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(CHANNELS, 3, padding="same", name="conv")(x)
    return keras.Model(inputs, keras.layers.ReLU(name="relu")(x))


def torch_net():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())


def shifted_net():
    return nn.Sequential(nn.ZeroPad2d((2, 0, 2, 0)), nn.Conv2d(3, 4, 3), nn.ReLU())
"""
TEST_FILE = """
import common
import models_file


def test_port(parity_check):
    assert common.OWNER == "common of the user"
    parity_check(models_file.keras_net(), models_file.torch_net())


def test_broken_port(parity_check):
    parity_check(models_file.keras_net(), models_file.shifted_net())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Environment]:
    made: dict[tuple[str, ...], Environment] = {}

    def environment_for(extra: str, *others: str) -> Environment:
        """The wheel with what ``extra`` asks for, and other requirements."""
        wanted = (f"{PROJECT}[{extra}]", *others)
        if wanted not in made:
            made[wanted] = make(tmp_path_factory.mktemp("environment") / extra, wheel, *wanted)
        return made[wanted]

    return environment_for


@pytest.fixture
def verifying(environment: Callable[..., Environment]) -> Environment:
    return environment("verify", "pytest")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder: packages with names that many repositories have, models that import them, and a test."""
    for name in USERS_PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"OWNER = '{name} of the user'\n")
    (tmp_path / "utils" / "building.py").write_text("CHANNELS = 4\n")
    (tmp_path / "models_file.py").write_text(MODELS_FILE)
    (tmp_path / "tests" / "test_port.py").write_text(TEST_FILE)
    return tmp_path


def importable(environment: Environment, names: list[str], folder: Path) -> set[str]:
    """Those of ``names`` that the environment's Python finds, from a folder that holds none of them."""
    code = f"import importlib.util, json; print(json.dumps([n for n in {names} if importlib.util.find_spec(n)]))"
    result = environment.run("python", "-c", code, cwd=folder)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout))


def test_the_wheel_installs_four_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == OURS
    assert not [name for name in names if name.endswith(".pyc") or "/." in name]


def test_the_wheel_holds_presets_records_templates_and_type_marks(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    presets = {f"shared_impl/presets/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    data = {
        path.relative_to(ROOT).as_posix()
        for folder in ("parity/report/templates", "parity/systems/golden")
        for path in (ROOT / folder).iterdir()
        if path.is_file()
    }
    marks = {f"{package}/py.typed" for package in OURS}
    assert len(presets) > 10 and len(data) > 10
    assert (presets | data | marks) - names == set()


def test_the_verify_extra_brings_both_frameworks_and_nothing_for_training(verifying: Environment, tmp_path) -> None:
    frameworks = ["jinja2", "keras", "numpy", "tensorflow", "torch"]
    found = importable(verifying, [*frameworks, *FOR_TRAINING, "benchmarks", *USERS_PACKAGES], tmp_path)
    assert found == set(frameworks)


def test_compare_verifies_models_that_import_the_users_own_packages(verifying: Environment, folder: Path) -> None:
    pair = ["models_file.py:keras_net", "models_file.py:torch_net"]
    result = verifying.run("parity", "compare", *pair, "--json", "verdict.json", cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "faithful: 1 of 1" in result.stdout
    (verdict,) = json.loads((folder / "verdict.json").read_text())
    assert verdict["schema"] == "parity-verdict/1" and verdict["passed"]


def test_python_m_parity_compare_explains_a_broken_port(verifying: Environment, folder: Path) -> None:
    pair = ["models_file:keras_net", "models_file:shifted_net"]
    result = verifying.run("python", "-m", "parity", "compare", *pair, cwd=folder)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "padding-alignment" in result.stdout and "fix:" in result.stdout


def test_the_pytest_fixture_verifies_and_writes_a_report(verifying: Environment, folder: Path) -> None:
    result = verifying.run("python", "-m", "pytest", "-p", "no:cacheprovider", "--parity-report", "found", cwd=folder)
    assert result.returncode == 1 and "1 failed, 1 passed" in result.stdout, result.stdout + result.stderr
    assert "padding-alignment" in result.stdout
    report = json.loads((folder / "found" / "report.json").read_text())
    assert [verdict["passed"] for verdict in report["verdicts"]] == [True, False]
    assert {"index.html", "report.md", "report.zh.md", "junit.xml"} <= {p.name for p in (folder / "found").iterdir()}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("parity --help", "Usage: parity"),
        ("python -m parity compare --help", "Usage: parity compare"),
        ("parity padding --op conv --size 16 --kernel 5 --stride 2", "Confirmed by impulse probes"),
        ("parity verify --list", "specgan.generator"),
    ],
)
def test_commands_that_need_no_framework_work_beside_the_users_packages(
    verifying: Environment, folder: Path, command: str, expected: str
) -> None:
    result = verifying.run(*command.split(), cwd=folder)
    assert result.returncode == 0 and expected in result.stdout, result.stdout + result.stderr


def test_a_command_that_needs_a_missing_package_names_the_extra(verifying: Environment, folder: Path) -> None:
    result = verifying.run("parity", "verify", "dcgan.training", cwd=folder)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.count("\n") == 1 and "pip install 'parity-bridge[training]'" in result.stderr


@pytest.mark.parametrize("implementation", ["tf_impl", "torch_impl"])
def test_the_training_extra_trains_a_preset(
    environment: Callable[..., Environment], implementation: str, folder: Path
) -> None:
    assert_trains(environment("training"), implementation, folder)


@pytest.mark.parametrize(
    ("extra", "implementation", "absent"),
    [("torch", "torch_impl", {"keras", "tensorflow"}), ("tensorflow", "tf_impl", {"torch"})],
)
def test_one_frameworks_extra_trains_without_the_other_framework(
    environment: Callable[..., Environment], extra: str, implementation: str, absent: set[str], folder: Path
) -> None:
    alone = environment(extra)
    assert importable(alone, sorted(absent), folder) == set()
    assert "train" in alone.run("python", "-m", implementation, "--help", cwd=folder).stdout
    assert_trains(alone, implementation, folder)


def assert_trains(environment: Environment, implementation: str, folder: Path) -> None:
    overrides = ["training.steps=2", "training.batch_size=4"]
    result = environment.run("python", "-m", implementation, "train", "dcgan_tiny", *overrides, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.split() == ["runs/0001-dcgan_tiny"]
    checkpoint = folder / "runs" / "0001-dcgan_tiny" / "checkpoints" / "step-00000002"
    assert {"manifest.json", "state.safetensors"} <= {path.name for path in checkpoint.iterdir()}
