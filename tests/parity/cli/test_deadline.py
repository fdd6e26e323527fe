"""``--timeout``: a model that hangs is given up, also where it lets go of no lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parity.cli import deadline
from parity.verdict import UnusableInput
from tests.parity.cli.error_lines import error_line

HANGING = """
import ctypes
def waiting():
    ctypes.PyDLL(None).sleep(1000)  # compiled code that keeps the interpreter's lock
waiting()
"""


def test_a_hanging_model_ends_in_one_line_that_says_where(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hanging.py").write_text(HANGING)
    name = f"{tmp_path}/hanging.py:net"
    line = error_line(["compare", name, name, "--timeout", "20"], capfd)
    assert "not done after 20 s (--timeout)" in line
    assert f"it was at {tmp_path}/hanging.py:4, in waiting" in line


def test_a_command_in_time_keeps_its_status_and_its_message(capfd: pytest.CaptureFixture[str]) -> None:
    assert "unknown scope 'all'" in error_line(["compare", "a:b", "c:d", "--scope", "all", "--timeout", "60"], capfd)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_a_timeout_is_a_positive_number(seconds: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert "expected a number of seconds above 0" in error_line(
        ["compare", "a:b", "c:d", f"--timeout={seconds}"], capfd
    )


def test_what_a_command_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / "child"
    child = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    monkeypatch.setattr(deadline, "PROGRAM", program)
    with pytest.raises(UnusableInput, match="not done after"):
        deadline.run_within(5, [])
    number = int(note.read_text())
    assert _ends(number)


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended by SIGTERM")], ids=["INT", "TERM"]
)
def test_signals_end_the_command_in_one_line(number: signal.Signals, words: str, tmp_path: Path) -> None:
    started = tmp_path / "started"
    model = tmp_path / "slow.py"
    model.write_text(f"import time\nopen({str(started)!r}, 'w').close()\ntime.sleep(1000)\n")
    arguments = ["compare", f"{model}:net", f"{model}:net", "--timeout", "200"]
    process = subprocess.Popen([sys.executable, "-m", "parity", *arguments], stderr=subprocess.PIPE, text=True)
    deadline_for_start = time.monotonic() + 100
    while not started.exists() and time.monotonic() < deadline_for_start:
        time.sleep(0.1)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (2, f"parity: {words}\n")


def _ends(number: int) -> bool:
    for _ in range(50):
        try:
            state = Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2][0]
            os.kill(number, 0)
        except (OSError, IndexError):
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False
