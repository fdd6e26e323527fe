"""Finding every layout by probing instead of assuming it. Plain NumPy.

The output of every matched layer is replaced on both sides by the same distinct values; what the next layer receives
shows how the port flattens, reshapes and permutes between them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.capture.steps import CHANNELS_FIRST, ELEMENTWISE, Step, Trace
from parity.match.alignment import Match, Matching
from parity.match.data_flow import all_names
from parity.numerics.array_layouts import Layout, fitting_layouts, in_place, reordered
from parity.transfer.model_layouts import Layouts

Array = np.ndarray
Shape = tuple[int, ...]
Run = Callable[[dict[str, Array]], Trace]
ROUNDS = 8
"""Largest number of probing rounds: each order found changes the probes of the next round."""
PER_FEATURE = (*ELEMENTWISE, "layernorm")
KEEPS_ORDER = (*PER_FEATURE, "merge")


def find_layouts(
    matching: Matching,
    inputs: list[Layout],
    input_shapes: list[Shape],
    results: list[tuple[Shape, Shape]],
    run_reference: Run,
    run_port: Run,
    mirrored: bool,
    seed: int,
) -> Layouts:
    """The layout of every matched step's output: by kind and shape, and by probing where shapes are ambiguous.

    ``results`` are both sides' shapes of every network output.
    """
    search = _Search(matching, Layouts(inputs, mirrored=mirrored), input_shapes)
    cubes = any(len(pair[0]) > 2 and len(fitting_layouts(*pair)) > 1 for pair in results)
    if cubes or any(_flat(match) or _ambiguous(match) for match in matching.matches):
        for number in range(ROUNDS):
            if not search.probe(run_reference, run_port, np.random.default_rng([seed, number])):
                break
    return search.layouts


class _Search:
    """Layouts under construction."""

    def __init__(self, matching: Matching, layouts: Layouts, input_shapes: list[Shape]):
        self.matching, self.layouts, self.input_shapes = matching, layouts, input_shapes
        self.by_key = {match.key: match for match in matching.matches}
        self.probes: dict[str, Array] = {}
        known = {f"input {number}": layout for number, layout in enumerate(layouts.inputs)}
        for match in matching.matches:
            sources = (name for names in matching.sources.get(match.key, ()) for name in names)
            before = next((known[name] for name in sources if name in known), Layout())
            layouts.outputs[match.key] = known[match.key] = _layout_by_kind(match, before, layouts.mirrored)

    def probe(self, run_reference: Run, run_port: Run, rng: np.random.Generator) -> bool:
        """One round of probing; returns whether it changed the probes of the next."""
        layouts, matches = self.layouts, self.matching.matches
        self.probes = {
            match.key: _distinct(match.reference.output_shape, rng)
            for match in matches
            if match.reference.visible and match.reference.output_shape
        }
        port_probes = {
            match.port.name: layouts.outputs[match.key].to_port(self.probes[match.key])
            for match in matches
            if match.key in self.probes
            and layouts.outputs[match.key].fits(match.reference.output_shape, match.port.output_shape)
        }
        reference, port = run_reference(self.probes), run_port(port_probes)
        self._results(reference, port)
        changed = False
        for match in matches:
            expected, got = _inputs(reference, match.key), _inputs(port, match.port.name)
            if not expected or not got or expected[0].dtype.kind != "f" or expected[0].size != got[0].size:
                continue
            if match.port.kind == "dense":
                self._dense(match, expected[0], got[0])
            elif expected[0].ndim == 2 and match.reference.kind in KEEPS_ORDER:
                results = reference.outputs.get(match.key), port.outputs.get(match.port.name)
                changed |= self._flat_features(match, (expected[0], got[0]), results)
            else:
                changed |= self._axes(match, expected[0], got[0])
                for place, pair in enumerate(zip(expected, got, strict=False)):
                    changed |= self._image(match, place, *pair)
        return changed

    def _results(self, reference: Trace, port: Trace) -> None:
        """The layouts of the network's outputs whose shapes are ambiguous."""
        for number, (expected, got) in enumerate(zip(reference.result, port.result, strict=False)):
            for layout in fitting_layouts(expected.shape, got.shape, self.layouts.mirrored):
                if expected.ndim > 2 and np.array_equal(layout.to_port(expected), got):
                    self.layouts.results[number] = layout
                    break

    def _dense(self, match: Match, expected: Array, got: Array) -> None:
        """The order in which a dense layer of the port receives its features."""
        if expected.ndim != 2 or got.ndim != 2:
            return
        order = _order(expected, got)
        if order is None:
            order = self._usual_order(expected, match)
        if order is not None and self._demanded(order):
            _set(self.layouts.into, match.key, order)

    def _flat_features(
        self, match: Match, inputs: tuple[Array, Array], results: tuple[Array | None, Array | None]
    ) -> bool:
        """The order that a flat layer keeps, from its input, or from its output if it merges several."""
        expected, got = results if match.reference.kind == "merge" else inputs
        if expected is None or got is None or expected.size != got.size:
            return False
        order = _order(expected, got)
        if order is None or not self._demanded(order) or not _set(self.layouts.out_of, match.key, order):
            return False
        self.layouts.outputs[match.key] = reordered(order, match.reference.output_shape, match.port.output_shape)
        return True

    def _axes(self, match: Match, expected: Array, got: Array) -> bool:
        """Whether a layer that works in either layout has its channels first, where shapes are ambiguous."""
        known = self.layouts.outputs[match.key]
        if not _ambiguous(match) or known.order is not None:
            return False
        for layout in (known, Layout(True, self.layouts.mirrored), Layout()):
            if layout.fits(expected.shape, got.shape) and np.array_equal(layout.to_port(expected), got):
                self.layouts.outputs[match.key] = layout
                return layout is not known
        return False

    def _image(self, match: Match, place: int, expected: Array, got: Array) -> bool:
        """An image reshaped from flat features: the layers that compute them must output them in the port's order."""
        layout = self.layouts.outputs[match.key]
        if match.port.kind in CHANNELS_FIRST:
            layout = Layout(True, self.layouts.mirrored)
        if expected.ndim <= 2 or layout.order is not None or not layout.fits(expected.shape, got.shape):
            return False
        order = _order(expected, layout.to_reference(got))
        if order is None or (order == np.arange(len(order))).all() or not self._demanded(order):
            return False
        sources = self.matching.sources.get(match.key, ())
        changed = False
        for key in sources[place] if place < len(sources) else ():
            if key in self.probes and self.probes[key].size == expected.size:
                moved = _order(self.probes[key], expected)
                moved = np.arange(len(order)) if moved is None else moved
                changed |= self._reorder_outputs(key, moved[np.argsort(order)[np.argsort(moved)]])
        return changed

    def _reorder_outputs(self, key: str, order: Array) -> bool:
        """Let a layer output its features in this order.

        So must the layers before it, up to the first whose weights can be reordered.
        """
        match = self.by_key.get(key)
        if match is None or not _reorderable(match, len(order)):
            return False
        current = self.layouts.out_of.get(key)
        composed = order if current is None else order[current]
        changed = _set(self.layouts.out_of, key, composed)
        self.layouts.outputs[key] = reordered(composed, match.reference.output_shape, match.port.output_shape)
        if match.reference.kind not in ("dense", "embedding"):
            for source in all_names(self.matching.sources.get(key, ())):
                changed |= self._reorder_outputs(source, order)
        return changed

    def _demanded(self, order: Array) -> bool:
        """Whether the layouts demand an order of flat features: images flattened channels first, each in its place.

        Any other order (two branches joined the other way round) is the port's own doing and is not followed.
        """
        steps = [match.reference for match in self.matching.matches]
        shapes = [*self.input_shapes, *(shape for step in steps for shape in (step.input_shape, step.output_shape))]
        images = list({shape[1:] for shape in shapes if len(shape) > 2})
        return any(in_place(one, images, self.layouts.mirrored) for one in (order, np.argsort(order)))

    def _usual_order(self, expected: Array, before: Match) -> Array | None:
        """(c, h, w), where values do not show the order because a layer in between is wrong."""
        earlier = self.matching.matches[: self.matching.matches.index(before)]
        shapes = [m.reference.output_shape[1:] for m in earlier if len(m.reference.output_shape) > 2]
        fitting = [shape for shape in shapes if int(np.prod(shape)) == expected.shape[1]]
        if not fitting:
            return None
        index = np.arange(expected.shape[1]).reshape(fitting[-1])
        return np.moveaxis(index, -1, 0).reshape(-1)


