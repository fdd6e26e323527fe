"""Why a layer fails: small hypotheses in a table, each tested on the measured values. Plain NumPy.

A hypothesis looks at one layer fed the reference's input and returns a finding if it reproduces the port's values, or
None. Hypotheses only explain; they never turn a failure green. To add one: write a function in
:mod:`parity.diagnosis`, add a row.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.diagnosis import activations, attention, convolutions, normalisation, sampling
from parity.diagnosis.evidence import Answer, Evidence
from parity.numerics.difference import difference
from parity.verdict import Finding


def explain(evidence: Evidence, rung: str) -> list[Finding]:
    """The first hypothesis that fits, as a list of one; empty if none does."""
    for kind, hypothesis in HYPOTHESES:
        answer = hypothesis(evidence)
        if answer is not None:
            message, fix = answer
            match = evidence.match
            text = f"{match.label}: {apart(evidence)}; {message}"
            return [Finding(kind, match.port.name, match.key, text, fix, rung)]
    return []


def apart(evidence: Evidence) -> str:
    """How far the port's values are from the expected ones, in words."""
    got, expected = evidence.got, evidence.expected
    if got is None or got.shape != expected.shape:
        return f"shapes differ (got {None if got is None else got.shape}, expected {expected.shape})"
    found = difference(got, expected, 1e-9 * float(np.abs(expected).max(initial=0)))
    return f"shapes agree, values differ (max |Δ| {found.absolute:.2g}, {found.mismatched:.0%})"


def layer_order(evidence: Evidence) -> Answer:
    """The port runs this layer, or its neighbour, at another place."""
    matches = evidence.matching.matches
    place = matches.index(evidence.match)
    near = [match for match in matches[max(place - 2, 0) : place + 3] if not match.in_order]
    if not near or all(match.in_order for match in (evidence.match, *near)):
        return None
    names = ", ".join(f"{match.port.name} (reference {match.key})" for match in near)
    order = " → ".join(match.key for match in matches[max(place - 2, 0) : place + 3])
    return f"the port runs {names} at another place", f"keep the reference's order: {order}"


HYPOTHESES: list[tuple[str, Callable[[Evidence], Answer]]] = [
    ("layer-order", layer_order),
    ("padding-alignment", convolutions.padding_shift),
    ("output-padding", convolutions.crop),
    ("padding-alignment", convolutions.padding_size),
    ("missing-bias", convolutions.missing_bias),
    ("spectral-norm", normalisation.spectral_norm),
    ("batchnorm-epsilon", normalisation.batchnorm_epsilon),
    ("batchnorm-variance", normalisation.batchnorm_variance),
    ("batchnorm-statistics", normalisation.batchnorm_statistics),
    ("activation-slope", activations.activation_slope),
    ("activation-kind", activations.activation_kind),
    ("resize-mode", sampling.resize_mode),
    ("pooling-count", sampling.pooling),
    ("padding-alignment", sampling.pooling_edges),
    ("attention-scale", attention.attention_scale),
    ("attention-axis", attention.attention_axis),
    ("flatten-order", convolutions.flatten_order),
    ("kernel-layout", convolutions.kernel_axes),
    ("channel-order", convolutions.channel_order),
]
