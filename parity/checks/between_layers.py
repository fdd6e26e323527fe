"""Where a difference begins: in a layer, or in what runs between it and the matched layers before it. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from parity.capture.adapter import TellsResults
from parity.capture.steps import CHANNELS_FIRST, Step, Trace
from parity.checks.conditions import Condition, forced_outputs
from parity.checks.layer_evidence import logical_input
from parity.checks.measurements import LayerMeasurement
from parity.checks.rounded_constants import exchanged_constants
from parity.diagnosis.between import Between
from parity.diagnosis.evidence import Evidence
from parity.match.alignment import Match
from parity.match.data_flow import passed_steps
from parity.numerics.array_layouts import Layout, fitting_layouts
from parity.numerics.difference import TINY, difference, scale

Array = np.ndarray
RTOL = 1e-9  # float64 values that went through the same operations
SEARCHED = 400  # results of the port that one step is held against: no search grows with the square of the network
ABOUT = 4  # a result of another shape is looked for among those up to this many times larger or smaller


@dataclass(frozen=True)
class Origin:
    """Where a difference begins: the reference's step, the port's (either may be empty), and the values around it.

    ``single``: the same for the reference's first step in between that the port has not, held against each of the
    port's steps, with that step's name; the last ones first.
    """

    reference_layer: str
    layer: str
    between: Between
    inside: bool
    single: tuple[tuple[str, Between], ...] = ()


def find_origin(measured: LayerMeasurement, condition: Condition) -> Origin:
    """Where the difference of a layer (or output) that is wrong by itself begins.

    ``inside``: the layer itself is fed the right values.
    """
    models, match = condition.models, measured.match
    keys = {one.key for one in models.matching.matches}
    port_names = {one.port.name for one in models.matching.matches}
    name = measured.key if match else f"output {measured.output}"
    port_name = match.port.name if match else name
    passed = _steps(models.reference_trace, passed_steps(models.reference_trace, keys).get(name, ()))
    port_passed = _steps(models.port_trace, passed_steps(models.port_trace, port_names).get(port_name, ()))
    elsewhere = {key: value for key, value in condition.reference64.outputs.items() if key != name}
    if match is not None:
        given = _fed(condition, match)
        for place, pair in enumerate(zip(*given, strict=False)):
            expected, got = pair[0], _in_reference_layout(*pair, match.port.kind)
            if not _equal(expected, got):
                sources = _sources(condition, match.key, place)
                between = Between(sources, expected, got, elsewhere, match.label)
                return _blamed(condition, passed, port_passed, between, match.key, port_name)
        sources = {f"input {place}": value for place, value in enumerate(given[0])}
        expected = condition.reference64.outputs[match.key]
        got = _in_reference_layout(expected, condition.isolated.outputs.get(port_name))
        return Origin(match.key, port_name, Between(sources, expected, got, elsewhere, match.label), inside=True)
    number = measured.output or 0
    expected, port_result = condition.reference64.result[number], condition.isolated.result
    got = _in_reference_layout(expected, port_result[number] if number < len(port_result) else None)
    ends = models.ends[number] if number < len(models.ends) else []
    sources = {key: condition.reference64.outputs[key] for key in ends if key in condition.reference64.outputs}
    sources |= {} if sources else {f"input {place}": x for place, x in enumerate(condition.inputs)}
    return _blamed(condition, passed, port_passed, Between(sources, expected, got, elsewhere, measured.key), "", "")


def _blamed(
    condition: Condition, passed: list[Step], port_passed: list[Step], between: Between, key: str, port_name: str
) -> Origin:
    """The first of the reference's steps in between whose values the port does not have, else the port's first."""
    steps = [step for step in passed if step.matchable]
    other_shape = between.got is None or between.got.shape != between.expected.shape
    results = _port_results(condition, steps, other_shape) if steps else []
    port_values = [condition.isolated.outputs.get(step.name) for step in port_passed]
    port_values += [value for _, value in results]
    own = next((step for step in steps if not _among(condition, step, port_values)), None)
    other = next((step for step in port_passed if step.matchable), None)
    if other is None and steps:
        own = own or steps[-1]  # the port has all of these values, and goes on computing
    if own is None and other is None:
        behind = _inside_a_source(condition, port_passed, between) or _join(condition, between)
        return Origin(*(behind or (key, port_name)), between, inside=False)
    single = tuple(islice(_single(condition, own, results), SEARCHED)) if own is not None and len(steps) > 1 else ()
    return Origin(own.name if own else "", other.name if other else "", between, inside=False, single=single)


def _port_results(condition: Condition, steps: list[Step], other_shape: bool) -> list[tuple[str, Array]]:
    """What the port's functions give, also those that are no step, where it has the size of one of these steps.

    About the size, where shapes differ. With the reference's constants for those that float32 rounded.
    """
    models = condition.models
    if not isinstance(models.port, TellsResults):
        return []
    outputs = condition.reference64.outputs
    sizes = {outputs[step.name].size for step in steps if step.name in outputs}
    sizes |= {value.size for step in steps for value in _values(condition.reference64, step.name)}
    wanted = range(min(sizes) // ABOUT, max(sizes) * ABOUT + 1) if other_shape and sizes else sizes
    inputs, training = condition.inputs, condition.training
    with models.precision("float64"), exchanged_constants(models, inputs, training):
        replace = forced_outputs(models, condition.reference64, condition.isolated)
        return models.port.function_results(models.to_port(inputs), training, replace, wanted)


def _single(condition: Condition, own: Step, results: list[tuple[str, Array]]) -> Iterator[tuple[str, Between]]:
    """The reference's step held against the port's results of its shape, the last ones first; then what feeds it.

    A result that follows by the same kind of operation is the step's counterpart rather than one that does not.
    """
    reference = condition.reference64
    expected = reference.outputs.get(own.name)
    values, fed = _values(reference, own.name), [name for names in own.sources for name in names]
    if expected is None or expected.dtype.kind != "f" or not values:
        return
    names = fed if len(fed) == len(values) else [f"input {place}" for place in range(len(values))]
    sources = dict(zip(names, values, strict=True))
    fitting = [
        (name, got) for name, value in reversed(results)
        if (got := _in_reference_layout(expected, value)) is not None and got.shape == expected.shape
    ]  # fmt: skip
    for alike in (True, False):
        yield from ((name, Between(sources, expected, got, {}, own.name, alike)) for name, got in fitting)
    for name, value in reversed(results):
        if value.ndim == expected.ndim and value.size != expected.size:
            yield name, Between(sources, expected, value, {}, own.name, alike=True)
    for source, value in sources.items():
        for name, result in results:
            got = _in_reference_layout(value, result)
            if got is not None and got.shape == value.shape:
                yield name, Between({source: value}, value, got, {}, own.name)


def _inside_a_source(condition: Condition, passed: list[Step], between: Between) -> tuple[str, str] | None:
    """The layer before, if the port's module that stands for it goes on computing after its layer is done."""
    for match in condition.models.matching.matches:
        module = match.port.owner
        if match.key in between.sources and module:
            names = [*condition.isolated.operations.get(match.port.name, []), *(step.name for step in passed)]
            if any(name.rpartition(".")[0] == module for name in names):
                return match.key, match.port.name
    return None


