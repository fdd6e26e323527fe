"""Runs of both sides under every condition: mode, batch, precision, chained and isolated. Plain NumPy.

*Chained*: each side runs on its own. *Isolated*: the port runs with every matched layer's output replaced by the
reference's, so each layer is judged on the reference's input and a fault does not spread to the layers behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from parity.capture import drawn_inputs
from parity.capture.steps import Trace
from parity.match.alignment import Match
from parity.transfer.aligned_models import AlignedModels
from parity.verdict import UnusableInput, first_line

Array = np.ndarray


@dataclass
class Condition:
    """One way of running both sides.

    ``refused`` says why they could not be run, ``broken`` that the port is to blame.
    """

    name: str
    training: bool
    inputs: list[Array]
    reference64: Trace = field(default_factory=Trace)
    port64: Trace = field(default_factory=Trace)
    isolated: Trace = field(default_factory=Trace)
    reference32: Trace = field(default_factory=Trace)
    port32: Trace = field(default_factory=Trace)
    refused: str = ""
    broken: bool = False


def run_conditions(models: AlignedModels) -> list[Condition]:
    """Every mode on an adversarial batch and, unless the pair is brief, on a single sample.

    Raises:
        UnusableInput: the reference does not run in evaluation mode, or in float32.
    """
    batch = drawn_inputs.adversarial(models.inputs, models.brief)
    single = [x[:1] for x in models.inputs]
    plan = [
        (f"{mode}, batch of {len(inputs[0])}", mode == "training", inputs)
        for mode in models.modes
        for inputs in ((batch,) if models.brief else (batch, single))
    ]
    _share_float32_slopes(models)
    with models.precision("float64"):
        conditions = [_run_in_float64(models, *planned) for planned in plan]
    with models.precision("float32"):
        for condition in conditions:
            if not condition.refused:
                _add_float32(models, condition)
    return conditions


def forced_outputs(models: AlignedModels, reference: Trace, port: Trace) -> dict[str, Array]:
    """The reference's output of each matched layer in the port's layout, by port layer; where the shapes fit."""
    return {
        match.port.name: models.layouts.outputs[match.key].to_port(reference.outputs[match.key])
        for match in models.matching.matches
        if _forcible(models, match, reference, port)
    }


def _forcible(models: AlignedModels, match: Match, reference: Trace, port: Trace) -> bool:
    a, b = reference.outputs.get(match.key), port.outputs.get(match.port.name)
    return a is not None and b is not None and models.layouts.outputs[match.key].fits(a.shape, b.shape)


def _run_in_float64(models: AlignedModels, name: str, training: bool, inputs: list[Array]) -> Condition:
    try:
        reference = models.reference.run(inputs, training)
    except Exception as error:
        if not training:
            raise UnusableInput(f"the reference does not run in {name}: {first_line(error)}") from error
        models.restore_state()
        return Condition(name, training, inputs, refused=f"the reference does not run: {first_line(error)}")
    port_inputs = models.to_port(inputs)
    try:
        port = models.port.run(port_inputs, training)
    except Exception as error:
        models.restore_state()
        statistics = training and isinstance(error, ValueError)
        reason = "batch statistics refused" if statistics else f"the port does not run in {name}"
        return Condition(name, training, inputs, refused=f"{reason}: {first_line(error)}", broken=not statistics)
    isolated = models.port.run(port_inputs, training, replace=forced_outputs(models, reference, port))
    return Condition(name, training, inputs, reference, port, isolated)


def _add_float32(models: AlignedModels, condition: Condition) -> None:
    try:
        condition.reference32 = models.reference.run(condition.inputs, condition.training)
    except Exception as error:
        raise UnusableInput(f"the reference does not run in float32: {first_line(error)}") from error
    try:
        condition.port32 = models.port.run(models.to_port(condition.inputs), condition.training)
    except Exception as error:
        models.restore_state()
        condition.refused, condition.broken = f"the port does not run in float32: {first_line(error)}", True


def _share_float32_slopes(models: AlignedModels) -> None:
    """Keras keeps a stock LeakyReLU's slope in float32: evaluate the port at the same rounded constant."""
    for match in models.matching.matches:
        a, b = match.reference.attributes.get("slope"), match.port.attributes.get("slope")
        if match.reference.float32_slope and a is not None and b is not None and np.float32(a) == np.float32(b):
            models.port.set_leaky_relu_slope(match.port, float(np.float32(a)))
