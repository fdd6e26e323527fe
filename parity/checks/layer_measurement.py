"""What is measured of one layer under one condition. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass

from parity.match.alignment import Match
from parity.numerics.difference import Difference
from parity.numerics.tolerance import ROUNDING_LIMIT, times_rounding

OUTPUT = "output"


@dataclass(frozen=True)
class LayerMeasurement:
    """One layer (``match``) or one network output (``output``, its number) under one condition.

    Differences are in the reference's layout. ``limit`` is the absolute float64 limit, ``chain_limit`` that of the
    port's own run, which may be infinite. ``own_rounding`` and
    ``port_rounding`` are what each side shows between its own float32 and float64, ``float32_difference`` is the
    distance between both float32 runs, all absolute. ``mismatch`` says which shapes differ. ``abstain`` says why the
    layer cannot be judged on the reference's input, ``chain_abstain`` why not on its own upstream, ``float32_abstain``
    why not in float32; ``fed_by_wrong_shape`` names a layer before it whose output has another shape and cannot be
    replaced. ``note`` is to be said even if all is well.
    """

    key: str
    condition: str
    match: Match | None
    output: int | None
    scale: float
    limit: float = 0.0
    chain_limit: float = 0.0
    chained: Difference | None = None
    isolated: Difference | None = None
    own_rounding: float = 0.0
    port_rounding: float = 0.0
    float32_difference: float | None = None
    rounding_limit: float = ROUNDING_LIMIT
    mismatch: str = ""
    abstain: str = ""
    chain_abstain: str = ""
    fed_by_wrong_shape: str = ""
    training: bool = False
    float32_abstain: str = ""
    note: str = ""

    @property
    def beyond(self) -> bool:
        """Whether float64 differs by more than its limit, in the chain or in isolation."""
        pairs = (self.chained, self.chain_limit), (self.isolated, self.limit)
        return any(found is not None and found.absolute > limit for found, limit in pairs)

    @property
    def within_float32(self) -> bool:
        """Whether nothing differs by more than float32 rounds: neither float64 nor float32."""
        apart = [found.absolute for found in (self.chained, self.isolated) if found is not None]
        apart += [] if self.float32_difference is None else [self.float32_difference]
        own = self.own_rounding, self.port_rounding, self.scale
        return all(times_rounding(one, *own) <= self.rounding_limit for one in apart)

    @property
    def rounding(self) -> float | None:
        """The float32 difference as a multiple of rounding: of the larger of both sides' own, or of the port's own
        rounding against the reference's, whichever is worse."""
        if self.float32_difference is None:
            return None
        return times_rounding(self.float32_difference, self.own_rounding, self.port_rounding, self.scale)


@dataclass(frozen=True)
class SameConstants:
    """The layers with the reference's constants in the port, and what is to be said about those."""

    layers: list[LayerMeasurement]
    note: str
