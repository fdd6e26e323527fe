"""docs/training.md documents every option of every command, docs/configuration.md every field, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from shared_impl.cli.main import application, run
from shared_impl.config import reference
from shared_impl.config.descriptions import DESCRIPTIONS
from shared_impl.config.presets import load, presets
from shared_impl.config.schema import Config
from shared_impl.config.systems import SYSTEMS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "training.md").read_text("utf-8")
CONFIGURATION = (DOCS / "configuration.md").read_text("utf-8")
SECTIONS = {name: field.annotation for name, field in Config.model_fields.items() if name != "model"}
COMMANDS = typer.main.get_command(application("torch_impl", lambda: None)).commands


def section_of(page: str, heading: str) -> str:
    """The text below ``### heading``, up to the next heading."""
    return re.split(r"^#+ ", page.partition(f"\n### {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every table row but headings and rules."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `"):
            yield [cell.strip("| ") for cell in cells]


def documented_options(page: str, command: str) -> set[str]:
    return {re.match(r"`(--[\w-]+)", cells[0])[1] for cells in rows(section_of(page, command))}


def fields() -> set[str]:
    model = {f"model.{name}" for system in SYSTEMS.values() for name in system.model_fields}
    return model | {f"{section}.{name}" for section, kind in SECTIONS.items() for name in kind.model_fields}


def options(command) -> set[str]:
    return {name for parameter in command.params if parameter.param_type_name == "option" for name in parameter.opts}


def test_every_field_is_described_and_no_other():
    assert DESCRIPTIONS.keys() == fields()
    assert all(len(text) > 10 for text in DESCRIPTIONS.values())


def test_the_page_is_what_the_schema_says():
    assert reference.page() == CONFIGURATION, "python -m shared_impl.config.reference > docs/configuration.md"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("training.ema", "number, 0 or more, less than 1, or `null` | `null`"),
        ("model.nc", "whole number, 1 or more | `1` (`specgan`, `dcgan`, `soundgan`); `3` (`upsample_dcgan`"),
        ("model.growing", "list: each whole number, 1 or more | `[]` | `upsample_dcgan`, `conditional_dcgan`"),
        ("optimizer.kind", "`adam`, `rmsprop` | by loss: `adam` (`wgan-gp`, "),
        ("data.balance", "true or false | by system: `true` (`conditional_dcgan`); else `false`"),
        ("training.epochs", "whole number, 1 or more, or `null` | `100`, unless `steps` is given"),
        ("runs.folder", "text | `runs`"),
    ],
)
def test_a_row_has_type_range_default_and_systems(name, words):
    (row,) = [line for line in CONFIGURATION.splitlines() if line.startswith(f"| `{name}`")]
    assert words in row


def test_a_field_is_explained(capsys):
    assert (
        run("torch_impl", lambda: None, ["config", "dcgan_tiny", "training.ema=0.9", "--explain", "training.ema"]) == 0
    )
    assert capsys.readouterr().out.splitlines() == [
        "training.ema",
        "  decay of a moving average of G, which then makes the samples; such as 0.999",
        "  type:    number, 0 or more, less than 1, or null",
        "  default: null",
        "  systems: all",
        "  here:    0.9",
    ]
    assert run("torch_impl", lambda: None, ["config", "--explain", "training.emu"]) == 2
    assert "unknown field 'training.emu', did you mean training.ema?" in capsys.readouterr().err
    assert run("torch_impl", lambda: None, ["config"]) == 2
    assert "name a preset (" in capsys.readouterr().err


@pytest.mark.parametrize("preset", presets())
def test_a_printed_configuration_is_the_preset_itself(preset, tmp_path, capsys):
    assert run("tf_impl", lambda: None, ["config", preset, "runs.keep=7"]) == 0
    (tmp_path / "mine.yaml").write_text(capsys.readouterr().out, encoding="utf-8")
    assert load(tmp_path / "mine.yaml") == load(preset, ["runs.keep=7"])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_documented_and_no_other(command):
    assert documented_options(PAGE, command) == options(COMMANDS[command])


def test_an_option_without_a_row_is_noticed():
    page = "\n".join(line for line in PAGE.splitlines() if not line.startswith("| `--interpolate"))
    assert options(COMMANDS["generate"]) - documented_options(page, "generate") == {"--interpolate"}


def test_every_system_and_preset_is_listed():
    table = PAGE.partition("## Systems and presets")[2].partition("\n## ")[0]
    listed = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[2])) for row in rows(table)}
    assert listed.keys() == SYSTEMS.keys()
    assert set().union(*listed.values()) == set(presets())
