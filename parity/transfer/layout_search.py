"""Finding every layout by probing, not by assumption. Plain NumPy.

Every matched layer's output is replaced by distinct values on both sides, the same ones; what then arrives at the next
layer tells how the port flattens, reshapes and permutes on the way.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.capture.steps import CHANNELS_FIRST, ELEMENTWISE, Step, Trace
from parity.match.alignment import Match, Matching
from parity.match.data_flow import everything
from parity.numerics.layouts import Layout, fitting, ordered
from parity.transfer.layouts import Layouts

Array = np.ndarray
Shape = tuple[int, ...]
Run = Callable[[dict[str, Array]], Trace]
ROUNDS = 8
"""What is learned about one layer changes what arrives at others; orders through that many layers settle."""
PER_FEATURE = (*ELEMENTWISE, "layernorm")
ORDERLESS = (*PER_FEATURE, "merge")


def find_layouts(
    matching: Matching,
    inputs: list[Layout],
    results: list[tuple[Shape, Shape]],
    run_reference: Run,
    run_port: Run,
    mirrored: bool,
    seed: int,
) -> Layouts:
    """Settle every matched step's output layout by kind and shape, then what shapes leave open by probing.

    ``results`` are both sides' shapes of every network output.
    """
    search = _Search(matching, Layouts(inputs, mirrored=mirrored))
    cubes = any(len(pair[0]) > 2 and len(fitting(*pair)) > 1 for pair in results)
    if cubes or any(_flat(match) or _open(match) for match in matching.matches):
        for number in range(ROUNDS):
            if not search.learned(run_reference, run_port, np.random.default_rng([seed, number])):
                break
    return search.layouts


class _Search:
    """Layouts under construction."""

    def __init__(self, matching: Matching, layouts: Layouts):
        self.matching, self.layouts = matching, layouts
        self.by_key = {match.key: match for match in matching.matches}
        self.probes: dict[str, Array] = {}
        known = {f"input {number}": layout for number, layout in enumerate(layouts.inputs)}
        for match in matching.matches:
            fed = (name for names in matching.sources.get(match.key, ()) for name in names)
            before = next((known[name] for name in fed if name in known), Layout())
            layouts.outputs[match.key] = known[match.key] = _by_kind(match, before, layouts.mirrored)

    def learned(self, run_reference: Run, run_port: Run, rng: np.random.Generator) -> bool:
        """One round of probing; whether it changed what the next one would hand over."""
        layouts, matches = self.layouts, self.matching.matches
        self.probes = {
            match.key: _distinct(match.reference.output_shape, rng)
            for match in matches
            if match.reference.visible and match.reference.output_shape
        }
        forced = {
            match.port.name: layouts.outputs[match.key].to_port(self.probes[match.key])
            for match in matches
            if match.key in self.probes
            and layouts.outputs[match.key].fits(match.reference.output_shape, match.port.output_shape)
        }
        reference, port = run_reference(self.probes), run_port(forced)
        self._results(reference, port)
        changed = False
        for match in matches:
            given, taken = _arrays(reference, match.key), _arrays(port, match.port.name)
            if not given or not taken or given[0].dtype.kind != "f" or given[0].size != taken[0].size:
                continue
            if match.port.kind == "dense":
                self._dense(match, given[0], taken[0])
            elif given[0].ndim == 2 and match.reference.kind in ORDERLESS:
                results = reference.outputs.get(match.key), port.outputs.get(match.port.name)
                changed |= self._flat_features(match, (given[0], taken[0]), results)
            else:
                changed |= self._axes(match, given[0], taken[0])
                for place, pair in enumerate(zip(given, taken, strict=False)):
                    changed |= self._image(match, place, *pair)
        return changed

    def _results(self, reference: Trace, port: Trace) -> None:
        """In which layout the network's outputs come out, where sizes do not tell."""
        for number, (expected, got) in enumerate(zip(reference.result, port.result, strict=False)):
            for layout in fitting(expected.shape, got.shape, self.layouts.mirrored):
                if expected.ndim > 2 and np.array_equal(layout.to_port(expected), got):
                    self.layouts.results[number] = layout
                    break

    def _dense(self, match: Match, given: Array, taken: Array) -> None:
        if given.ndim != 2 or taken.ndim != 2:
            return
        order = _order(given, taken)
        if order is None:
            order = self._usual_order(given, match)
        if order is not None:
            _set(self.layouts.into, match.key, order)

    def _flat_features(
        self, match: Match, inputs: tuple[Array, Array], results: tuple[Array | None, Array | None]
    ) -> bool:
        """The order that a flat layer keeps: told by its input, where it joins several by its output."""
        given, taken = results if match.reference.kind == "merge" else inputs
        if given is None or taken is None or given.size != taken.size:
            return False
        order = _order(given, taken)
        if order is None or not _set(self.layouts.out_of, match.key, order):
            return False
        self.layouts.outputs[match.key] = ordered(order, match.reference.output_shape, match.port.output_shape)
        return True

    def _axes(self, match: Match, given: Array, taken: Array) -> bool:
        """Whether a layer of no axes of its own has its channels first, where sizes do not tell."""
        known = self.layouts.outputs[match.key]
        if not _open(match) or known.order is not None:
            return False
        for layout in (known, Layout(True, self.layouts.mirrored), Layout()):
            if layout.fits(given.shape, taken.shape) and np.array_equal(layout.to_port(given), taken):
                self.layouts.outputs[match.key] = layout
                return layout is not known
        return False

    def _image(self, match: Match, place: int, given: Array, taken: Array) -> bool:
        """An image made of flat features: the layers that made them must hand them over in the port's order."""
        expected = self.layouts.outputs[match.key]
        if match.port.kind in CHANNELS_FIRST:
            expected = Layout(True, self.layouts.mirrored)
        if given.ndim <= 2 or expected.order is not None or not expected.fits(given.shape, taken.shape):
            return False
        order = _order(given, expected.to_reference(taken))
        if order is None or (order == np.arange(len(order))).all():
            return False
        fed = self.matching.sources.get(match.key, ())
        found = False
        for key in fed[place] if place < len(fed) else ():
            if key in self.probes and self.probes[key].size == given.size:
                moved = _order(self.probes[key], given)
                moved = np.arange(len(order)) if moved is None else moved
                found |= self._hand_over(key, moved[np.argsort(order)[np.argsort(moved)]])
        return found

    def _hand_over(self, key: str, order: Array) -> bool:
        """That layer must put its features out in this order; so must those before it, up to one with rows to move."""
        match = self.by_key.get(key)
        if match is None or not _reorderable(match, len(order)):
            return False
        current = self.layouts.out_of.get(key)
        composed = order if current is None else order[current]
        changed = _set(self.layouts.out_of, key, composed)
        self.layouts.outputs[key] = ordered(composed, match.reference.output_shape, match.port.output_shape)
        if match.reference.kind not in ("dense", "embedding"):
            for source in everything(self.matching.sources.get(key, ())):
                changed |= self._hand_over(source, order)
        return changed

    def _usual_order(self, given: Array, before: Match) -> Array | None:
        """(c, h, w), where the values cannot tell because a layer in between is wrong."""
        earlier = self.matching.matches[: self.matching.matches.index(before)]
        shapes = [m.reference.output_shape[1:] for m in earlier if len(m.reference.output_shape) > 2]
        fitting = [shape for shape in shapes if int(np.prod(shape)) == given.shape[1]]
        if not fitting:
            return None
        index = np.arange(given.shape[1]).reshape(fitting[-1])
        return np.moveaxis(index, -1, 0).reshape(-1)


