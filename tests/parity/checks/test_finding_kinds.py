"""Every kind of finding that the engine can give stands in the documentation's table."""

from __future__ import annotations

import re
from pathlib import Path

from parity.checks import structure

ROOT = Path(__file__).resolve().parents[3]
ENGINE = [path for folder in ("checks", "diagnosis") for path in (ROOT / "parity" / folder).rglob("*.py")]
WRITTEN_OUT = re.compile(r'Finding\(\s*"([a-z-]+)"')
CHOSEN = re.compile(r'kind = "([a-z-]+)" if [^\n]* else "([a-z-]+)"')


def documented() -> set[str]:
    page = (ROOT / "docs" / "verifying.md").read_text("utf-8").partition("## Kinds of finding")[2]
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    return {kind for row in rows for kind in re.findall(r"`([a-z-]+)`", row)}


def test_every_kind_is_in_the_documentation() -> None:
    source = "\n".join(path.read_text("utf-8") for path in ENGINE)
    given = {*WRITTEN_OUT.findall(source), *structure.ATTRIBUTES.values(), *structure.KIND_OVERRIDES.values()}
    given |= {kind for pair in CHOSEN.findall(Path(structure.__file__).read_text("utf-8")) for kind in pair}
    assert {"output-count", "channels", "missing-layer", "extra-layer", "numeric"} <= given, "the search finds nothing"
    assert given <= documented(), given - documented()
