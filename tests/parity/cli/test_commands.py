"""The commands: what they print, how they exit, and what bad input gets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import parity.systems.golden
from parity.__main__ import run
from parity.cli.extras import IMPORTED
from parity.cli.json_file import validate_target, write_json
from parity.systems.registry import registry
from parity.verdict import UnusableInput
from tests.parity.cli.error_lines import error_line


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
    from parity.systems.mutations import table, variants
    from parity.systems.training import mutants as in_training

    first = mutants.MUTANTS[0]
    monkeypatch.setattr(in_training, "MUTANTS", [])
    monkeypatch.setattr(table, "MUTATIONS", [])
    monkeypatch.setattr(variants, "VARIANTS", [])
    monkeypatch.setattr(mutants, "MUTANTS", [first])
    assert run(["selftest"]) == 0
    assert "1 of 1 faults caught" in capfd.readouterr().out
    monkeypatch.setattr(mutants, "MUTANTS", [replace(first, fault=lambda layer: layer)])
    assert run(["selftest"]) == 1
    assert "the broken port passes" in capfd.readouterr().out


def test_list_names_every_pair(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--list"]) == 0
    assert capfd.readouterr().out.split() == [pair.name for pair in registry()]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A folder with the quickest of the project's records."""
    own = Path(parity.systems.golden.__file__).parent
    shutil.copy(own / "specgan_spectrogram.npz", tmp_path)
    return tmp_path


def test_golden_exits_0_for_records_that_both_frameworks_reproduce(
    records: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["golden", str(records)]) == 0
    assert "agree in Keras and torch" in capfd.readouterr().out


def test_golden_exits_1_for_a_record_that_was_changed(records: Path) -> None:
    file = records / "specgan_spectrogram.npz"
    arrays = dict(np.load(file))
    arrays["spectrogram"] = arrays["spectrogram"] * np.float32(1.1)
    np.savez(file, **arrays)
    assert run(["golden", str(records)]) == 1


def test_golden_without_a_folder_checks_the_projects_own_records(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path | None] = []
    monkeypatch.setattr(parity.systems.golden, "check", lambda folder: asked.append(folder) or [])
    assert run(["golden"]) == 0
    assert asked == [None]  # tests/parity/systems/golden checks these


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
    assert expected in error_line(arguments, capfd)


@pytest.mark.parametrize("command", [[], ["verify"], ["compare"], ["report"], ["golden"], ["padding"], ["selftest"]])
def test_help_explains(command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    assert "Usage: parity" in capfd.readouterr().out


def test_a_missing_package_is_one_line_that_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn.metrics")

    monkeypatch.setattr(parity.systems.golden, "check", fail)
    assert "pip install 'parity-bridge[training]'" in error_line(["golden"], capfd)


def test_a_missing_module_of_the_project_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'parity.gone'", name="parity.gone")

    monkeypatch.setattr(parity.systems.golden, "check", fail)
    with pytest.raises(ModuleNotFoundError):
        run(["golden"])


def test_every_package_of_the_extras_is_known_by_its_import_name() -> None:
    optional = [Requirement(text) for text in requires("parity-bridge") or ()]
    extras = {"verify", "runs", "export"}
    wanted = {
        canonicalize_name(requirement.name)
        for requirement in optional
        if requirement.marker and any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
    }
    known = {
        canonicalize_name(name)
        for package in set().union(*IMPORTED.values())
        for name in packages_distributions().get(package, ())
    }
    assert len(wanted) > 15 and wanted - known == set()


@pytest.mark.slow
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


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_umask_decides_who_may_read_what_is_written(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_json({"a": "Δ"}, tmp_path / "x.json")
    finally:
        os.umask(before)
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o666 & ~mask
    assert json.loads((tmp_path / "x.json").read_text("utf-8")) == {"a": "Δ"}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("path", ["/dev/null", "/dev/full", ".", "/nowhere/x.json"])
def test_a_device_or_folder_is_no_target(path: str) -> None:
    with pytest.raises(UnusableInput, match="cannot be written"):
        validate_target(Path(path))