def _layout_by_kind(match: Match, previous: Layout, mirrored: bool) -> Layout:
    a, b = match.reference, match.port
    first = Layout(channels_first=True, mirrored=mirrored)
    plain = Layout()
    if b.kind in CHANNELS_FIRST and len(a.output_shape) > 2:
        return first
    candidates = [first, plain] if previous.channels_first else [plain, first]
    if b.kind in ("dense", "embedding"):
        candidates = [plain]
    for layout in candidates:
        if len(a.output_shape) == len(b.output_shape) and layout.fits(a.output_shape, b.output_shape):
            return layout
    count = int(np.prod(a.output_shape[1:]))
    if count == int(np.prod(b.output_shape[1:])) and a.output_shape:
        return reordered(np.arange(count), a.output_shape, b.output_shape)
    return first if len(a.output_shape) > 2 else plain


def _flat(match: Match) -> bool:
    return any(len(shape) == 2 for step in (match.reference, match.port) for shape in _shapes(step))


def _shapes(step: Step) -> tuple[tuple[int, ...], ...]:
    return step.input_shape, step.output_shape


def _ambiguous(match: Match) -> bool:
    """Whether both layouts fit the shapes of a layer that works in either."""
    a, b = match.reference, match.port
    if b.kind in (*CHANNELS_FIRST, "dense", "embedding") or len(a.output_shape) < 3:
        return False
    return all(Layout(first).fits(a.output_shape, b.output_shape) for first in (True, False))