def _among(condition: Condition, step: Step, others: Iterable[Array | None]) -> bool:
    """Whether one of the port's values is the same: in either layout, or where neither fits, in whatever order."""
    value = condition.reference64.outputs.get(step.name)
    if value is None or value.dtype.kind != "f":
        return False
    return any(_same_numbers(value, other) for other in others if other is not None and other.size == value.size)


def _join(condition: Condition, between: Between) -> tuple[str, str] | None:
    """The join of branches before, if the port multiplies it by a factor: a mean for a sum is such a sum."""
    if not _multiples(between.expected, between.got):
        return None
    sources = [match for match in condition.models.matching.matches if match.key in between.sources]
    joins = [match for match in sources if match.reference.kind == "merge"]
    return (joins[0].key, joins[0].port.name) if len(between.sources) == len(joins) == 1 else None


def _multiples(expected: Array, got: Array | None) -> bool:
    if got is None or got.shape != expected.shape or expected.dtype.kind != "f":
        return False
    factor = np.vdot(got, expected) / max(np.vdot(got, got), TINY)
    return _equal(expected, factor * got)


def _same_numbers(expected: Array, got: Array) -> bool:
    layouts = fitting_layouts(expected.shape, got.shape)
    if layouts:
        return any(_equal(expected, layout.to_reference(got)) for layout in layouts)
    ordered = np.sort(expected, axis=None)
    return np.allclose(np.sort(got, axis=None), ordered, rtol=RTOL, atol=RTOL * scale(expected))


