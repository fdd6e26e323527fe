"""What a report on this project's own pairs shows besides their verdicts: claims, padding study and gallery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.verdict import Verdict

CLAIMED = "specgan."  # the first document is about this system; a report on other networks alone measures no claims


def exhibits(verdicts: Sequence[Verdict], seed: int = 0) -> dict[str, Any]:
    """The further keys of :func:`parity.report.write`, measured (some 20 s) if SpecGAN is among the verdicts."""
    return _measure(seed) if any(verdict.name.startswith(CLAIMED) for verdict in verdicts) else {}


def _measure(seed: int) -> dict[str, Any]:
    from parity.systems.claims import measure
    from parity.systems.claims.exhibits import gallery, padding_copies
    from parity.systems.claims.twins import Twins

    twins = Twins(seed)
    return {
        "claims": measure(twins),
        "padding_study": {"measured": padding_copies(twins)},
        "gallery": gallery(twins),
    }