def _by_kind(match: Match, previous: Layout, mirrored: bool) -> Layout:
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
        return ordered(np.arange(count), a.output_shape, b.output_shape)
    return first if len(a.output_shape) > 2 else plain


def _flat(match: Match) -> bool:
    return any(len(shape) == 2 for step in (match.reference, match.port) for shape in _shapes(step))


def _shapes(step: Step) -> tuple[tuple[int, ...], ...]:
    return step.input_shape, step.output_shape


def _open(match: Match) -> bool:
    """Whether both layouts fit a layer that works in either."""
    a, b = match.reference, match.port
    if b.kind in (*CHANNELS_FIRST, "dense", "embedding") or len(a.output_shape) < 3:
        return False
    return all(Layout(first).fits(a.output_shape, b.output_shape) for first in (True, False))


def _reorderable(match: Match, count: int) -> bool:
    """Whether a layer puts out that many features, each with its own weights or none."""
    step = match.reference
    if not _flat(match) or (step.output_shape[-1] if step.parametrised else np.prod(step.output_shape[1:])) != count:
        return False
    return step.kind in (*PER_FEATURE, "dense", "embedding") or step.kind == "merge" and step.commutative


def _arrays(trace: Trace, name: str) -> list[Array]:
    first = trace.inputs.get(name)
    return [] if first is None else [first, *trace.others.get(name, [])]


def _distinct(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    count = int(np.prod(shape))
    return (0.5 + (rng.permutation(count) + 1.0) / count).reshape(shape)


def _order(given: Array, taken: Array) -> Array | None:
    """``order`` with ``taken[:, i] == given[:, order[i]]`` (flat), or None if they hold different values."""
    given, taken = given.reshape(len(given), -1), taken.reshape(len(taken), -1)
    if np.array_equal(given, taken):
        return np.arange(given.shape[1])
    by_given, by_taken = np.argsort(given[0], kind="stable"), np.argsort(taken[0], kind="stable")
    order = np.empty_like(by_given)
    order[by_taken] = by_given
    return order if np.allclose(given[:, order], taken, rtol=1e-9, atol=0) else None


def _set(table: dict[str, Array], key: str, order: Array) -> bool:
    identity = bool((order == np.arange(len(order))).all())
    known = table.get(key)
    if known is None and identity or known is not None and (known == order).all():
        return False
    table[key] = order
    return True
