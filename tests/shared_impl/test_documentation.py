"""docs/training.md documents every field of a configuration and every option of every command, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import typer
import yaml

from shared_impl.cli.main import application
from shared_impl.config.presets import presets
from shared_impl.config.recipes import OPTIMIZERS, RECIPES, RECOMMENDED
from shared_impl.config.schema import Config
from shared_impl.config.systems import SYSTEMS

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")
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


def documented_fields(page: str) -> dict[str, str]:
    """Every ``section.field`` of the reference tables, and its default as written."""
    return {
        name: cells[1]
        for section in Config.model_fields
        for cells in rows(section_of(page, section))
        for name in re.findall(r"`(\w+\.\w+)`", cells[0])
    }


def documented_options(page: str, command: str) -> set[str]:
    return {re.match(r"`(--[\w-]+)", cells[0])[1] for cells in rows(section_of(page, command))}


def fields() -> set[str]:
    model = {f"model.{name}" for system in SYSTEMS.values() for name in system.model_fields}
    return model | {f"{section}.{name}" for section, kind in SECTIONS.items() for name in kind.model_fields}


def options(command) -> set[str]:
    return {name for parameter in command.params if parameter.param_type_name == "option" for name in parameter.opts}


def test_every_field_is_documented_and_no_other():
    assert documented_fields(PAGE).keys() == fields()


def test_a_field_without_a_row_is_noticed():
    page = "\n".join(line for line in PAGE.splitlines() if not line.startswith("| `data.sample_rate`"))
    assert fields() - documented_fields(page).keys() == {"data.sample_rate"}


@pytest.mark.parametrize("section", SECTIONS)
def test_documented_defaults_are_the_schema_s(section):
    written = documented_fields(PAGE)
    by_system = {f"{part}.{name}" for recipe in RECIPES.values() for part in recipe for name in recipe[part]}
    by_loss = {f"optimizer.{name}" for table in (RECOMMENDED, OPTIMIZERS) for row in table.values() for name in row}
    for name, field in SECTIONS[section].model_fields.items():
        place = f"{section}.{name}"
        if place == "training.epochs":
            expected = "`100`"
        elif place in by_system or place in by_loss:
            expected = "by system" if place in by_system else "by loss"
        else:
            value = list(field.default) if isinstance(field.default, tuple) else field.default
            text = "none" if value is None else yaml.safe_dump(value).split("\n")[0]
            expected = f"`{text}`"
        assert written[place] == expected, place


def test_documented_defaults_of_the_model_are_one_of_the_systems():
    for place, written in documented_fields(PAGE).items():
        section, _, name = place.partition(".")
        if section != "model" or name == "system":
            continue
        defaults = {
            yaml.safe_dump(list(value) if isinstance(value, tuple) else value).split("\n")[0]
            for system in SYSTEMS.values()
            if name in system.model_fields
            for value in [system.model_fields[name].default]
        }
        assert set(re.findall(r"`([^`]+)`", written)) - SYSTEMS.keys() == defaults, place


def test_every_value_of_a_choice_is_documented():
    for section, kind in SECTIONS.items():
        cells = {row[0]: " ".join(row) for row in rows(section_of(PAGE, section))}
        for name, field in kind.model_fields.items():
            for value in get_args(field.annotation):
                if isinstance(value, str):
                    assert f"`{value}`" in cells[f"`{section}.{name}`"], f"{section}.{name}={value}"


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
