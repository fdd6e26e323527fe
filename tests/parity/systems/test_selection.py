"""What a command line's words select, and what it leaves out is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from parity.systems.selection import in_a_mirror, select, without_mirror
from parity.verdict import UnusableInput
from shared_impl.config.presets import PRESETS


def test_training_is_left_out_of_a_mirror_with_a_reason() -> None:
    pairs = select(["specgan_tiny", "model.padding=symmetric"])
    kept = {pair.network for pair in in_a_mirror(pairs)}
    line = without_mirror(pairs)
    assert kept == {"generator", "discriminator"}
    assert "specgan_tiny.training:model.padding=symmetric: " in line and "without --mirrored" in line
    assert not without_mirror(select(["specgan_tiny.generator"]))


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["my.yaml"], ["my.yaml.generator", "my.yaml.discriminator", "my.yaml.training"]),
        (["my.yaml.generator", "model.ngf=4"], ["my.yaml.generator:model.ngf=4"]),
        (["./my.yaml.training", "optimizer.lr=0.1"], ["./my.yaml.training:optimizer.lr=0.1"]),
    ],
)
def test_a_configuration_of_ones_own_is_a_pair(
    words: list[str], names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(PRESETS / "dcgan_tiny.yaml", "my.yaml")
    assert [pair.name for pair in select(words)] == names


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nothing.yaml", "nothing.yaml: cannot be read as YAML: .*No such file"),
        ("my.yaml.gen", "my.yaml.gen: 'gen' is no network; valid: generator, discriminator, training"),
        ("my.yaml", "expected sections"),
    ],
)
def test_a_configuration_that_is_none_gets_one_line(
    word: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").touch()
    with pytest.raises(UnusableInput, match=message):
        select([word])
