"""What README.md counts, shows and links to is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parity.systems.registry import registry
from parity.systems.selftest_tasks import FAITHFUL, tasks
from shared_impl.config.systems import SYSTEMS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
WORDS = 900  # a page that a newcomer reads to the end


def test_length_of_the_readme():
    assert len(README.split()) <= WORDS


def test_counts_of_pairs_and_mutants():
    assert f"this project's {len(registry())} pairs" in README
    faults = [group for group, _ in tasks() if group != FAITHFUL]
    assert f"breaks ports and trainers in {len(faults)} ways" in README


def test_every_system_has_a_row():
    table = README.partition("\n| system |")[2].partition("\n\n")[0]
    assert {line.split("|")[1].strip(" `") for line in table.splitlines()[2:]} == set(SYSTEMS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_exist(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_output_shown_is_what_the_example_prints():
    from parity.systems import frameworks

    frameworks.load()
    from contextlib import redirect_stdout
    from io import StringIO

    code = README.partition("```python\n")[2].partition("```")[0]
    shown = README.partition("```text\n")[2].partition("```")[0]
    printed = StringIO()
    with redirect_stdout(printed):
        exec(code, {})
    words, expected = _without_figures(printed.getvalue()), _without_figures(shown)
    assert expected.startswith("sequential / Conv#d: NOT faithful: padding#alignment at conv#d (padding fails")
    for part in filter(None, (part.strip() for part in expected.split("…"))):
        assert part in words


def _without_figures(text: str) -> str:
    """The text in one line, numbers masked: weights are drawn anew in each run, and Keras counts its models."""
    return re.sub(r"[-\d.]+(e-?\d+)?", "#", re.sub(r"sequential_\d+", "sequential", " ".join(text.split())))
