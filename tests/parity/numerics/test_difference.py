"""Comparing arrays, and the limits that follow from rounding made on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from parity.numerics.difference import difference, scale
from parity.numerics.tolerance import (
    FLOAT64_ROUNDOFF,
    PRECISION_RATIO,
    SLACK,
    float64_limit,
    own_rounding,
    typical_rounding,
)

ONES = np.ones((2, 3))


def test_a_difference_states_how_far_how_many_and_where() -> None:
    got = ONES * 2
    got[1, 2] = 5.0
    found = difference(got, ONES * 2, limit=1.0)
    assert (found.absolute, found.relative, found.worst) == (3.0, 1.5, (1, 2))
    assert (found.got, found.expected) == (5.0, 2.0)
    assert found.mismatched == 1 / 6 and found.finite


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("port", [True, False])
def test_nonfinite_values_are_infinitely_far(value: float, port: bool) -> None:
    wrong = ONES.copy()
    wrong[0, 1] = value
    found = difference(wrong, ONES) if port else difference(ONES, wrong)
    assert not found.finite and found.worst == (0, 1)


def test_empty_arrays_are_equal_and_other_shapes_rejected() -> None:
    assert difference(np.ones((0, 3)), np.ones((0, 3))).absolute == 0.0
    with pytest.raises(ValueError, match=r"got \(2, 3\), expected \(3, 2\)"):
        difference(ONES, ONES.T)


def test_the_scale_is_the_largest_finite_magnitude() -> None:
    assert scale(np.array([1.0, -3.0, np.inf, np.nan])) == 3.0
    assert scale(np.ones(0)) == 0.0


def test_the_float64_limit_is_the_scaled_float32_rounding() -> None:
    exact = np.array([1.0, 2.0])
    rounding = 2.0**-20
    assert own_rounding(exact, exact + rounding, typical=0.0) == rounding
    assert float64_limit(exact, exact + rounding) == SLACK * rounding * PRECISION_RATIO
    assert float64_limit(exact, exact) == SLACK * 2.0 * FLOAT64_ROUNDOFF, "an exact array still has its roundoff"
    assert float64_limit(exact, exact, typical=2.0**-19) == SLACK * 2.0 * 2.0**-19 * PRECISION_RATIO


def test_the_typical_rounding_is_the_median_of_finite_arrays() -> None:
    arrays = [(ONES, ONES + 2.0**-k) for k in (10, 12, 14)]
    zero, overflow = (ONES * 0, ONES), (ONES, ONES * np.inf)
    assert typical_rounding([*arrays, zero, overflow]) == 2.0**-12
    assert typical_rounding([]) == 0.0
