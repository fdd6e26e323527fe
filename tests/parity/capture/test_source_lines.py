"""The source line of a layer, from any working directory."""

from __future__ import annotations

import inspect
from pathlib import Path

import keras
import pytest
from torch import nn

from parity.capture.source_lines import SourceLines
from parity.capture.steps import Step
from tests.cases.models import KerasBlock, TorchBlock


@pytest.mark.parametrize("elsewhere", [False, True])
def test_lines_are_relative_to_the_project_from_any_folder(
    elsewhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if elsewhere:
        monkeypatch.chdir(tmp_path)
    lines, first = inspect.getsourcelines(TorchBlock)
    expected = first + next(place for place, line in enumerate(lines) if "self.bn =" in line)
    sources = SourceLines(keras.Sequential([keras.Input((4, 4, 4)), KerasBlock(4)]), nn.Sequential(TorchBlock(4)))
    assert sources.port(Step("0.bn", "batchnorm", {})) == f"tests/cases/models.py:{expected}"
    assert sources.reference(Step("block/norm", "batchnorm", {})).startswith("tests/cases/models.py:")


def test_a_layer_without_a_line_has_none() -> None:
    sources = SourceLines(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), nn.Sequential(nn.Linear(4, 2)))
    assert sources.port(Step("0", "dense", {})) == sources.reference(Step("dense", "dense", {})) == ""