def _reorderable(match: Match, count: int) -> bool:
    """Whether a layer outputs ``count`` features, each with its own weights or none."""
    step = match.reference
    if not _flat(match) or (step.output_shape[-1] if step.parametrised else np.prod(step.output_shape[1:])) != count:
        return False
    return step.kind in (*PER_FEATURE, "dense", "embedding") or step.kind == "merge" and step.commutative


def _inputs(trace: Trace, name: str) -> list[Array]:
    """All recorded inputs of a step."""
    first = trace.inputs.get(name)
    return [] if first is None else [first, *trace.others.get(name, [])]


def _distinct(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Values of which no two are equal."""
    count = int(np.prod(shape))
    return (0.5 + (rng.permutation(count) + 1.0) / count).reshape(shape)


def _order(expected: Array, got: Array) -> Array | None:
    """``order`` with ``got[:, i] == expected[:, order[i]]`` (flat), or None if they hold different values."""
    expected, got = expected.reshape(len(expected), -1), got.reshape(len(got), -1)
    if np.array_equal(expected, got):
        return np.arange(expected.shape[1])
    ascending_expected, ascending_got = np.argsort(expected[0], kind="stable"), np.argsort(got[0], kind="stable")
    order = np.empty_like(ascending_expected)
    order[ascending_got] = ascending_expected
    return order if np.allclose(expected[:, order], got, rtol=1e-9, atol=0) else None


def _set(table: dict[str, Array], key: str, order: Array) -> bool:
    """Enter an order; returns whether the table changed (the identity need not be entered)."""
    identity = bool((order == np.arange(len(order))).all())
    known = table.get(key)
    if known is None and identity or known is not None and (known == order).all():
        return False
    table[key] = order
    return True
