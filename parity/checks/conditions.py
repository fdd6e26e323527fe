"""Runs of both sides under every condition: mode, batch, sizes, precision, chained and isolated. Plain NumPy.

*Chained*: each side runs on its own. *Isolated*: the port runs with every matched layer's output replaced by the
reference's, so each layer is judged on the reference's input and a fault does not spread to the layers behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from parity.capture import drawn_inputs
from parity.capture.recorder import Consumer
from parity.capture.steps import Trace
from parity.match.alignment import Match
from parity.numerics.array_layouts import Layout
from parity.transfer.aligned_models import AlignedModels
from parity.verdict import UnusableInput, first_line

Array = np.ndarray
EMPTY = Trace()
FrugalRun = Callable[["Condition"], None]
"""Runs both sides under a condition and compares their values as they come."""


@dataclass
class Condition:
    """One way of running both sides, on ``models`` (which differ where fresh weights are drawn).

    ``refused`` says why they could not be run, ``broken`` that the port is to blame. ``forced`` names the reference
    layers whose outputs replaced the port's in the isolated run. Conditions of one ``family`` share their rounding.
    ``measured`` are its layers if they were compared while both sides ran (:mod:`parity.checks.frugal_runs`), which
    leaves no values behind but, with ``keeps_reference``, the reference's; ``alike`` are then those whose port computes
    the reference's values from its input. ``training_differs``: training mode gives other outputs.
    """

    name: str
    training: bool
    inputs: list[Array]
    models: AlignedModels
    refused: str = ""
    broken: bool = False
    forced: frozenset[str] = frozenset()
    alike: frozenset[str] = frozenset()
    measured: list[Any] | None = None
    traces: dict[str, Trace] = field(default_factory=dict)
    isolated_result: list[Array] = field(default_factory=list)
    keeps_reference: bool = False
    training_differs: bool = False

    @property
    def reference64(self) -> Trace:
        """The reference's run in float64; run again if its values were not kept."""
        if "reference64" not in self.traces and self.measured is not None:
            with self.models.reference_in("float64"):
                self.traces["reference64"] = self.models.reference.run(self.inputs, self.training)
        return self.traces.get("reference64", EMPTY)

    @property
    def port64(self) -> Trace:
        """The port's run in float64; without values where these were compared as they came."""
        return self.traces.get("port64", EMPTY)

    @property
    def isolated(self) -> Trace:
        """The port's run on the reference's values; run again if its values were not kept."""
        if "isolated" not in self.traces and self.measured is not None:
            with self.models.port_in("float64"):
                isolate(self)
        return self.traces.get("isolated", EMPTY)

    @property
    def reference32(self) -> Trace:
        """The reference's run in float32."""
        return self.traces.get("reference32", EMPTY)

    @property
    def port32(self) -> Trace:
        """The port's run in float32."""
        return self.traces.get("port32", EMPTY)

    @property
    def family(self) -> tuple[bool, bool]:
        """Mode and weights."""
        return self.training, bool(self.models.redrawn_from)


def run_conditions(models: AlignedModels, run_frugally: FrugalRun) -> list[Condition]:
    """Both modes on an adversarial batch and, unless the pair is brief, on a single sample; free sizes odd and even.

    Training mode is left out of :attr:`AlignedModels.modes` where a run shows that it changes nothing on either side.
    Inputs that the caller gave are taken as they are: a probe may lie outside their range. A large network is measured
    on the single sample that was drawn for it.

    Raises:
        UnusableInput: the reference does not run in evaluation mode, or in float32.
    """
    batches = _batches(models)
    plan = [Condition(_name("evaluation", inputs), False, inputs, models) for inputs in batches]
    if not models.brief:
        plan += [Condition(_size_name(inputs), False, inputs, models) for inputs in _other_sizes(models)]
    plan[0].keeps_reference = True
    _run(models, plan, run_frugally)
    if _asks_training(models) and _training_matters(plan[0]):
        models.modes = ("evaluation", "training")
        training = [Condition(_name("training", inputs), True, inputs, models) for inputs in batches]
        _run(models, training, run_frugally)
        plan += training
    return [condition for condition in plan if condition.training or not condition.refused or condition.broken]


def _batches(models: AlignedModels) -> list[list[Array]]:
    if models.given:
        batch = models.inputs
    elif models.one_sample:
        return [models.inputs]
    else:
        batch = drawn_inputs.adversarial(models.inputs, models.brief)
    return [batch] if models.brief or len(batch[0]) == 1 else [batch, [x[:1] for x in models.inputs]]


def _run(models: AlignedModels, plan: list[Condition], run_frugally: FrugalRun) -> None:
    """Run both sides under these conditions, precision by precision, or one condition after another."""
    if models.frugal:
        for condition in plan:
            run_frugally(condition)
        return
    with models.precision("float64"):
        for condition in plan:
            if run_reference64(condition) and run_port64(condition):
                isolate(condition)
    with models.precision("float32"):
        for condition in plan:
            if not condition.refused:
                run_reference32(condition)
                run_port32(condition)


def run_with_fresh_weights(models: AlignedModels, run_frugally: FrugalRun) -> Condition:
    """Evaluation with weights drawn afresh, on inputs that drive every non-linearity through its range."""
    fresh = models.redrawn()
    inputs = models.inputs if models.given else drawn_inputs.driving(models.inputs)
    condition = Condition(f"evaluation, fresh weights, batch of {len(inputs[0])}", False, inputs, fresh)
    _run(fresh, [condition], run_frugally)
    return condition


