"""Why a layer fails: a table of hypotheses, each tested on the measured values. Plain NumPy.

A hypothesis takes the evidence about one layer and returns an explanation if it reproduces the port's values, else
None. Hypotheses only explain; they never turn a failure into a pass. To add one: a function in the module of its
subject in this package, and a row in :data:`HYPOTHESES`; a new kind of finding also a row in the documentation's table.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.diagnosis import activations, attention, convolutions, normalisation, pooling, resizing
from parity.diagnosis.between import Between, explain_between
from parity.diagnosis.evidence import Evidence, Explanation
from parity.numerics.difference import difference
from parity.verdict import Finding


def explain(evidence: Evidence, rung: str) -> list[Finding]:
    """The first hypothesis that fits, as a list of one; empty if none does.

    Hypotheses about the layer's kind come first, then what can be said from the values alone.
    """
    named = explain_between(between(evidence)) if evidence.kind == "merge" else None  # parts, not channels
    for kind, hypothesis in HYPOTHESES if named is None else []:
        explanation = hypothesis(evidence)
        if explanation is not None:
            return [_finding(evidence, kind, *explanation, rung)]
    named = named or explain_between(between(evidence))
    return [_finding(evidence, *named, rung)] if named is not None else []


def between(evidence: Evidence) -> Between:
    """The layer as a place between its input and its output."""
    own = {evidence.match.key, *evidence.match.reference.inside}
    elsewhere = {
        name: x for name, x in evidence.reference_trace.outputs.items() if name not in own and not _same(x, evidence)
    }
    others = evidence.reference_trace.others.get(evidence.match.key, [])
    inputs = [evidence.layer_input, *others]
    names = _source_names(evidence, len(inputs)) if others else ["its input"]
    sources = dict(zip(names, inputs, strict=True))
    return Between(sources, evidence.expected, evidence.got, elsewhere)


def _same(x: np.ndarray, evidence: Evidence) -> bool:
    """Whether another layer's output is the expected one."""
    return x.shape == evidence.expected.shape and bool((x == evidence.expected).all())


def _source_names(evidence: Evidence, count: int) -> list[str]:
    """What the layer's inputs are called: by the layers that made them, where there is one each."""
    sources = evidence.match.reference.sources
    names = [found[0] for found in sources if len(found) == 1]
    return names if len({*names}) == count else [f"input {place + 1}" for place in range(count)]


def _finding(evidence: Evidence, kind: str, message: str, fix: str, rung: str) -> Finding:
    match = evidence.match
    text = f"{match.label}: {describe_difference(evidence)}; {message}"
    return Finding(kind, match.port.name, match.key, text, fix, rung)


def describe_difference(evidence: Evidence) -> str:
    """The difference between the port's and the expected values, in words."""
    got, expected = evidence.got, evidence.expected
    if got is None or got.shape != expected.shape:
        return f"shapes differ (got {None if got is None else got.shape}, expected {expected.shape})"
    found = difference(got, expected, 1e-9 * float(np.abs(expected).max(initial=0)))
    return f"shapes agree, values differ (max |Δ| {found.absolute:.2g}, {found.mismatched:.0%})"


def layer_order(evidence: Evidence) -> Explanation:
    """The port runs this layer, or its neighbour, at another place."""
    matches = evidence.matching.matches
    place = matches.index(evidence.match)
    window = matches[max(place - 2, 0) : place + 3]
    near = [match for match in window if not match.in_order]
    run = [step.name for step in evidence.port_trace.steps]
    places = [run.index(match.port.name) for match in window if match.port.name in run]
    if not near or places == sorted(places):
        return None
    names = ", ".join(f"{match.port.name} (reference {match.key})" for match in near)
    order = " → ".join(match.key for match in matches[max(place - 2, 0) : place + 3])
    return f"the port runs {names} at another place", f"keep the reference's order: {order}"


# The first that fits is reported; more specific hypotheses come first.
HYPOTHESES: list[tuple[str, Callable[[Evidence], Explanation]]] = [
    ("layer-order", layer_order),
    ("padding-mode", convolutions.padding_mode),
    ("padding-alignment", convolutions.padding_shift),
    ("output-padding", convolutions.crop_size),
    ("kernel-layout", convolutions.kernel_axes),
    ("axes-exchanged", convolutions.input_axes),
    ("axes-exchanged", normalisation.affine_axis),
    ("padding-alignment", convolutions.padding_size),
    ("missing-bias", convolutions.missing_bias),
    ("spectral-norm", normalisation.spectral_norm),
    ("batchnorm-statistics", normalisation.batchnorm_statistics),
    ("batchnorm-epsilon", normalisation.batchnorm_epsilon),
    ("layernorm-epsilon", normalisation.layernorm_epsilon),
    ("groupnorm-epsilon", normalisation.groupnorm_epsilon),
    ("groups", normalisation.group_count),
    ("batchnorm-variance", normalisation.batchnorm_variance),
    ("activation-slope", activations.activation_slope),
    ("activation-form", activations.activation_form),
    ("activation-kind", activations.activation_kind),
    ("pooling-count", pooling.pooling_count),
    ("resize-mode", resizing.resize_mode),
    ("attention-scale", attention.attention_scale),
    ("attention-axis", attention.attention_axis),
    ("flatten-order", convolutions.flatten_order),
    ("axis-reversed", convolutions.input_reversed),
    ("channel-order", convolutions.channel_order),
    ("channel-order", convolutions.input_channels),
    ("scale-factor", convolutions.input_factor),
]
