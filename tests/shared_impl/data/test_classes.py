"""Runs of a conditional system: a row of samples for each class, class names in checkpoints and file names."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared_impl.cli.main import run
from shared_impl.sampling import pictures
from shared_impl.storage import checkpoints
from shared_impl.storage.run_folder import CHECKPOINTS

NAMES = ["cat", "dog/big", "cow"]
SIDE = 32


@pytest.fixture(scope="module", params=["tf_impl", "torch_impl"])
def trained(request, tmp_path_factory):
    """The implementation and the folder of a run of two steps on three classes."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "data").mkdir()
    rows = ["file,kind"]
    for number, name in enumerate(NAMES * 2):
        Image.new("L", (SIDE, SIDE), 40 * number).save(folder / "data" / f"{number}.png")
        rows.append(f"{number}.png,{name}")
    (folder / "data" / "all.csv").write_text("\n".join(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        options = ["training.batch_size=2", "runs.samples=7", "runs.tensorboard=false", "training.ema=0.5"]
        size = [
            "model.classes=3",
            "model.nc=1",
            "model.nz=4",
            "model.ngf=1",
            "model.ndf=1",
            "data.source=csv:data/all.csv",
        ]
        assert command(request.param, "train", "conditional_dcgan_tiny", "training.steps=2", *size, *options) == 0
        yield request.param, Path("runs/0001-conditional_dcgan_tiny")


def command(implementation, *words):
    return run(implementation, import_module(f"{implementation}.__main__").load_framework, words)


def test_sample_grids_have_a_named_row_for_each_class(trained):
    picture = Image.open(trained[1] / "samples" / "step-00000002.png")
    named = pictures.labelled_grid(np.zeros((6, SIDE, SIDE, 1)), sorted(NAMES))
    assert picture.size == named.shape[1::-1]


def test_checkpoints_know_the_names(trained):
    checkpoint = checkpoints.load(checkpoints.latest(trained[1] / CHECKPOINTS))
    assert checkpoint.manifest["classes"] == sorted(NAMES)
    assert checkpoint.manifest["value"] is not None


def test_generate_makes_what_is_asked_for(trained, tmp_path):
    implementation, folder = trained
    words = [str(folder), "--seeds", "1-2", "--classes", "dog/big,cat", "--out", str(tmp_path)]
    (folder.parents[1] / "data" / "all.csv").rename(folder.parents[1] / "data" / "away.csv")  # no data is needed
    try:
        assert (
            command(implementation, "generate", *words, "--format", "images", "--format", "grid", "--format", "npz")
            == 0
        )
    finally:
        (folder.parents[1] / "data" / "away.csv").rename(folder.parents[1] / "data" / "all.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cat-seed-0001.png",
        "cat-seed-0002.png",
        "dog-big-seed-0001.png",
        "dog-big-seed-0002.png",
        "grid.png",
        "samples.npz",
    ]
    with np.load(tmp_path / "samples.npz") as arrays:
        assert arrays["labels"].tolist() == [2, 2, 0, 0]
        assert np.array_equal(arrays["latents"][:2], arrays["latents"][2:])
        assert (arrays["images"][:2] != arrays["images"][2:]).any()
        first = pictures.to_uint8(arrays["images"])[0, ..., 0]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "dog-big-seed-0001.png")), first)


def test_all_classes_are_the_default(trained, tmp_path):
    implementation, folder = trained
    assert (
        command(implementation, "generate", str(folder), "--seeds", "1", "--format", "images", "--out", str(tmp_path))
        == 0
    )
    names = ["cat-seed-0001.png", "cow-seed-0001.png", "dog-big-seed-0001.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_way_between_seeds_is_a_row_a_class(trained, tmp_path):
    implementation, folder = trained
    words = ["--seeds", "1-3", "--interpolate", "4", "--format", "grid", "--out", str(tmp_path)]
    assert command(implementation, "generate", str(folder), *words) == 0
    named = pictures.labelled_grid(np.zeros((3 * 8, SIDE, SIDE, 1)), sorted(NAMES))
    assert Image.open(tmp_path / "grid.png").size == named.shape[1::-1]


def test_unknown_classes_are_one_line(trained, capsys):
    assert command(trained[0], "generate", str(trained[1]), "--classes", "horse") == 2
    assert "got 'horse', expected all, or names or numbers (0 to 2)" in capsys.readouterr().err


def test_evaluate_reports_what_is_recognised_as_the_class_requested(trained, tmp_path, capsys):
    words = [str(trained[1]), "--samples", "7", "--json", str(tmp_path / "figures.json")]
    assert command(trained[0], "evaluate", *words) == 0
    asked = json.loads((tmp_path / "figures.json").read_text())["asked"]
    assert list(asked["classes"]) == sorted(NAMES)
    assert "recognised as the class asked for" in capsys.readouterr().out


def test_evaluate_refuses_data_of_other_classes(trained, capsys):
    table = trained[1].parents[1] / "data" / "all.csv"
    before = table.read_text()
    table.write_text(before.replace("cow", "pig"))
    try:
        assert command(trained[0], "evaluate", str(trained[1])) == 2
    finally:
        table.write_text(before)
    assert "its classes are cat, dog/big, pig, but" in capsys.readouterr().err


@pytest.mark.parametrize("implementation", ["tf_impl", "torch_impl"])
def test_classes_are_rejected_for_an_unconditional_system(implementation, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["model.ngf=1", "model.ndf=1", "training.batch_size=2", "runs.samples=2", "training.steps=1"]
    assert command(implementation, "train", "dcgan_tiny", *small) == 0
    assert command(implementation, "generate", "dcgan_tiny", "--classes", "all") == 2
    assert "--classes all: dcgan has no classes: leave it out" in capsys.readouterr().err
    (folder,) = Path("runs").glob("0001-*")
    assert "classes" not in checkpoints.load(checkpoints.latest(folder / CHECKPOINTS)).manifest
