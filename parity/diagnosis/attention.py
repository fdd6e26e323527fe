"""Hypotheses about self-attention. Plain NumPy."""

from __future__ import annotations

from itertools import product

from parity.diagnosis.evidence import FIT, Evidence, Explanation
from parity.numerics.attention_forms import CORRECT, VARIANTS, solve_factor, usual_factors


def attention_scale(evidence: Evidence) -> Explanation:
    """Logits multiplied by another factor."""
    form = evidence.attention if evidence.match.reference.own_weights and evidence.agrees_on_shape else None
    factor = None if form is None or evidence.got is None else solve_factor(form, evidence.got)
    if form is None or factor is None or not evidence.agrees(evidence.predict(factor=factor)):
        return None
    names = [name for name, value in usual_factors(form).items() if abs(factor / value - 1) < FIT]
    shown = f"{factor:.6g}" + (f" = {names[0]}" if names and names[0] != "1" else "")
    return f"the port multiplies the logits by {shown}, the reference by {form.factor:.6g}", (
        "take the softmax of q^T k without a scale" if form.factor == 1 else f"multiply the logits by {form.factor:.6g}"
    )


def attention_axis(evidence: Evidence) -> Explanation:
    """Softmax along another axis, or transposed attention weights."""
    form = evidence.attention if evidence.match.reference.own_weights and evidence.agrees_on_shape else None
    for softmax, factor in product(VARIANTS, usual_factors(form).values()) if form is not None else ():
        if softmax != CORRECT and evidence.agrees(evidence.predict(softmax=softmax, factor=factor)):
            return f"the port's softmax runs {softmax}, the reference's {CORRECT}", (
                "let each query's weights over all keys sum to one: logits [B, queries, keys], softmax(dim=-1), then "
                "weights @ values"
            )
    return None
