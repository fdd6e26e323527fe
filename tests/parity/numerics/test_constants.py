"""Constants that differ by their rounding to float32, and such that do not."""

from __future__ import annotations

import numpy as np
import pytest

from parity.numerics.constants import KnownConstants, held_in_float32

TENTH = float(np.float32(0.1))


@pytest.mark.parametrize(
    ("reference", "port", "expected"),
    [
        (TENTH, 0.1, TENTH),
        (0.1, TENTH, 0.1),
        (TENTH, 10.0, 1 / TENTH),
        (TENTH, 0.1000001, 0.1000001),
        (0.1, 0.1 * (1 + 1e-8), 0.1 * (1 + 1e-8)),
        (1.0, 1 + 1e-8, 1 + 1e-8),
    ],
)
def test_a_number_is_exchanged_if_float32_lies_between(reference: float, port: float, expected: float) -> None:
    known = KnownConstants([np.float64(reference)])
    assert known.number(port) == expected
    assert bool(known.exchanged) == (expected != port)


def test_an_array_is_exchanged_in_any_order_of_its_axes() -> None:
    exact = np.random.default_rng(0).uniform(0.1, 1, (5, 7, 3))
    known = KnownConstants([exact.astype(np.float32)])
    assert np.array_equal(known.array(exact.transpose(2, 0, 1)), exact.astype(np.float32).transpose(2, 0, 1))
    known = KnownConstants([exact])
    assert np.array_equal(known.array(exact * (1 + 1e-8)), exact * (1 + 1e-8)), "neither is held in float32"


def test_simple_fractions_count_as_exact() -> None:
    assert held_in_float32(np.float64(TENTH))
    assert not held_in_float32(np.float64(0.1)) and not held_in_float32(np.array([1.0, 0.5, 255.0]))
