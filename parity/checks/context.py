"""What the rungs of one verdict judge. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass

from parity.checks.measurements import Measurements
from parity.transfer.aligned_models import AlignedModels


@dataclass(frozen=True)
class CheckContext:
    """Aligned models and what was measured of them.

    ``measured`` is None where no rung asks for values (:attr:`parity.checks.registry.Rung.measures`) or the port does
    not run to its end.
    """

    models: AlignedModels
    measured: Measurements | None = None

    @property
    def measurements(self) -> Measurements:
        """What was measured, for the rungs that ask for it, once they know that the port runs."""
        assert self.measured is not None, "a rung that needs values sets `measures` in its row of the registry"
        return self.measured
