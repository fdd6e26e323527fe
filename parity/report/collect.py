"""Everything that a report shows, gathered: verdicts, and with the project's own pairs the claims and exhibits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.verdict import Verdict

CLAIMED = "specgan."  # the first document is about this system; a report on other networks alone measures no claims


def collect(verdicts: Sequence[Verdict], command: str, seed: int = 0) -> dict[str, Any]:
    """What :func:`parity.report.write` takes; ``command`` is the line that gives the same report again.

    The check-list's claims, the padding study's two copies and the gallery are measured (some 20 s) if SpecGAN is among
    the verdicts.
    """
    versions: dict[str, str] = {}
    for verdict in verdicts:
        versions |= verdict.versions
    measured = _exhibits(seed) if any(verdict.name.startswith(CLAIMED) for verdict in verdicts) else {}
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "seed": seed,
        "versions": versions,
        "verdicts": [verdict.to_dict() for verdict in verdicts],
        **measured,
    }


def _exhibits(seed: int) -> dict[str, Any]:
    from parity.systems.claims import measure
    from parity.systems.claims.exhibits import gallery, padding_copies
    from parity.systems.claims.twins import Twins

    twins = Twins(seed)
    return {
        "claims": measure(twins),
        "padding_study": {"measured": padding_copies(twins)},
        "gallery": gallery(twins),
    }
