"""What a command prints for unusable input."""

from __future__ import annotations

import pytest

from parity.__main__ import run


def error_line(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    """The one line that unusable input gets."""
    capfd.readouterr()
    assert run(arguments) == 2
    captured = capfd.readouterr()
    lines = [line for line in captured.err.splitlines() if not line.startswith("[")]
    assert len(lines) == 1 and lines[0].startswith("parity: "), captured.err
    assert "Traceback" not in captured.err + captured.out
    return lines[0]
