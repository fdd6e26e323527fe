"""How a tensor of the reference maps onto the port's tensor: channels first or not, mirrored or not, which order.

The order of flattened features is found by probing, not assumed: every matched layer's output is replaced by distinct
values on both sides, and what arrives at the next layer tells how the port flattens and reshapes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from parity.matching import Match, Matching
from parity.tracing.steps import CHANNELS_FIRST, ELEMENTWISE, Step, Trace
from parity.weights import Crossing

Array = np.ndarray
Run = Callable[[dict[str, Array]], Trace]


@dataclass(frozen=True)
class Layout:
    """A tensor's way across. ``order`` (with ``port_shape``, batch excluded) overrules the axes: the port's flat
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
        return np.ascontiguousarray(array)

    def to_reference(self, array: Array) -> Array:
        """From the port's layout into the reference's."""
        if self.order is not None:
            flat = array.reshape(len(array), -1)[:, np.argsort(self.order)]
            return flat.reshape(len(array), *self.reference_shape)
        if self.channels_first and array.ndim > 2:
            array = np.moveaxis(array, 1, -1)
        if self.mirrored and array.ndim > 2:
            array = np.flip(array, tuple(range(1, array.ndim - 1)))
        return np.ascontiguousarray(array)

    def fits(self, reference_shape: tuple[int, ...], port_shape: tuple[int, ...]) -> bool:
        """Whether a reference tensor of that shape becomes a port tensor of the other."""
        if self.order is not None:
            return reference_shape[1:] == self.reference_shape and port_shape[1:] == self.port_shape
        return crossed_shape(reference_shape, self.channels_first) == tuple(port_shape)


@dataclass
class Layouts:
    """The layouts of one matched pair of models: network inputs, every step's output, flat feature orders."""

    inputs: list[Layout]
    outputs: dict[str, Layout] = field(default_factory=dict)
    into: dict[str, Array] = field(default_factory=dict)
    out_of: dict[str, Array] = field(default_factory=dict)
    mirrored: bool = False

    def crossing(self, match: Match) -> Crossing:
        """How that layer's parameters cross."""
        return Crossing(match.reference.layout, self.into.get(match.key), self.out_of.get(match.key), self.mirrored)


def crossed_shape(shape: tuple[int, ...], channels_first: bool) -> tuple[int, ...]:
    """A reference shape in the port's axes, batch first."""
    if channels_first and len(shape) > 2:
        return (shape[0], shape[-1], *shape[1:-1])
    return tuple(shape)


def find_layouts(
    matching: Matching, inputs: list[Layout], run_reference: Run, run_port: Run, mirrored: bool, seed: int
) -> Layouts:
    """Settle every matched step's output layout by kind and shape, then flat orders by probing (at most 8 rounds)."""
    layouts = Layouts(inputs, mirrored=mirrored)
    previous: Layout | None = inputs[0] if inputs else None
    for match in matching.matches:
        layouts.outputs[match.key] = previous = _by_kind(match, previous, mirrored)
    if any(_flat(match.reference) or _flat(match.port) for match in matching.matches):
        for round_ in range(8):
            if not _probe(matching, layouts, run_reference, run_port, np.random.default_rng([seed, round_])):
                break
    return layouts


def _by_kind(match: Match, previous: Layout | None, mirrored: bool) -> Layout:
    a, b = match.reference, match.port
    first = Layout(channels_first=True, mirrored=mirrored)
    plain = Layout()
    if a.kind in CHANNELS_FIRST and len(a.output_shape) > 2:
        return first
    candidates = [first, plain] if previous is not None and previous.channels_first else [plain, first]
    if a.kind in ("dense", "embedding"):
        candidates = [plain]
    for layout in candidates:
        if len(a.output_shape) == len(b.output_shape) and layout.fits(a.output_shape, b.output_shape):
            return layout
    count = int(np.prod(a.output_shape[1:]))
    if count == int(np.prod(b.output_shape[1:])) and a.output_shape:
        return _ordered(np.arange(count), a.output_shape, b.output_shape)
    return first if len(a.output_shape) > 2 else plain


def _ordered(order: Array, reference_shape: tuple[int, ...], port_shape: tuple[int, ...]) -> Layout:
    return Layout(order=order, reference_shape=tuple(reference_shape[1:]), port_shape=tuple(port_shape[1:]))


def _flat(step: Step) -> bool:
    return len(step.output_shape) == 2 or len(step.input_shape) == 2


def _probe(matching: Matching, layouts: Layouts, run_reference: Run, run_port: Run, rng: np.random.Generator) -> bool:
    probes = {
        match.key: _distinct(match.reference.output_shape, rng)
        for match in matching.matches
        if match.reference.visible and match.reference.output_shape
    }
    by_port = {match.port.name: layouts.outputs[match.key].to_port(probes[match.key])
               for match in matching.matches if match.key in probes and _replaceable(match, layouts)}  # fmt: skip
    reference, port = run_reference(probes), run_port(by_port)
    changed = False
    for match in matching.matches:
        given, taken = reference.inputs.get(match.key), port.inputs.get(match.port.name)
        if given is None or taken is None or given.dtype.kind != "f" or given.size != taken.size:
            continue
        changed |= _learn(match, given, taken, matching, layouts, probes)
    return changed


