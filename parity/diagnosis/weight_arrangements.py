"""In which other arrangements a weight may have been copied: axes, flips, rows and columns. Plain NumPy.

To add a kind of layer: its axes and their right order in :data:`AXES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

from parity.capture.steps import OWN_WEIGHTS
from parity.numerics.array_layouts import describe_order
from parity.numerics.weight_axes import WeightTransform, own_parameter_axes

Array = np.ndarray
Shape = tuple[int, ...]
SPATIAL = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


@dataclass(frozen=True)
class Axes:
    """The axes of a weight in Keras, and in which order torch stores them.

    ``names`` are those behind the spatial axes; ``order`` maps the number of axes to the right order; ``code`` is what
    follows the right transposition in a line of code.
    """

    names: tuple[str, ...]
    order: Callable[[int], Shape]
    code: str = ""


def _last_two_first(count: int) -> Shape:
    return (count - 1, count - 2, *range(count - 2))


def _channels_first(count: int) -> Shape:
    return (count - 2, count - 1, *range(count - 2))


def _last_first(count: int) -> Shape:
    return (count - 1, *range(count - 1))


def _same(count: int) -> Shape:
    return tuple(range(count))


AXES: dict[tuple[str, str], Axes] = {
    ("conv", "kernel"): Axes(("input channels", "output channels"), _last_two_first),
    ("conv-transpose", "kernel"): Axes(("output channels", "input channels"), _last_two_first),
    ("depthwise", "kernel"): Axes(("channels", "multipliers"), _channels_first, ".reshape(-1, 1, *kernel.shape[:-2])"),
    ("dense", "kernel"): Axes(("inputs", "outputs"), lambda count: (1, 0)),
    ("embedding", "embeddings"): Axes(("tokens", "features"), _same),
    ("prelu", "alpha"): Axes(("channels",), _last_first),
    ("layernorm", "gamma"): Axes(("channels",), _last_first),
    ("layernorm", "beta"): Axes(("channels",), _last_first),
}
ROWS = ("kernel",)
"""Slots of a dense layer with a row for each input feature."""


@dataclass(frozen=True)
class Arrangement:
    """A weight as Keras holds it, ``rows`` and ``columns`` (its first and last axis) reordered, then flipped along
    ``flips``, then its axes in ``order``, written one value after another."""

    order: Shape
    flips: Shape = ()
    rows: Array | None = None
    columns: Array | None = None

    def shape(self, shape: Shape) -> Shape:
        """The shape before it is written into the port's."""
        return tuple(shape[axis] for axis in self.order)

    def take(self, value: Array, places: Array) -> Array:
        """The values at flat places of the arranged weight, found without arranging it."""
        found: list[Array] = [np.empty(0, int)] * value.ndim
        for axis, coordinates in zip(self.order, np.unravel_index(places, self.shape(value.shape)), strict=True):
            found[axis] = value.shape[axis] - 1 - coordinates if axis in self.flips else coordinates
        found[0] = found[0] if self.rows is None else self.rows[found[0]]
        found[-1] = found[-1] if self.columns is None else self.columns[found[-1]]
        return value[tuple(found)]

    def __call__(self, value: Array) -> Array:
        """The whole weight arranged."""
        value = value if self.rows is None else value[self.rows]
        value = value if self.columns is None else value[..., self.columns]
        return np.flip(value, self.flips).transpose(self.order)


