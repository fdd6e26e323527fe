"""What a rung works on and what it hands back. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from parity.checks.measurements import Measurements
from parity.transfer.aligned_models import Comparison


@dataclass
class CheckContext:
    """A prepared comparison with its measurements, shared by all rungs of one verdict."""

    comparison: Comparison
    paddings: dict[str, tuple] = field(default_factory=dict)

    @cached_property
    def measurements(self) -> Measurements:
        """Values of every layer, measured once."""
        return Measurements(self.comparison)
