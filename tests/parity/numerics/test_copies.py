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
