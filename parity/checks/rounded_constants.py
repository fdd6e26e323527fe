"""Explaining a difference by constants that one side holds in float32: both are run with the same ones. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from parity.capture.adapter import HoldsConstants, TakesConstants
from parity.capture.steps import Trace
from parity.checks.conditions import Condition, forced_outputs
from parity.numerics.constants import Exchanged, KnownConstants
from parity.transfer.aligned_models import AlignedModels

SHOWN = 3
NOTE = "constants held in float32: {}; with the reference's constants both sides agree"


@dataclass(frozen=True)
class SameConstants:
    """The port's float64 runs with the reference's constants in place of its own, and what is to be said about them."""

    port64: Trace
    isolated: Trace
    note: str


def with_same_constants(condition: Condition) -> SameConstants | None:
    """Run the port once more; None if no constant of either side is a float32 number that rounding made of the other's.

    Within :meth:`parity.transfer.aligned_models.AlignedModels.precision` or outside.
    """
    models = condition.models
    with models.precision("float64"), exchanged_constants(models, condition.inputs, condition.training) as exchanged:
        if exchanged is None:
            return None
        inputs = models.to_port(condition.inputs)
        port = models.port.run(inputs, condition.training)
        if not exchanged:
            return None
        forced = forced_outputs(models, condition.reference64, port)
        isolated = models.port.run(inputs, condition.training, replace=forced)
    return SameConstants(port, isolated, describe_constants(exchanged))


@contextmanager
def exchanged_constants(models: AlignedModels, inputs: list, training: bool) -> Iterator[dict[Exchanged, None] | None]:
    """Within this context the port's runs take the reference's constants; yields what was exchanged, as it happens.

    None if a side does not tell its constants. The models are in float64.
    """
    reference, port = models.reference, models.port
    if not isinstance(reference, HoldsConstants) or not isinstance(port, TakesConstants):
        yield None
        return
    known = KnownConstants(reference.constants(inputs, training))
    with port.taking_constants(known):
        yield known.exchanged


def describe_constants(exchanged: dict[Exchanged, None]) -> str:
    """What was exchanged, in a sentence."""
    named = [str(one) for one in exchanged]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return NOTE.format("; ".join(named[:SHOWN]) + more)
