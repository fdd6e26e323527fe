"""What a rung works on and what it hands back. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from parity.checks.measurements import Measurements
from parity.transfer.aligned_models import Comparison
from parity.verdict import Check, Finding


@dataclass
class CheckContext:
    """A prepared comparison with its measurements, shared by all rungs of one verdict."""

    comparison: Comparison
    paddings: dict[str, tuple] = field(default_factory=dict)

    @cached_property
    def measurements(self) -> Measurements:
        """Values of every layer, measured once."""
        return Measurements(self.comparison)


@dataclass
class Outcome:
    """A rung's checks and findings; ``message`` says what was judged, or why nothing could be."""

    checks: list[Check] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    message: str = ""