def _steps(trace: Trace, names: Iterable[str]) -> list[Step]:
    wanted = set(names)
    return [step for step in trace.steps if step.name in wanted]


def _values(trace: Trace, name: str) -> list[Array]:
    first = trace.inputs.get(name)
    return [] if first is None else [first, *trace.others.get(name, [])]


def _fed(condition: Condition, match: Match) -> tuple[list[Array], list[Array]]:
    """What both sides feed a layer; where only what comes before their padding can be compared, or differs, that.

    Of two explicit paddings of one input, the padding is what differs.
    """
    reference, port = condition.reference64, condition.isolated
    values = _values(reference, match.key), _values(port, match.port.name)
    if [len(side) for side in values] != [1, 1]:
        return values
    expected, got = logical_input(reference, match.reference), logical_input(port, match.port)
    if expected is None or got is None:
        return values
    same = _equal(expected, _in_reference_layout(expected, got, match.port.kind))
    padded = _in_reference_layout(values[0][0], values[1][0], match.port.kind)
    comparable = padded is not None and padded.shape == values[0][0].shape
    return values if same and comparable else ([expected], [got])


def padded_input(evidence: Evidence, condition: Condition) -> list[Between]:
    """What a convolution is fed after padding of its own, where the port's differs by more than its amounts."""
    match, amounts = evidence.match, evidence.own_amounts
    values = _values(condition.isolated, match.port.name)
    if amounts is None or len(values) != 1:
        return []
    given = evidence.layer_input
    expected = np.pad(given, [(0, 0), *amounts, (0, 0)])
    got = _in_reference_layout(expected, values[0], match.port.kind)
    if got is None or got.shape != expected.shape or _equal(expected, got):
        return []
    return [Between({"the input": given}, expected, got, {}, match.label)]


def _sources(condition: Condition, key: str, place: int) -> dict[str, Array]:
    """The values from which both sides compute that input of a layer."""
    models, trace = condition.models, condition.reference64
    sources = models.matching.sources.get(key, ())
    names = sources[place] if place < len(sources) else ()
    known = trace.outputs | {f"input {number}": x for number, x in enumerate(condition.inputs)}
    return {name: known[name] for name in names if name in known}


def _in_reference_layout(expected: Array, got: Array | None, reader: str = "") -> Array | None:
    """The port's value with its channels last: in the layout in which it equals the reference's, else the usual one.

    The kind of the layer that reads it may leave one layout only.
    """
    if got is None:
        return None
    fitting = fitting_layouts(expected.shape, got.shape)
    if reader in (*CHANNELS_FIRST, "dense"):
        fitting = [one for one in fitting if one.channels_first == (reader != "dense")] or fitting
    candidates = [layout.to_reference(got) for layout in fitting]
    same = [value for value in candidates if _equal(expected, value)]
    if same or candidates:
        return (same or candidates)[0]
    return Layout(channels_first=True).to_reference(got) if got.ndim == expected.ndim > 2 else got


def _equal(expected: Array, got: Array | None) -> bool:
    if got is None or got.shape != expected.shape:
        return False
    if expected.dtype.kind != "f":
        return bool(np.array_equal(expected, got))
    return difference(got, expected).absolute <= RTOL * max(scale(expected), TINY)
