"""Explaining a difference by constants that one side holds in float32: both are run with the same ones. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np

from parity.capture.adapter import HoldsConstants, ModelAdapter, TakesConstants
from parity.capture.steps import Trace
from parity.checks.conditions import Condition, forced_outputs
from parity.numerics.constants import Exchanged, KnownConstants
from parity.transfer.aligned_models import AlignedModels

Array = np.ndarray
SHOWN = 3
NOTE = "constants held in float32: {}; with the reference's constants both sides agree"


@dataclass(frozen=True)
class RunsWithSameConstants:
    """The port's float64 runs with the reference's constants in place of its own, and what is to be said about them."""

    port64: Trace
    isolated: Trace
    note: str


def run_with_same_constants(condition: Condition) -> RunsWithSameConstants | None:
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
    return RunsWithSameConstants(port, isolated, describe_constants(exchanged))


def known_constants(models: AlignedModels, inputs: list[Array], training: bool) -> KnownConstants | None:
    """The reference's constants; None if a side does not tell its own. The reference is in float64."""
    if not isinstance(models.reference, HoldsConstants) or not isinstance(models.port, TakesConstants):
        return None
    return KnownConstants(models.reference.constants(inputs, training))


def taking(port: ModelAdapter, known: KnownConstants | None) -> AbstractContextManager[None]:
    """Within this context the port's runs take these constants."""
    return nullcontext() if known is None or not isinstance(port, TakesConstants) else port.taking_constants(known)


@contextmanager
def exchanged_constants(
    models: AlignedModels, inputs: list[Array], training: bool
) -> Iterator[dict[Exchanged, None] | None]:
    """Within this context the port's runs take the reference's constants; yields what was exchanged, as it happens.

    None if a side does not tell its constants. The models are in float64.
    """
    known = known_constants(models, inputs, training)
    with taking(models.port, known):
        yield None if known is None else known.exchanged


def describe_constants(exchanged: dict[Exchanged, None]) -> str:
    """What was exchanged, in a sentence."""
    named = [str(one) for one in exchanged]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return NOTE.format("; ".join(named[:SHOWN]) + more)
