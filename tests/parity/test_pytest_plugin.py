"""The plugin in somebody else's repository."""

from __future__ import annotations

import json

import pytest

pytest_plugins = ["pytester"]

PORT = """
import keras
from torch import nn

def reference():
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, padding="same", name="conv")])

def test_faithful(parity_check):
    verdict = parity_check(reference(), nn.Conv2d(3, 4, 3, padding=1))
    assert verdict.passed

def test_shifted(parity_check):
    parity_check(reference(), nn.Sequential(nn.ZeroPad2d((2, 0, 2, 0)), nn.Conv2d(3, 4, 3)))
"""


# A process of its own that imports both frameworks: an inner run in this one forgets the modules that it has imported.
@pytest.mark.slow
def test_the_fixture_passes_and_fails_with_the_explanation_and_the_report_is_written(
    pytester: pytest.Pytester,
) -> None:
    claims = [{"id": "x", "title": "Of the folder", "claims": []}]
    pytester.makeconftest(f"def pytest_parity_exhibits(verdicts):\n    return {{'claims': {claims} * len(verdicts)}}\n")
    pytester.makepyfile(test_port=PORT)
    result = pytester.runpytest_subprocess("--parity-report", "found")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*NotFaithful*test_shifted*padding fails*", "*padding-alignment*", "*fix:*"])
    result.stdout.fnmatch_lines(["parity report: *found/index.html"])
    report = json.loads((pytester.path / "found" / "report.json").read_text())
    assert [(verdict["name"], verdict["passed"]) for verdict in report["verdicts"]] == [
        ("test_faithful", True),
        ("test_shifted", False),
    ]
    assert report["claims"] == claims * 2  # what the folder's conftest.py adds


def test_an_unusable_report_folder_is_a_usage_error_before_the_first_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    pytester.path.joinpath("used").mkdir()
    pytester.path.joinpath("used", "thesis.txt").write_text("do not overwrite")
    result = pytester.runpytest_subprocess("--parity-report", "used")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--parity-report*thesis.txt*"])


def test_a_run_without_verdicts_writes_no_report(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess("--parity-report", "found")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["parity report: not written*"])
    assert not pytester.path.joinpath("found").exists()
