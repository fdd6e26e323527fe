"""Runs of both sides under every condition: mode, batch, sizes, precision, chained and isolated. Plain NumPy.

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
    """One way of running both sides, on ``models`` (which differ where fresh weights are drawn).

    ``refused`` says why they could not be run, ``broken`` that the port is to blame. ``forced`` names the reference
    layers whose outputs replaced the port's in the isolated run. Conditions of one ``family`` share their rounding.
    """

    name: str
    training: bool
    inputs: list[Array]
    models: AlignedModels
    reference64: Trace = field(default_factory=Trace)
    port64: Trace = field(default_factory=Trace)
    isolated: Trace = field(default_factory=Trace)
    reference32: Trace = field(default_factory=Trace)
    port32: Trace = field(default_factory=Trace)
    refused: str = ""
    broken: bool = False
    forced: frozenset[str] = frozenset()

    @property
    def family(self) -> tuple[bool, bool]:
        """Mode and weights."""
        return self.training, bool(self.models.redrawn_from)


def run_conditions(models: AlignedModels) -> list[Condition]:
    """Both modes on an adversarial batch and, unless the pair is brief, on a single sample; free sizes odd and even.

    Training mode is left out of :attr:`AlignedModels.modes` where a run shows that it changes nothing on either side.
    Inputs that the caller gave are taken as they are: a probe may lie outside their range.

    Raises:
        UnusableInput: the reference does not run in evaluation mode, or in float32.
    """
    batch = models.inputs if models.given else drawn_inputs.adversarial(models.inputs, models.brief)
    single = [x[:1] for x in models.inputs]
    batches = [batch] if models.brief or len(batch[0]) == 1 else [batch, single]
    plan = [Condition(_name("evaluation", inputs), False, inputs, models) for inputs in batches]
    if not models.brief:
        plan += [Condition(_size_name(inputs), False, inputs, models) for inputs in _other_sizes(models)]
    _share_float32_slopes(models)
    with models.precision("float64"):
        for condition in plan:
            _run_in_float64(condition)
        if not models.brief and models.scope == "training" and _training_matters(plan[0]):
            models.modes = ("evaluation", "training")
            training = [Condition(_name("training", inputs), True, inputs, models) for inputs in batches]
            for condition in training:
                _run_in_float64(condition)
            plan += training
    with models.precision("float32"):
        for condition in plan:
            if not condition.refused:
                _add_float32(condition)
    return [condition for condition in plan if condition.training or not condition.refused or condition.broken]


def run_with_fresh_weights(models: AlignedModels) -> Condition:
    """Evaluation with weights drawn afresh, on inputs that drive every non-linearity through its range."""
    fresh = models.redrawn()
    inputs = models.inputs if models.given else drawn_inputs.driving(models.inputs)
    condition = Condition(f"evaluation, fresh weights, batch of {len(inputs[0])}", False, inputs, fresh)
    for dtype in ("float64", "float32"):
        fresh.load_weights(dtype)
    _share_float32_slopes(fresh)
    with fresh.precision("float64"):
        _run_in_float64(condition)
    if not condition.refused:
        with fresh.precision("float32"):
            _add_float32(condition)
    return condition


def isolate(condition: Condition) -> None:
    """Run the port once more with the output of every matched layer replaced by the reference's, in float64."""
    models = condition.models
    values = forced_outputs(models, condition.reference64, condition.port64)
    by_port = {match.port.name: match.key for match in models.matching.matches}
    condition.forced = frozenset(by_port[name] for name in values)
    condition.isolated = models.port.run(models.to_port(condition.inputs), condition.training, replace=values)


def _name(mode: str, inputs: list[Array]) -> str:
    return f"{mode}, batch of {len(inputs[0])}"


def _size_name(inputs: list[Array]) -> str:
    sizes = " and ".join("x".join(map(str, x.shape[1:-1])) for x in inputs)
    return f"evaluation, size {sizes}"


def _other_sizes(models: AlignedModels) -> list[list[Array]]:
    """Inputs of other sizes along the axes that the reference leaves free, so that each is odd once and even once."""
    specs = models.reference.input_specs()
    if models.given or specs is None:
        return []
    shapes = [shape for shape, _ in specs]
    if all(n is not None for shape in shapes for n in shape[1:]):
        return []
    return [drawn_inputs.resized(models.inputs, shapes, more, models.seed) for more in drawn_inputs.MORE_PER_FREE_AXIS]


def _training_matters(evaluation: Condition) -> bool:
    """Whether training mode gives other outputs than evaluation on either side, or stops, or keeps statistics."""
    models = evaluation.models
    if models.mode_dependent or evaluation.refused:
        return True
    try:
        reference = models.reference.run(evaluation.inputs, training=True, values=False)
        port = models.port.run(models.to_port(evaluation.inputs), training=True, values=False)
    except Exception:
        models.restore_state()
        return True
    return not (_same(reference, evaluation.reference64) and _same(port, evaluation.port64))


def _same(one: Trace, other: Trace) -> bool:
    return len(one.result) == len(other.result) and all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(one.result, other.result, strict=True)
    )


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


def _run_in_float64(condition: Condition) -> None:
    models, training = condition.models, condition.training
    try:
        condition.reference64 = models.reference.run(condition.inputs, training)
    except Exception as error:
        if condition.name == _name("evaluation", condition.inputs):
            raise UnusableInput(f"the reference does not run in {condition.name}: {first_line(error)}") from error
        models.restore_state()
        condition.refused = f"the reference does not run: {first_line(error)}"
        return
    try:
        condition.port64 = models.port.run(models.to_port(condition.inputs), training)
    except Exception as error:
        models.restore_state()
        statistics = training and isinstance(error, ValueError)
        reason = "batch statistics refused" if statistics else f"the port does not run in {condition.name}"
        condition.refused, condition.broken = f"{reason}: {first_line(error)}", not statistics
        return
    isolate(condition)


def _add_float32(condition: Condition) -> None:
    models = condition.models
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
