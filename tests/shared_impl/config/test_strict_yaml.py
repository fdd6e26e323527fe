"""YAML as a person means it, in files and in overrides."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared_impl.config import presets
from shared_impl.config.presets import ConfigError
from shared_impl.config.strict_yaml import LARGEST, YamlError, parse

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000),
        ("-2E+2", -200),
        ("1e-4", 1e-4),
        ("1.5e3", 1500.0),
        ("8.0", 8.0),
        ("1e3x", "1e3x"),
        ("'1e3'", "1e3"),
        ("", None),
        ("{a: &x [1, 2], b: *x}", {"a": [1, 2], "b": [1, 2]}),
        ("{base: &b {a: 1}, own: {<<: *b, c: 2}}", {"base": {"a": 1}, "own": {"a": 1, "c": 2}}),
    ],
)
def test_values_are_what_they_look_like(text: str, value: object) -> None:
    found = parse(text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: a is given twice, first in line 1"),
        ("m: {x: 1, x: 1}", "line 1: x is given twice"),
        (BOMB, f"stands for more than {LARGEST:,} values"),
        ("&a [*a]", "within themselves"),
        ("[" * 60 + "]" * 60, "more than 50"),
        ("[" * 100_000, "sections"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: *nothing", "undefined alias"),
        ("2001-99-99", "month must be in"),
        ("\0", "special characters are not allowed"),
    ],
)
def test_what_cannot_be_meant_is_one_line(text: str, message: str) -> None:
    with pytest.raises(YamlError, match=message) as caught:
        parse(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.steps="], r"override 'training.steps=': no value: write training.steps=null for none"),
        (["training.steps=  "], "no value"),
        (["training.steps=1e3", "training.epochs=3"], r"training.epochs=3': training.steps is given, too: give one"),
        (["training.epochs=3", "training.steps=9"], r"training.epochs is given, too"),
        (["model.nz=100000000000"], r"model.nz is 100000000000: input should be less than or equal to 2147483647"),
        (["training.seed=-1"], r"training.seed is -1: input should be greater"),
        ([f"training.seed={10**20}"], r"less than or equal to 2147483647"),
        (["optimizer.lr=.nan"], r"optimizer.lr is nan"),
        (["optimizer.lr=1e999"], r"optimizer.lr is inf"),
        (["data.overlap=.nan"], r"data.overlap is nan"),
        (["model={a: 1, a: 2}"], "expected section.key=value"),
        (["training.ema={a: 1, a: 2}"], "a is given twice"),
    ],
)
def test_overrides_that_cannot_be_meant_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        presets.load("dcgan_tiny", overrides)
    assert "\n" not in str(caught.value)


def test_numbers_with_exponents_and_repeated_overrides_are_taken() -> None:
    config = presets.load("dcgan_tiny", ["training.steps=1e3", "optimizer.lr=1e-3", "training.steps=2e3"])
    assert (config.training.steps, config.optimizer.lr) == (2000, 1e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"model: {system: dcgan}\nmodel: {system: specgan}\n", "line 2: model is given twice"),
        (b"\xff\xfe\x00", "cannot be read as YAML"),
        (b"x" * 1_000_001, "longer than 1,000,000 bytes"),
        (BOMB.encode(), "stands for more than"),
        (b"", "expected sections"),
    ],
)
def test_files_that_cannot_be_meant_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        presets.load(path)


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read as YAML: .*directory"):
        presets.load(tmp_path)
