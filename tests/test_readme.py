"""What README.md counts and lists is what there is."""

from __future__ import annotations

import re
from pathlib import Path

from parity.systems.mutants import MUTANTS
from parity.systems.pairs import registry
from parity.systems.training import mutants as in_training
from shared_impl.config.presets import presets
from shared_impl.config.schema import Config
from shared_impl.config.systems import SYSTEMS

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def rows(first: str) -> list[list[str]]:
    """The cells of the table whose first heading is that."""
    table = README.partition(f"\n| {first} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_pairs_and_mutants_are_counted():
    assert f"verify all {len(registry())} pairs" in README
    assert f"{len(MUTANTS) + len(in_training.MUTANTS)} ports and trainers broken on purpose" in README


def test_every_preset_stands_beside_its_system():
    told = {}
    for system, _, names in rows("system"):
        words = re.findall(r"`(\w+)`", names)
        told[system.strip("`")] = {word if not word.startswith("_") else words[0] + word for word in words}
    assert set(told) == set(SYSTEMS)
    assert set().union(*told.values()) == set(presets())


def test_every_section_of_a_configuration_is_told():
    assert [row[0].strip("`") for row in rows("section")] == [name for name in Config.model_fields if name != "model"]


def test_no_two_rows_of_a_table_say_the_same():
    commands = [row[1].partition(":")[0] for row in rows("you want to")]
    assert len(commands) == len(set(commands))