@dataclass(frozen=True)
class Weight:
    """What arrangements depend on: the weight's kind and shape in Keras, and how a right copy is made.

    ``images`` are shapes ``(*spatial, channels)`` that the network computes: flat features may come from one of them.
    """

    slot: str
    shape: Shape
    transform: WeightTransform
    images: Sequence[Shape] = ()

    @property
    def axes(self) -> Axes:
        """Names and order of the axes."""
        if self.transform.layout == OWN_WEIGHTS:
            moved = own_parameter_axes(self.shape, self.transform.shapes[self.slot]) == "moved"
            return Axes((), _last_first if moved else _same)
        return AXES.get((self.transform.layout, self.slot), Axes((), _same))

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each axis."""
        own = self.axes.names
        spatial = len(self.shape) - len(own)
        return (*SPATIAL.get(spatial, tuple(f"axis {n}" for n in range(spatial))), *own)

    @property
    def spatial(self) -> Shape:
        """The spatial axes of a kernel."""
        kernel = self.slot == "kernel" and self.transform.layout != "dense"
        return tuple(range(len(self.shape) - 2)) if kernel else ()

    @property
    def right(self) -> Arrangement:
        """How it should be copied."""
        rows = self.transform.inputs if self.transform.layout == "dense" and self.slot in ROWS else None
        flips = self.spatial if self.transform.mirrored else ()
        return Arrangement(self.axes.order(len(self.shape)), flips, rows, self.transform.outputs)


def wrong_arrangements(weight: Weight) -> Iterator[Arrangement]:
    """Every other arrangement, the likely ones first, each that is the same for this shape once."""
    right, count = weight.right, len(weight.shape)
    long = [axis for axis in range(count) if weight.shape[axis] > 1]
    seen = {_essence(right, long)}

    def unlikely(order: Shape) -> tuple[int, int, bool]:
        moved = [axis for axis, due in zip(order, right.order, strict=True) if axis != due]
        return len(moved), len({*moved} - {*long}), order != tuple(reversed(range(count)))

    orders = sorted(permutations(range(count)), key=unlikely)
    flips = [chosen for n in range(count + 1) for chosen in combinations(range(count), n)]
    for rows in _orders(weight, right.rows, weight.shape[0]):
        for columns in _orders(weight, right.columns, weight.shape[-1]):
            for flipped in sorted(flips, key=lambda chosen: len({*chosen} ^ {*right.flips})):
                beside = len({*flipped} ^ {*right.flips})
                spatial = {*flipped} ^ {*right.flips} <= {*weight.spatial}
                if not spatial and beside > 1 or (rows is not right.rows or columns is not right.columns) and beside:
                    continue
                for order in orders:
                    candidate = Arrangement(order, flipped, rows, columns)
                    essence = _essence(candidate, long)
                    if essence not in seen:
                        seen.add(essence)
                        yield candidate


def describe(weight: Weight, found: Arrangement, port_shape: Shape) -> tuple[str, str]:
    """What is wrong with an arrangement, and how to copy instead."""
    right, parts = weight.right, []
    if found.rows is not right.rows:
        parts.append(_features("rows", (found.rows, right.rows), weight, weight.shape[0]))
    if found.columns is not right.columns:
        what = "columns" if len(weight.shape) > 1 else "values"
        parts.append(_features(what, (found.columns, right.columns), weight, weight.shape[-1]))
    if found.order != right.order:
        parts.append(_order(weight, found, port_shape))
    flipped = sorted({*found.flips} ^ {*right.flips})
    if flipped:
        along = " and ".join(weight.names[axis] for axis in flipped)
        kind = "flipped" if {*flipped} <= {*weight.spatial} else "reversed"
        parts.append(f"{kind} along {along}")
    return "; ".join(parts), _fix(weight)


def _order(weight: Weight, found: Arrangement, port_shape: Shape) -> str:
    right, count = weight.right.order, len(weight.shape)
    differing = [place for place in range(count) if found.order[place] != right[place]]
    words = []
    if found.order == tuple(reversed(range(count))):
        words.append("axes reversed (.T)")
    elif found.order == tuple(range(count)):
        words.append("axes not transposed")
    if len(differing) == 2:
        words.append(" and ".join(weight.names[axis] for axis in sorted(right[place] for place in differing)))
        words[-1] += " exchanged"
    elif not words:
        words.append("axes exchanged")
    text = f"{', '.join(words)}: transpose{found.order} where {right} is right"
    depthwise = weight.transform.layout == "depthwise"
    if not depthwise and _long(found.shape(weight.shape)) != _long(port_shape):
        text += ", reshaped until it fits"
    return text


def _fix(weight: Weight) -> str:
    """The line of code that copies the weight rightly."""
    right, shape, code = weight.right, weight.shape, weight.slot
    if right.rows is not None:
        code += _reordering(weight, right.rows, 0)
    if right.columns is not None:
        code += _reordering(weight, right.columns, len(shape) - 1)
    if right.flips:
        code += f"[{', '.join('::-1' for _ in right.flips)}]"
    if right.order != tuple(range(len(shape))):
        code += f".transpose{right.order}" if len(shape) > 2 else ".T"
    return f"copy it as {code}{weight.axes.code}"


def _reordering(weight: Weight, features: Array, axis: int) -> str:
    """The part of the line that reorders the features along an axis."""
    image = _image_of(features, weight.images)
    shape = weight.shape
    if image is None:
        return f"[{':, ' * axis}order]"
    sizes, order = image
    split = ", ".join(map(str, (*shape[:axis], *sizes, *shape[axis + 1 :])))
    before, behind = range(axis), range(axis + len(sizes), len(shape) - 1 + len(sizes))
    moved = ", ".join(map(str, (*before, *(axis + n for n in order), *behind)))
    return f".reshape({split}).transpose({moved}).reshape({', '.join(map(str, shape))})"


def _features(what: str, orders: tuple[Array | None, Array | None], weight: Weight, count: int) -> str:
    """Rows or columns in another order (found, right) than the port's."""
    image = next((shape for shape in weight.images if int(np.prod(shape)) == count), (count,))
    found, due = (describe_order(np.arange(count) if one is None else one, image) for one in orders)
    by, does = ("Flatten", "flattens") if what == "rows" else ("Reshape", "reshapes from")
    if orders[0] is None:
        return f"{what} not reordered for the {by}: they stand in {found}, the port {does} {due}"
    if orders[1] is None:
        return f"{what} reordered to {found}, though the port {does} {due}, the reference's own order"
    if np.array_equal(np.argsort(orders[0]), orders[1]):
        return f"{what} reordered the wrong way round, as if from {due}: the port {does} {due}"
    return f"{what} stand in {found}, the port {does} {due}"


