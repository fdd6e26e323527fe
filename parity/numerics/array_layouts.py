"""Layouts: how an array of the reference becomes an array of the port. Plain NumPy.

Channels moved first, the spatial axes mirrored, or flat features in another order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Layout:
    """How one tensor is mapped. ``order`` (with ``port_shape``, batch excluded) overrides the axes: the port's flat
    feature ``i`` is the reference's flat feature ``order[i]``."""

    channels_first: bool = False
    mirrored: bool = False
    order: Array | None = None
    reference_shape: tuple[int, ...] = ()
    port_shape: tuple[int, ...] = ()

    def to_port(self, array: Array) -> Array:
        """From the reference's layout into the port's."""
        if self.order is not None:
            return array.reshape(len(array), -1)[:, self.order].reshape(len(array), *self.port_shape)
        if self.mirrored and array.ndim > 2:
            array = np.flip(array, tuple(range(1, array.ndim - 1)))
        if self.channels_first and array.ndim > 2:
            array = np.moveaxis(array, -1, 1)
        return np.asarray(array, order="C")

    def to_reference(self, array: Array) -> Array:
        """From the port's layout into the reference's."""
        if self.order is not None:
            flat = array.reshape(len(array), -1)[:, np.argsort(self.order)]
            return flat.reshape(len(array), *self.reference_shape)
        if self.channels_first and array.ndim > 2:
            array = np.moveaxis(array, 1, -1)
        if self.mirrored and array.ndim > 2:
            array = np.flip(array, tuple(range(1, array.ndim - 1)))
        return np.asarray(array, order="C")

    def fits(self, reference_shape: tuple[int, ...], port_shape: tuple[int, ...]) -> bool:
        """Whether a reference tensor of that shape becomes a port tensor of the other."""
        if self.order is not None:
            return reference_shape[1:] == self.reference_shape and port_shape[1:] == self.port_shape
        return to_port_shape(reference_shape, self.channels_first) == tuple(port_shape)


def reordered(order: Array, reference_shape: tuple[int, ...], port_shape: tuple[int, ...]) -> Layout:
    """The layout of a tensor whose features stand in that flat order; shapes with their batch."""
    return Layout(order=order, reference_shape=tuple(reference_shape[1:]), port_shape=tuple(port_shape[1:]))


def fitting_layouts(
    reference_shape: tuple[int, ...], port_shape: tuple[int, ...], mirrored: bool = False
) -> list[Layout]:
    """The layouts, channels first or not, under which one shape becomes the other."""
    both = (Layout(channels_first=True, mirrored=mirrored), Layout())
    return [layout for layout in both if layout.fits(reference_shape, port_shape)]


def to_port_shape(shape: tuple[int, ...], channels_first: bool) -> tuple[int, ...]:
    """A reference shape in the port's axes, batch first."""
    if channels_first and len(shape) > 2:
        return (shape[0], shape[-1], *shape[1:-1])
    return tuple(shape)


def in_place(order: Array, images: list[tuple[int, ...]], mirrored: bool = False) -> bool:
    """Whether an order of flat features moves them within images alone, from ``(*S, C)`` to ``(C, *S)``.

    ``images`` are the shapes ``(*S, C)`` that may stand one after another among the features; with ``mirrored`` their
    spatial axes may be flipped as well.
    """
    moved = {}
    for shape in images:
        index = np.arange(int(np.prod(shape))).reshape(shape)
        flipped = [np.flip(index, tuple(range(len(shape) - 1)))] if mirrored else []
        for one in (index, *flipped):
            for image in (np.moveaxis(one, -1, 0), *([one] if one is not index else [])):
                moved[image.reshape(-1).tobytes()] = image.reshape(-1)
    candidates = sorted(moved.values(), key=len, reverse=True)
    place = 0
    while place < len(order):
        fitting = next((c for c in candidates if np.array_equal(order[place : place + len(c)] - place, c)), None)
        if fitting is None and order[place] != place:
            return False
        place += 1 if fitting is None else max(len(fitting), 1)
    return True


def describe_order(order: Array, shape: tuple[int, ...]) -> str:
    """Name an order of flattened ``(h, w, c)`` features, such as ``(c, h, w)``, if it is one of the usual ones."""
    axes = "dhwc"[-len(shape) :]
    index = np.arange(int(np.prod(shape))).reshape(shape)
    mirrored = np.flip(index, tuple(range(len(shape) - 1)))
    for axis_order, (image, suffix) in product(
        permutations(range(len(shape))), ((index, ""), (mirrored, ", mirrored"))
    ):
        if (image.transpose(axis_order).reshape(-1) == order).all():
            return f"({', '.join(axes[i] for i in axis_order)}){suffix}"
    return "an order of its own"
