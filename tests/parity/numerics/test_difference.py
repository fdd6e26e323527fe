"""Comparing arrays, and the limits that follow from rounding made on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from parity.numerics.difference import difference, integers, scale
from parity.numerics.tolerance import (
    FLOAT64_ROUNDOFF,
    PRECISION_RATIO,
    SLACK,
    float64_limit,
    own_rounding,
    shown_rounding,
    times_rounding,
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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_same_nonfinite_value_on_both_sides_is_equal(value: float) -> None:
    both = ONES.copy()
    both[0, 1] = value
    found = difference(both + 1e-3, both)
    assert found.finite and found.alike == 1 and found.absolute == pytest.approx(1e-3)
    assert not difference(-both, both).finite or np.isnan(value)


def test_complex_values_are_compared_in_both_parts() -> None:
    assert difference(ONES + 1j, ONES - 1j).absolute == 2.0
    assert scale(ONES * 3j) == 3.0


def test_integers_are_told_by_their_values() -> None:
    assert integers(ONES, np.array([True]), np.array([-2]))
    assert not integers(ONES + 0.5) and not integers(ONES * np.nan)


def test_a_multiple_of_rounding_never_divides_by_zero() -> None:
    assert times_rounding(0.0, own=0.0, port=0.0, scale=0.0) == 0.0
    assert times_rounding(1e-3, own=0.0, port=0.0, scale=0.0) > 1e30
    assert times_rounding(0.0, own=1.0, port=np.inf, scale=1.0) == np.inf
    assert times_rounding(2.0, own=1.0, port=0.5, scale=1.0) == 2.0


def test_what_float32_cannot_hold_is_no_rounding() -> None:
    exact = np.array([1.0, 1e60, 1e-60])
    with np.errstate(over="ignore"):
        assert shown_rounding(exact, exact.astype(np.float32)) == 0.0
