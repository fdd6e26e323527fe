"""Copying and comparing arrays whose axes were moved. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

LARGE = 2**25  # bytes: about as much as a cache holds
BLOCK = 32  # indices along each of two axes: what a block reads and writes stays in cache, whatever the strides


def contiguous(array: np.ndarray) -> np.ndarray:
    """The array in C order, copied only if it is not.

    A large one is copied in blocks of its two longest axes: a kernel of 5 x 5 x 512 x 1024 takes half of NumPy's time.
    """
    if array.flags.c_contiguous or array.nbytes < LARGE or array.ndim < 2:
        return np.asarray(array, order="C")
    copy = np.empty(array.shape, array.dtype)
    copy_into(copy, array)
    return copy


def copy_into(target: np.ndarray, array: np.ndarray) -> None:
    """Copy an array into another one of its shape, in blocks if it is large."""
    for block in _blocks(array):
        target[block] = array[block]


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays have the same shape and values; large ones are compared in blocks, without a copy."""
    return a.shape == b.shape and all(np.array_equal(a[block], b[block]) for block in _blocks(a))


def _blocks(array: np.ndarray) -> Iterator[tuple[slice, ...]]:
    """Indices that cut an array into blocks along its two longest axes; one block if it is small."""
    if array.nbytes < LARGE or array.ndim < 2:
        yield (slice(None),) * array.ndim
        return
    longest = np.argsort(array.shape, kind="stable")[-2:]
    starts = [range(0, n, BLOCK) if axis in longest else (0,) for axis, n in enumerate(array.shape)]
    for start in product(*starts):
        yield tuple(slice(i, i + BLOCK) if axis in longest else slice(None) for axis, i in enumerate(start))
