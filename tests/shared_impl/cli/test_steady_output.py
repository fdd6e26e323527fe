"""Output that cannot be written ends no training: closed pipes, full disks, closed descriptors, lost terminals."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared_impl.cli.steady_output import steady_output

ROOT = Path(__file__).resolve().parents[3]
CODE = """
import os, sys, warnings
from shared_impl.cli.steady_output import steady_output
with steady_output():
    {harm}
    for step in range(3):
        print("step", step, "ä")
        print("note", step, file=sys.stderr)
        warnings.warn(f"odd {{step}}", stacklevel=1)
    {show}
print("later")
open("done", "w").write(sys.stdout.encoding)
"""
PROGRESS = "from shared_impl.training.progress import Progress\n    with Progress(3, 'x') as shown: shown.update(3)"


def perform(folder: Path, harm: str = "pass", **streams: object) -> subprocess.CompletedProcess:
    code = CODE.format(harm=harm, show=PROGRESS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, check=False, **streams)


def test_what_can_be_written_arrives_in_order(tmp_path):
    done = perform(tmp_path, capture_output=True)
    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == ["step 0 ä", "step 1 ä", "step 2 ä", "later"]
    assert [line for line in done.stderr.decode().splitlines() if "note" in line] == ["note 0", "note 1", "note 2"]


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_full_disk_or_a_reader_that_has_gone_is_ignored(name, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    with open("/dev/full", "wb") as full, os.fdopen(writing, "wb") as broken:
        for place in (full, broken):
            (tmp_path / "done").unlink(missing_ok=True)
            other = {"stdout": "stderr", "stderr": "stdout"}[name]
            done = perform(tmp_path, **{name: place, other: subprocess.PIPE})
            assert (tmp_path / "done").exists()
            assert b"Traceback" not in (done.stderr or b"")
            assert (done.stdout or done.stderr).decode().splitlines()


@pytest.mark.parametrize("harm", ["os.close(1)", "os.close(2)"])
def test_a_closed_stream_is_ignored(harm, tmp_path):
    perform(tmp_path, harm, capture_output=True)
    assert (tmp_path / "done").exists()


def test_streams_without_a_descriptor_stay_and_all_come_back(monkeypatch):
    own = io.StringIO()
    monkeypatch.setattr(sys, "stdout", own)
    before = sys.stderr
    with steady_output():
        assert sys.stdout is own
        print("kept")
    assert own.getvalue() == "kept\n"
    assert sys.stderr is before
