"""How commands end: no traceback, no other's success, one line; 1 is for verdicts alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared_impl.cli.outcome import LONGEST, UNUSABLE, complain, ended_by_ctrl_c

ROOT = Path(__file__).resolve().parents[3]
CODE = """
import sys
from shared_impl.cli.outcome import enter
class Stop(BaseException): pass
def run(arguments):
    {body}
enter("prog", run, sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def _details_go_with_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def perform(body: str, *arguments: str, **options: object) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(
        [sys.executable, "-c", CODE.format(body=body), *arguments], env=environment, check=False, **streams
    )


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("return 0", 0, ""),
        ("return 1", 1, ""),
        ("sys.exit(0)", 2, "prog: code that it was given ended the process: sys.exit(0) at <string>:6"),
        ("raise SystemExit", 2, "sys.exit(None)"),
        ("raise Stop('x')", 2, "prog: code that it was given raised Stop: x at <string>:6"),
        ("raise GeneratorExit", 2, "raised GeneratorExit"),
        ("raise KeyboardInterrupt", 130, "prog: interrupted"),
        ("1 / 0", 70, "prog: internal error: ZeroDivisionError: division by zero; details: "),
        ("raise ValueError('one\\ntwo')", 70, "prog: internal error: ValueError: one; details: "),
        ("run(0)", 70, "internal error: RecursionError"),
        ("raise MemoryError('8 EiB')", 2, "prog: not enough memory: 8 EiB: choose smaller sizes"),
        ("raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory: you tried')", 2, "not enough memory"),
    ],
)
def test_every_end_is_a_status_and_a_line(body: str, status: int, words: str) -> None:
    done = perform(body)
    said = done.stderr.decode()
    assert (done.returncode, said.count("\n")) == (status, bool(words))
    assert words in said and "Traceback" not in said


def test_the_details_of_an_internal_error_are_in_a_file() -> None:
    said = perform("raise ValueError('what happened ' + chr(0xDCFF))").stderr
    file = Path(said.rstrip().partition(b"details: ")[2].decode())
    assert "Traceback" in file.read_text() and "what happened" in file.read_text()
    file.unlink()


def test_details_that_cannot_be_written_are_said_in_the_line(tmp_path: Path) -> None:
    body = "import tempfile; tempfile.tempdir = '/dev/full/nowhere'; 1 / 0"
    said = perform(body).stderr.decode()
    assert "details: could not be written (" in said and "it was at <string>:6" in said


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing(closed: str, tmp_path: Path) -> None:
    body = "print('x'); print('y', file=sys.stderr); open('file', 'w').write('z'); return 1"
    (tmp_path / "program.py").write_text(CODE.format(body=body))
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} program.py {closed}"], cwd=tmp_path, check=False, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1 and b"Traceback" not in done.stderr
    assert (tmp_path / "file").read_text() == "z"


@pytest.mark.parametrize("status", [0, 1])
def test_a_reader_that_leaves_does_not_change_the_status(status: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as broken:
        done = perform(f"print('x' * 10**6); print('y'); return {status}", stdout=broken)
    assert (done.returncode, done.stderr) == (status, b"")


@pytest.mark.parametrize(("command", "status", "ends"), [("compare", 0, 2), ("compare", 1, 1), ("train", 0, 0)])
def test_text_that_a_full_disk_swallows_is_no_success_but_a_trained_run_is(
    command: str, status: int, ends: int
) -> None:
    with open("/dev/full", "wb") as full:
        done = perform(f"print('verdict'); return {status}", command, stdout=full)
    assert done.returncode == ends
    assert ("what it printed could not be written: No space left on device" in done.stderr.decode()) == (ends == 2)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "utf-8", "shift_jis"])
def test_every_encoding_gets_something_readable(encoding: str) -> None:
    text = "✓ |Δ| ≤ 1e-8 … naïve 张量 → ŷ"
    done = perform(f"print({text!r}, '\\udcff'); return 0", env={"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.rstrip(b"\n")[:-2].decode(encoding)
    assert "1e-8" in shown and done.stdout.rstrip(b"\n")[-1:] == b"\xff"
    if encoding == "utf-8":
        assert shown == text
    if encoding == "ascii":
        assert shown == "+ |delta | <= 1e-8 ... naive ?? -> y"


def test_a_line_has_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    complain("prog", "x" * 52_000_000)
    said = capsys.readouterr().err
    assert len(said) < LONGEST + 100 and said.endswith("… (52,000,000 characters)\n") and UNUSABLE == 2


def test_ctrl_c_while_a_framework_is_imported_ends_the_process_without_a_word() -> None:
    done = perform(
        "from shared_impl.cli.outcome import ended_by_ctrl_c; import os, signal\n"
        "    with ended_by_ctrl_c(): os.kill(os.getpid(), signal.SIGINT)"
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_ctrl_c_after_the_work_changes_nothing() -> None:
    body = "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGINT); return 0"
    done = perform(body)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_former_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with ended_by_ctrl_c():
        pass
    assert signal.getsignal(signal.SIGINT) == before
