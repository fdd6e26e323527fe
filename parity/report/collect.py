"""What a report says about the verdicts of one run, gathered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.verdict import Verdict


def collect(verdicts: Sequence[Verdict], command: str, seed: int = 0) -> dict[str, Any]:
    """What :func:`parity.report.write` takes; ``command`` is the line that gives the same report again."""
    versions: dict[str, str] = {}
    for verdict in verdicts:
        versions |= verdict.versions
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "seed": seed,
        "versions": versions,
        "verdicts": [verdict.to_dict() for verdict in verdicts],
    }
