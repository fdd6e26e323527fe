"""Where two configurations differ, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from pydantic import BaseModel

# Fields that may change when a run is resumed: how long it goes on, what is written and where, and who does the work.
FREE = ("training.steps", "training.epochs", "runs.*", "data.workers", "data.prefetch", "distribution.*")
NOTHING = "nothing"


class Difference(NamedTuple):
    """A dotted field and its values as text."""

    field: str
    got: str
    expected: str

    def __str__(self) -> str:
        return f"{self.field}: got {self.got}, expected {self.expected}"


def plain(config: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as JSON and YAML hold it."""
    return config.model_dump(mode="json") if isinstance(config, BaseModel) else dict(config)


def differences(got: Mapping[str, Any], expected: Mapping[str, Any], free: tuple[str, ...] = FREE) -> list[Difference]:
    """Every field whose values differ, or that one side lacks, by name; but none that matches ``free``."""
    left, right = dict(_flat(got)), dict(_flat(expected))
    pairs = (
        (field, *(repr(side[field]) if field in side else NOTHING for side in (left, right))) for field in left | right
    )
    found = (Difference(*pair) for pair in sorted(pairs))
    return [
        one
        for one in found
        if (one.field in left, left.get(one.field)) != (one.field in right, right.get(one.field))
        if not any(fnmatchcase(one.field, pattern) for pattern in free)
    ]


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
