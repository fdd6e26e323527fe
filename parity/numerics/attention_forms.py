"""The form of a self-attention block, found by trying forms on its recorded values. Plain NumPy.

``gain * attended + x`` as in SAGAN (Zhang et al. 2019), with or without gain, residual and a factor on the logits. The
form that reproduces the reference's values is its definition; a port is explained by another factor or softmax axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations, product

import numpy as np

from parity.numerics import reference_ops
from parity.numerics.difference import TINY, difference

Array = np.ndarray

VARIANTS = {
    "over the keys": (-1, False),
    "over the queries": (-2, False),
    "over the keys, its matrix transposed before the values are summed": (-1, True),
    "over the queries, its matrix transposed before the values are summed": (-2, True),
}
CORRECT = "over the keys"
ROWS = 64  # positions of the first sample on which forms are tried and a factor is solved for
NEWTON_STEPS = 40
MAX_INNER_LAYERS = 6  # with weights in a block, among which queries, keys and values are searched


@dataclass(frozen=True)
class Form:
    """Queries and keys ``[B, N, d]``, values ``[B, N, C]``, the ``rest`` ``[B, N, C]`` that is added, and settings."""

    query: Array
    key: Array
    value: Array
    rest: Array
    gain: float = 1.0
    factor: float = 1.0
    softmax: str = CORRECT

    @cached_property
    def result(self) -> Array:
        """The block's output, ``[B, N, C]``."""
        axis, transposed = VARIANTS[self.softmax]
        attended = reference_ops.attention(self.query, self.key, self.value, self.factor, axis, transposed)
        return self.gain * attended + self.rest

    def truncated(self) -> Form:
        """The same at the first positions of the first sample; only where the softmax is over the keys."""
        few = (slice(0, 1), slice(0, ROWS))
        return replace(self, query=self.query[few], rest=self.rest[few], key=self.key[:1], value=self.value[:1])


def find_form(
    inner_outputs: Sequence[Array], gains: Sequence[float], given: Array, expected: Array, fit: float
) -> Form | None:
    """The form that computes ``expected`` from the outputs of the layers inside the block and from its input."""
    target = _flat(expected)
    for form in _forms([_flat(x) for x in inner_outputs if x.ndim > 2], gains, _flat(given), target):
        if difference(form.truncated().result, target[:1, :ROWS]).relative > fit:
            continue
        if difference(form.result, target).relative <= fit:
            return form
    return None


def usual_factors(form: Form) -> dict[str, float]:
    """Factors on the logits that implementations use, by how one writes them."""
    d, c = form.query.shape[-1], form.value.shape[-1]
    return {"1": 1.0, f"1/sqrt({d})": d**-0.5, f"1/{d}": 1 / d, f"1/sqrt({c})": c**-0.5, f"1/{c}": 1 / c}


def solve_factor(form: Form, got: Array) -> float | None:
    """The factor that reproduces the values ``got`` ``[B, ..., C]``, by Gauss-Newton steps on the first positions."""
    one, target = form.truncated(), _flat(got)[:1, :ROWS]

    def residual(factor: float) -> Array:
        return (replace(one, factor=factor).result - target).reshape(-1)

    for factor in dict.fromkeys((form.factor, *usual_factors(form).values())):
        for _ in range(NEWTON_STEPS):
            step = 1e-6 * max(abs(factor), 1e-3)
            derivative = (residual(factor + step) - residual(factor - step)) / (2 * step)
            move = float(derivative @ residual(factor) / max(float(derivative @ derivative), TINY))
            factor -= math.copysign(min(abs(move), 2 * abs(factor) + 0.1), move)
            if abs(move) <= 1e-15 * abs(factor):
                break
        if np.abs(residual(factor)).max() <= 1e-9 * np.abs(target).max():
            return factor
    return None


def _forms(inner_outputs: list[Array], gains: Sequence[float], given: Array, target: Array) -> Iterator[Form]:
    fitting = [x for x in inner_outputs if x.shape[:2] == target.shape[:2]]
    if len(fitting) > MAX_INNER_LAYERS:
        return
    residuals = [given] if given.shape == target.shape else []
    for (query, key, value), rest, gain in product(
        permutations(fitting, 3), [*residuals, np.zeros_like(target)], [*gains, 1.0]
    ):
        if query.shape == key.shape and value.shape == target.shape:
            form = Form(query, key, value, rest, gain)
            yield from (replace(form, factor=factor) for factor in dict.fromkeys(usual_factors(form).values()))


def _flat(x: Array) -> Array:
    """``[B, ..., C]`` to ``[B, N, C]``."""
    return np.asarray(x, np.float64).reshape(len(x), -1, x.shape[-1])
