"""What the evaluations of images and of clips share: the report, and which real examples are held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared_impl.draws import Draws

HELD_OUT = 0.2  # share of the real examples that nothing is fitted on, as a yardstick


@dataclass(frozen=True)
class Report:
    """The ``figures`` (plain numbers and names, as for JSON) and the same as ``text``."""

    figures: dict[str, Any]
    text: str


def held_out(count: int, seed: int = 0) -> np.ndarray:
    """Which of ``count`` examples are held out, bool ``[count]``: about HELD_OUT of them, the same for one seed."""
    return Draws(seed).uniform("held out", (count,)) < HELD_OUT


def shares_text(shares: Mapping[str, float]) -> str:
    """Shares by class as one line of percentages."""
    return "  ".join(f"{name} {share:.1%}" for name, share in shares.items())
