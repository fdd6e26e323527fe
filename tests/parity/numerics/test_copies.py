"""Arrays whose axes were moved are copied as NumPy copies them, in blocks or not."""

from __future__ import annotations

import numpy as np
import pytest

from parity.numerics import copies


@pytest.mark.parametrize("large", [0, copies.LARGE])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((), ()),
        ((5,), (0,)),
        ((40, 70), (1, 0)),
        ((3, 5, 33, 64), (3, 2, 0, 1)),
        ((65, 31, 2, 3), (2, 3, 1, 0)),
        ((0, 4), (1, 0)),
    ],
)
def test_a_copy_holds_the_same_values_in_order(shape, axes, large, monkeypatch):
    monkeypatch.setattr(copies, "LARGE", large)
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).transpose(axes)
    copy = copies.contiguous(array)
    assert copy.flags.c_contiguous and copy.dtype == array.dtype and copy.shape == array.shape
    assert np.array_equal(copy, array)


def test_an_array_in_order_is_not_copied():
    array = np.zeros((3, 4))
    assert copies.contiguous(array) is array


@pytest.mark.parametrize("large", [0, copies.LARGE])
def test_one_different_value_of_a_moved_array_is_found(large, monkeypatch):
    monkeypatch.setattr(copies, "LARGE", large)
    array = np.arange(3.0 * 5 * 33 * 64).reshape(3, 5, 33, 64)
    moved = array.transpose(3, 2, 0, 1).copy().transpose(2, 3, 1, 0)
    assert copies.equal(moved, array)
    moved[2, 4, 32, 63] += 1
    assert not copies.equal(moved, array)


def test_arrays_of_other_shape_or_with_nan_are_not_equal():
    assert not copies.equal(np.zeros((2, 3)), np.zeros((3, 2)))
    assert not copies.equal(np.full(2, np.nan), np.full(2, np.nan))