def _orders(weight: Weight, right: Array | None, count: int) -> Iterator[Array | None]:
    """Orders of flat features that come from an image, the right one first; None: as the reference has them."""
    yield right
    flat = weight.slot in ROWS and weight.transform.layout == "dense" or right is not None
    if not flat:
        return
    if right is not None:
        yield None
    for shape in (shape for shape in weight.images if int(np.prod(shape)) == count):
        index = np.arange(count).reshape(shape)
        for axes in permutations(range(len(shape))):
            order = index.transpose(axes).reshape(-1)
            for one in (order, np.argsort(order)):
                if not (one == np.arange(count)).all() and (right is None or not (one == right).all()):
                    yield one


def _image_of(features: Array, images: Sequence[Shape]) -> tuple[Shape, Shape] | None:
    """The image and the order of its axes that flat features come from; None if they come from none."""
    for shape in images:
        if int(np.prod(shape)) == len(features):
            index = np.arange(len(features)).reshape(shape)
            for axes in permutations(range(len(shape))):
                if (index.transpose(axes).reshape(-1) == features).all():
                    return tuple(shape), axes
    return None


def _essence(arrangement: Arrangement, long: list[int]) -> tuple[object, ...]:
    """What distinguishes an arrangement, axes of length one aside."""
    order = tuple(axis for axis in arrangement.order if axis in long)
    flips = tuple(axis for axis in arrangement.flips if axis in long)
    rows, columns = (None if one is None else one.tobytes() for one in (arrangement.rows, arrangement.columns))
    return order, flips, rows, columns


def _long(shape: Shape) -> list[int]:
    return [n for n in shape if n > 1]
