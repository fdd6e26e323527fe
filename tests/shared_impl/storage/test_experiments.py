"""The experiments log: a line for each run, filled in by the program, edits kept, whole at every moment."""

from __future__ import annotations

import csv

import pytest

from shared_impl.config.presets import load
from shared_impl.storage import experiments
from shared_impl.storage.experiments import (
    COLUMNS,
    EMPTY,
    NUMBER,
    PAGE,
    TABLE,
    LogError,
    changes,
    processor,
    read,
    record,
    row,
)

ABOUT = {
    "preset": "dcgan_tiny",
    "framework": "torch",
    "started": "2024-02-29T12:34:56+01:00",
    "hardware": "abacus",
    "changes": "model.ngf=4",
}
METRICS = {"step": 30, "g_loss": 1.23456789, "d_loss": 0.5, "epoch": 2.14285}


def cells(number=1, metrics=METRICS, samples="0001-dcgan_tiny/samples/step-00000030.png", overrides=()):
    return row(number, ABOUT, load("dcgan_tiny", overrides), metrics, 3661.4, samples)


def test_a_line_has_every_column_filled_in(tmp_path):
    record(tmp_path, cells(), "finished at step 30")
    assert read(tmp_path) == [
        {
            "Exp #": "1",
            "date": "2024-02-29 12:34",
            "config": "dcgan_tiny",
            "framework": "torch",
            "batch": "128",
            "lr G/D": "0.0002/0.0002",
            "latent dim": "100",
            "epochs": "2.143",
            "final G loss": "1.235",
            "final D loss": "0.5",
            "FID": "–",
            "time": "1:01:01",
            "hardware": "abacus",
            "samples": "0001-dcgan_tiny/samples/step-00000030.png",
            "notes": "finished at step 30; model.ngf=4",
        }
    ]
    heading, names, rule, line = (tmp_path / PAGE).read_text(encoding="utf-8").strip().splitlines()[-4:]
    assert heading == ""
    assert [name.strip() for name in names.strip("|").split("|")] == list(COLUMNS)
    assert rule.count("---") == len(COLUMNS)
    assert "| – | 1:01:01 |" in line
    assert "[0001-dcgan_tiny/samples/step-00000030.png](0001-dcgan_tiny/samples/step-00000030.png)" in line


@pytest.mark.parametrize(
    ("overrides", "metrics", "column", "cell"),
    [
        (["optimizer.lr_g=1e-4", "optimizer.lr_d=4e-4"], METRICS, "lr G/D", "0.0001/0.0004"),
        (["training.epochs=7"], {}, "epochs", "7"),
        (["training.steps=7"], {}, "epochs", EMPTY),
        ([], {}, "final G loss", EMPTY),
        ([], {"d_loss": None}, "final D loss", "nan"),
    ],
)
def test_a_cell_says_what_is_known(overrides, metrics, column, cell):
    assert cells(metrics=metrics, overrides=overrides)[column] == cell


def test_a_line_is_updated_in_place_and_edits_are_kept(tmp_path):
    record(tmp_path, cells(1, {}, None), "running at step 0")
    record(tmp_path, cells(2), "running at step 0")
    rows = read(tmp_path)
    assert rows[0]["samples"] == EMPTY
    rows[0] |= {"FID": "41.2", "notes": rows[0]["notes"] + "; nice zeros", "mood": "glad"}
    with (tmp_path / TABLE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*COLUMNS, "mood"])
        writer.writeheader()
        writer.writerows(rows)
    record(tmp_path, cells(1), "failed at step 20", "a reason; of two parts")
    assert read(tmp_path)[0]["notes"] == "failed at step 20 (a reason, of two parts); model.ngf=4; nice zeros"
    record(tmp_path, cells(1), "finished at step 30")
    first, second = read(tmp_path)
    assert first["notes"] == "finished at step 30; model.ngf=4; nice zeros"
    assert (first["FID"], first["mood"], first["final G loss"]) == ("41.2", "glad", "1.235")
    assert (second["FID"], second["mood"], second["notes"]) == (EMPTY, "", "running at step 0; model.ngf=4")
    assert (tmp_path / PAGE).read_text(encoding="utf-8").count("mood") == 1


def test_lines_are_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 2, 1):
        record(tmp_path, cells(number), "running at step 0")
    assert [line[NUMBER] for line in read(tmp_path)] == ["1", "2", "10"]


def test_what_would_break_a_markdown_table_does_not(tmp_path):
    record(tmp_path, {**cells(), "hardware": "a | b\nc"}, "running at step 0")
    assert read(tmp_path)[0]["hardware"] == "a | b\nc"
    assert "| a \\| b c |" in (tmp_path / PAGE).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n", r"experiments.csv: no column 'Exp #', got \['a', 'b'\]; move it away or mend it"),
        (b"", r"no column 'Exp #', got \[\]"),
        (b"\xff\xfe\x00", r"cannot be read as CSV"),
        (b'Exp #,b\n"1"x,2\n', r"cannot be read as CSV"),
    ],
)
def test_a_file_that_is_no_log_is_left_alone(content, message, tmp_path):
    (tmp_path / TABLE).write_bytes(content)
    with pytest.raises(LogError, match=message):
        record(tmp_path, cells(), "running at step 0")
    assert (tmp_path / TABLE).read_bytes() == content


def test_a_short_row_and_a_lost_column_are_filled_up(tmp_path):
    (tmp_path / TABLE).write_text("Exp #,date\n1\n")
    record(tmp_path, cells(), "running at step 0")
    assert read(tmp_path)[0]["notes"] == "running at step 0"
    assert read(tmp_path)[0]["FID"] == EMPTY


def test_changes_are_the_overrides_of_a_preset():
    overrides = ["model.ngf=4", "loss.kind=lsgan", "runs.keep=9", "training.steps=5"]
    overridden = changes(load("dcgan_tiny", overrides), "dcgan_tiny")
    assert {"model.ngf=4", "loss.kind='lsgan'", "training.steps=5"} <= set(overridden.split())
    assert "runs" not in overridden
    assert "None" not in overridden
    assert load("dcgan_tiny", overridden.split()) == load("dcgan_tiny", overrides[:2] + overrides[3:])
    assert changes(load("dcgan_tiny"), "dcgan_tiny") == ""
    assert changes(load("dcgan_tiny"), "gone.yaml") == ""


def test_the_processor_has_a_name_and_cores(monkeypatch):
    assert processor().endswith(("core", "cores"))
    monkeypatch.setattr(
        experiments.Path, "read_text", lambda *args, **kwargs: "model name\t:  Abacus   9000 \nflags: x\n"
    )
    assert processor().startswith("Abacus 9000, ")
