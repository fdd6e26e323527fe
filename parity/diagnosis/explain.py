"""Why a layer fails: a table of hypotheses, each tested on the measured values. Plain NumPy.

A hypothesis takes the evidence about one layer and returns an explanation if it reproduces the port's values, else
None. Hypotheses only explain; they never turn a failure into a pass. To add one: a function in the module of its
subject in this package, and a row in :data:`HYPOTHESES`; a new kind of finding also a row in the documentation's table.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.diagnosis import activations, attention, convolutions, normalisation, resizing
from parity.diagnosis.evidence import Evidence, Explanation
from parity.numerics.difference import difference
from parity.verdict import Finding


def explain(evidence: Evidence, rung: str) -> list[Finding]:
    """The first hypothesis that fits, as a list of one; empty if none does."""
    for kind, hypothesis in HYPOTHESES:
        explanation = hypothesis(evidence)
        if explanation is not None:
            message, fix = explanation
            match = evidence.match
            text = f"{match.label}: {describe_difference(evidence)}; {message}"
            return [Finding(kind, match.port.name, match.key, text, fix, rung)]
    return []


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
    near = [match for match in matches[max(place - 2, 0) : place + 3] if not match.in_order]
    if not near or all(match.in_order for match in (evidence.match, *near)):
        return None
    names = ", ".join(f"{match.port.name} (reference {match.key})" for match in near)
    order = " → ".join(match.key for match in matches[max(place - 2, 0) : place + 3])
    return f"the port runs {names} at another place", f"keep the reference's order: {order}"


# The first that fits is reported; more specific hypotheses come first.
HYPOTHESES: list[tuple[str, Callable[[Evidence], Explanation]]] = [
    ("layer-order", layer_order),
    ("padding-alignment", convolutions.padding_shift),
    ("output-padding", convolutions.crop_size),
    ("padding-alignment", convolutions.padding_size),
    ("missing-bias", convolutions.missing_bias),
    ("spectral-norm", normalisation.spectral_norm),
    ("batchnorm-epsilon", normalisation.batchnorm_epsilon),
    ("batchnorm-variance", normalisation.batchnorm_variance),
    ("batchnorm-statistics", normalisation.batchnorm_statistics),
    ("activation-slope", activations.activation_slope),
    ("activation-kind", activations.activation_kind),
    ("resize-mode", resizing.resize_mode),
    ("pooling-count", resizing.padding_count),
    ("padding-alignment", resizing.pooling_padding),
    ("attention-scale", attention.attention_scale),
    ("attention-axis", attention.attention_axis),
    ("flatten-order", convolutions.flatten_order),
    ("kernel-layout", convolutions.kernel_axes),
    ("channel-order", convolutions.channel_order),
]