def _replaceable(match: Match, layouts: Layouts) -> bool:
    return layouts.outputs[match.key].fits(match.reference.output_shape, match.port.output_shape)


def _distinct(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    count = int(np.prod(shape))
    return (0.5 + (rng.permutation(count) + 1.0) / count).reshape(shape)


def _learn(
    match: Match, given: Array, taken: Array, matching: Matching, layouts: Layouts, probes: dict[str, Array]
) -> bool:
    step, port = match.reference, match.port
    flat_in = given.ndim == 2 and taken.ndim == 2
    expected = Layout(step.kind in CHANNELS_FIRST, layouts.mirrored)
    if step.kind in ELEMENTWISE:
        expected = layouts.outputs[match.key]
    if step.kind == "dense" or (step.kind in ELEMENTWISE and flat_in):
        order = _order(given, taken)
        if order is None and step.kind == "dense":
            order = _usual_order(given, matching, match)
        if order is None or taken.ndim != 2:
            return False
        if step.kind == "dense":
            return _set(layouts.into, match.key, order)
        changed = _set(layouts.out_of, match.key, order)
        if changed:
            layouts.outputs[match.key] = _ordered(order, step.output_shape, port.output_shape)
        return changed
    if given.ndim <= 2 or not expected.fits(given.shape, taken.shape):
        return False
    order = _order(given, expected.to_reference(taken))
    producer = _producer(given, matching, probes, before=match)
    if order is None or producer is None or (order == np.arange(len(order))).all():
        return False
    moved = _order(probes[producer.key], given)
    moved = np.arange(len(order)) if moved is None else moved
    return _reorder_back(producer, moved[np.argsort(order)[np.argsort(moved)]], matching, layouts)


def _order(given: Array, taken: Array) -> Array | None:
    """``order`` with ``taken[:, i] == given[:, order[i]]`` (flat), or None if they hold different values."""
    given, taken = given.reshape(len(given), -1), taken.reshape(len(taken), -1)
    by_given, by_taken = np.argsort(given[0], kind="stable"), np.argsort(taken[0], kind="stable")
    order = np.empty_like(by_given)
    order[by_taken] = by_given
    return order if np.allclose(given[:, order], taken, rtol=1e-9, atol=0) else None


def _usual_order(given: Array, matching: Matching, before: Match) -> Array | None:
    """(c, h, w), where the values cannot tell because a layer in between is wrong."""
    earlier = matching.matches[: matching.matches.index(before)]
    shapes = [m.reference.output_shape[1:] for m in earlier if len(m.reference.output_shape) > 2]
    fitting = [shape for shape in shapes if int(np.prod(shape)) == given.shape[1]]
    if not fitting:
        return None
    index = np.arange(given.shape[1]).reshape(fitting[-1])
    return np.moveaxis(index, -1, 0).reshape(-1)


def _set(table: dict[str, Array], key: str, order: Array) -> bool:
    identity = bool((order == np.arange(len(order))).all())
    known = table.get(key)
    if known is None and identity or known is not None and (known == order).all():
        return False
    table[key] = order
    return True


def _producer(given: Array, matching: Matching, probes: dict[str, Array], before: Match) -> Match | None:
    """The flat layer whose probe these values are (up to elementwise functions that keep distinct values)."""
    earlier = matching.matches[: matching.matches.index(before)]
    values = np.sort(given.reshape(len(given), -1), axis=1)
    flat = [m for m in earlier if m.key in probes and _reorderable(m)]
    fitting = [m for m in flat if probes[m.key].size == given.size]
    exact = [m for m in fitting if np.array_equal(np.sort(probes[m.key].reshape(len(given), -1), axis=1), values)]
    return (exact or fitting or [None])[-1]


def _reorder_back(producer: Match, order: Array, matching: Matching, layouts: Layouts) -> bool:
    """The producer must hand its features over in that order; so must the elementwise layers before it, up to the
    dense layer whose rows can be reordered."""
    place = matching.matches.index(producer)
    changed = False
    for match in reversed(matching.matches[: place + 1]):
        if not _reorderable(match):
            break
        current = layouts.out_of.get(match.key)
        composed = order if current is None else order[current]
        changed |= _set(layouts.out_of, match.key, composed)
        layouts.outputs[match.key] = _ordered(composed, match.reference.output_shape, match.port.output_shape)
        if match.reference.kind == "dense":
            break
    return changed


def _reorderable(match: Match) -> bool:
    return match.reference.kind in (*ELEMENTWISE, "dense") and (_flat(match.reference) or _flat(match.port))


def describe_order(order: Array, shape: tuple[int, ...]) -> str:
    """Name an order of flattened ``(h, w, c)`` features, such as ``(c, h, w)``, if it is one of the usual ones."""
    from itertools import permutations

    axes = "hwc" if len(shape) == 3 else "dhwc"[-len(shape) :]
    index = np.arange(int(np.prod(shape))).reshape(shape)
    for way in permutations(range(len(shape))):
        if (index.transpose(way).reshape(-1) == order).all():
            return f"({', '.join(axes[i] for i in way)})"
    return "its own order"