def isolate(condition: Condition, consume: Consumer | None = None) -> Trace:
    """Run the port once more with the output of every matched layer replaced by the reference's, in float64.

    The run is kept unless its values are consumed.
    """
    models = condition.models
    values = forced_outputs(models, condition.reference64, condition.port64)
    condition.forced = frozenset(values.keys_by_port.values())
    inputs = models.to_port(condition.inputs)
    trace = models.port.run(inputs, condition.training, replace=values, values=consume is None, consume=consume)
    condition.isolated_result = trace.result
    if consume is None:
        condition.traces["isolated"] = trace
    return trace


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


def _asks_training(models: AlignedModels) -> bool:
    return not models.brief and models.scope == "training"


def _training_matters(evaluation: Condition) -> bool:
    """Whether training mode gives other outputs than evaluation on either side, or stops, or keeps statistics."""
    models = evaluation.models
    if models.mode_dependent or evaluation.refused:
        return True
    if not models.frugal:
        with models.precision("float64"):
            run_in_training(evaluation, "reference64")
            run_in_training(evaluation, "port64")
    return evaluation.training_differs


def run_in_training(evaluation: Condition, which: Literal["reference64", "port64"]) -> None:
    """Run one side in training mode too, if that is asked and unknown, and note whether its outputs differ."""
    models = evaluation.models
    first = evaluation.keeps_reference and not evaluation.training
    if not first or not _asks_training(models) or models.mode_dependent or evaluation.training_differs:
        return
    side, inputs = models.reference, evaluation.inputs
    if which == "port64":
        side, inputs = models.port, models.to_port(evaluation.inputs)
    try:
        evaluation.training_differs = not _same(side.run(inputs, training=True, values=False), evaluation.traces[which])
    except Exception:
        side.restore_state()
        evaluation.training_differs = True


def _same(one: Trace, other: Trace) -> bool:
    return len(one.result) == len(other.result) and all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(one.result, other.result, strict=True)
    )


def forced_outputs(models: AlignedModels, reference: Trace, port: Trace) -> ForcedOutputs:
    """The reference's output of each matched layer in the port's layout, by port layer; where the shapes fit."""
    return ForcedOutputs(
        {m.port.name: m.key for m in models.matching.matches if _forcible(models, m, reference, port)},
        reference.outputs,
        models.layouts.outputs,
    )


class ForcedOutputs(Mapping[str, Array]):
    """Outputs of the reference by port layer, each moved into the port's layout when it is asked for."""

    def __init__(self, keys: dict[str, str], outputs: Mapping[str, Array], layouts: Mapping[str, Layout]):
        self.keys_by_port, self._outputs, self._layouts = keys, outputs, layouts

    def __getitem__(self, name: str) -> Array:
        key = self.keys_by_port[name]
        return self._layouts[key].to_port(self._outputs[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys_by_port)

    def __len__(self) -> int:
        return len(self.keys_by_port)

    def __contains__(self, name: object) -> bool:
        return name in self.keys_by_port


def _forcible(models: AlignedModels, match: Match, reference: Trace, port: Trace) -> bool:
    a, b = reference.outputs.get(match.key), port.shapes.get(match.port.name)
    return a is not None and b is not None and models.layouts.outputs[match.key].fits(a.shape, b)


def run_reference64(condition: Condition) -> bool:
    """Run the reference in float64; False if it does not run, which :attr:`Condition.refused` then says.

    Raises:
        UnusableInput: it does not run in evaluation mode on inputs of the usual size.
    """
    models = condition.models
    try:
        condition.traces["reference64"] = models.reference.run(condition.inputs, condition.training)
    except Exception as error:
        if condition.name == _name("evaluation", condition.inputs):
            raise UnusableInput(f"the reference does not run in {condition.name}: {first_line(error)}") from error
        models.reference.restore_state()
        condition.refused = f"the reference does not run: {first_line(error)}"
    return not condition.refused


def run_port64(condition: Condition, consume: Consumer | None = None) -> bool:
    """Run the port in float64, its values kept unless they are consumed; False if it does not run."""
    models, training = condition.models, condition.training
    try:
        inputs = models.to_port(condition.inputs)
        condition.traces["port64"] = models.port.run(inputs, training, values=consume is None, consume=consume)
    except Exception as error:
        models.port.restore_state()
        statistics = training and isinstance(error, ValueError)
        reason = "batch statistics refused" if statistics else f"the port does not run in {condition.name}"
        condition.refused, condition.broken = f"{reason}: {first_line(error)}", not statistics
    return not condition.refused


def run_reference32(condition: Condition) -> None:
    """Run the reference in float32.

    Raises:
        UnusableInput: it does not run.
    """
    try:
        condition.traces["reference32"] = condition.models.reference.run(condition.inputs, condition.training)
    except Exception as error:
        raise UnusableInput(f"the reference does not run in float32: {first_line(error)}") from error


def run_port32(condition: Condition, consume: Consumer | None = None) -> None:
    """Run the port in float32, its values kept unless they are consumed."""
    models = condition.models
    try:
        inputs = models.to_port(condition.inputs)
        condition.traces["port32"] = models.port.run(
            inputs, condition.training, values=consume is None, consume=consume
        )
    except Exception as error:
        models.port.restore_state()
        condition.refused, condition.broken = f"the port does not run in float32: {first_line(error)}", True
