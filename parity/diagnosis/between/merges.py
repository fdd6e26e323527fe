"""Several layers' outputs joined: the operation, the order, the operands, and gates of one array's halves.

Plain NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations, permutations, product

import numpy as np

from parity.diagnosis.between.constants import shown
from parity.diagnosis.between.forms import Family, Form, Sources, Target, axis_name, torch_axis
from parity.numerics.reference_ops.activations import FUNCTIONS, Function

Array = np.ndarray
MAX_OPERANDS = 4
SAMPLED = 4096
Join = Callable[[Sequence[Array]], Array]


def _aligned(values: Sequence[Array], rank: int) -> list[Array]:
    """Arrays of lower rank get axes of one between batch and channels, so that they broadcast over space."""
    return [x if x.ndim == rank else x.reshape(len(x), *(1,) * (rank - x.ndim), *x.shape[1:]) for x in values]


COMMUTATIVE: dict[str, tuple[str, Join]] = {
    "adds": ("a + b", lambda values: sum(values[1:], values[0])),
    "multiplies": ("a * b", lambda values: np.prod(np.broadcast_arrays(*values), 0)),
    "averages": ("(a + b) / 2", lambda values: sum(values[1:], values[0]) / len(values)),
    "takes the maximum of": ("torch.maximum(a, b)", lambda values: np.max(np.broadcast_arrays(*values), 0)),
    "takes the minimum of": ("torch.minimum(a, b)", lambda values: np.min(np.broadcast_arrays(*values), 0)),
    "adds the squares of": ("a ** 2 + b ** 2", lambda values: sum((x**2 for x in values[1:]), values[0] ** 2)),
    "takes the root of the summed squares of": (
        "(a ** 2 + b ** 2).sqrt()", lambda values: np.sqrt(sum((x**2 for x in values[1:]), values[0] ** 2))
    ),
    "takes the absolute difference of": ("(a - b).abs()", lambda values: np.abs(values[0] - values[1])),
    "takes the squared difference of": ("(a - b) ** 2", lambda values: (values[0] - values[1]) ** 2),
}  # fmt: skip
ORDERED: dict[str, tuple[str, str, Callable[[Array, Array], Array]]] = {
    "subtract": ("{1} from {0}", "{0} - {1}", lambda a, b: a - b),
    "divide": ("{0} by {1}", "{0} / {1}", lambda a, b: a / b),
    "gate by the sigmoid": (
        "{0} by the sigmoid of {1}",
        "{0} * torch.sigmoid({1})",
        lambda a, b: a * FUNCTIONS["sigmoid"](b),
    ),
    "gate by silu": ("{0} by the silu of {1}", "{0} * F.silu({1})", lambda a, b: a * FUNCTIONS["silu"](b)),
    "gate by gelu": ("{0} by the gelu of {1}", "{0} * F.gelu({1})", lambda a, b: a * FUNCTIONS["gelu"](b)),
    "gate by tanh": ("{0} by the tanh of {1}", "{0} * torch.tanh({1})", lambda a, b: a * np.tanh(b)),
    "gate by relu": ("{0} by the relu of {1}", "{0} * F.relu({1})", lambda a, b: a * np.maximum(b, 0)),
    "gate tanh by the sigmoid": (
        "the tanh of {0} by the sigmoid of {1}",
        "torch.tanh({0}) * torch.sigmoid({1})",
        lambda a, b: np.tanh(a) * FUNCTIONS["sigmoid"](b),
    ),
    "raise": ("{0} to the power of {1}", "{0} ** {1}", lambda a, b: a**b),
}
VERBS = {"subtract": "subtracts", "divide": "divides", "raise": "raises"}
OUTER = ("relu", "sigmoid", "tanh", "silu")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def operands(sources: Sources) -> dict[str, Array]:
    """The arrays that are joined: the sources, or the halves of a single one."""
    if len(sources) > 1:
        return dict(list(sources.items())[:MAX_OPERANDS])
    name, x = next(iter(sources.items()))
    if x.ndim < 2 or x.shape[-1] % 2:
        return {}
    half = x.shape[-1] // 2
    return {f"the first half of {name}": x[..., :half], f"the second half of {name}": x[..., half:]}


def _merged(sources: Sources, target: Target) -> Iterator[Form]:
    given = operands(sources)
    rank = len(target.shape)
    if len(given) > 1 and all(0 < x.ndim <= rank for x in given.values()):
        yield from _joined(given, target)


def _assembled(sources: Sources, target: Target) -> Iterator[Form]:
    if len(sources) > 1:
        given = operands(sources)
        yield from _concatenated(given, target)
        yield from _products(given, target)


def _joined(given: Mapping[str, Array], target: Target) -> Iterator[Form]:
    rank = len(target.shape)
    names = list(given)
    subsets = [tuple(names), *(s for n in range(len(names) - 1, 0, -1) for s in combinations(names, n))]
    for chosen in subsets:
        values = _aligned([given[name] for name in chosen], rank)
        try:
            if np.broadcast_shapes(*(x.shape for x in values)) != target.shape:
                continue
        except ValueError:
            continue
        if len(chosen) == 1:
            yield merge_form("passes on", chosen, lambda values: values[0], values, f"passes on {chosen[0]} alone",
                             f"use {chosen[0]} alone")  # fmt: skip
            continue
        for verb, (torch, join) in COMMUTATIVE.items():
            if len(chosen) == 2 or "difference" not in verb:
                yield merge_form(verb, chosen, join, values, f"{verb} {_listed(chosen)}",
                                 f"{torch}, with {_listed(chosen)}")  # fmt: skip
        for order in permutations(range(2)) if len(chosen) == 2 else ():
            yield from _ordered([chosen[i] for i in order], [values[i] for i in order])
        yield from _activated(chosen, values)
    yield from _weighted(given, target)


def _ordered(pair: Sequence[str], values: Sequence[Array]) -> Iterator[Form]:
    """Operations in which the order of two operands matters."""
    for operation, (words, torch, compute) in ORDERED.items():
        yield merge_form(
            operation,
            pair,
            partial(_apply_to_pair, compute),
            values,
            f"{VERBS.get(operation, 'multiplies')} {words.format(*pair)}",
            torch.format("a", "b") + f", with a: {pair[0]}, b: {pair[1]}",
        )


def merge_form(
    operation: str, names: Sequence[str], join: Join, values: Sequence[Array], does: str, torch: str, **traits: object
) -> Form:
    """A form that joins ``values``; its traits hold what is needed to join others instead."""
    held = {"operation": operation, "names": frozenset(names), "order": tuple(names)}
    return Form(does, torch, lambda: join(values), {**held, "join": join, "values": tuple(values), **traits})


def _apply_to_pair(compute: Callable[[Array, Array], Array], values: Sequence[Array]) -> Array:
    return compute(values[0], values[1])


def _activate_before(apply: Function, join: Join, some: tuple[int, ...], values: Sequence[Array]) -> Array:
    return join([apply(x) if i in some else x for i, x in enumerate(values)])


def _activate_after(apply: Function, join: Join, values: Sequence[Array]) -> Array:
    return apply(join(values))


def _activated(chosen: Sequence[str], values: Sequence[Array]) -> Iterator[Form]:
    """Sums and products with an activation behind, or before some of the operands."""
    for function, verb in product(OUTER, ("adds", "multiplies")):
        apply, join = FUNCTIONS[function], COMMUTATIVE[verb][1]
        yield merge_form(
            verb,
            chosen,
            partial(_activate_after, apply, join),
            values,
            f"{verb} {_listed(chosen)} and applies {function} to the result",
            f"{function}({'a + b' if verb == 'adds' else 'a * b'})",
            activated=(function, "after"),
        )
        for count in range(1, len(chosen) + 1):
            for some in combinations(range(len(chosen)), count):
                which = _listed([chosen[i] for i in some])
                yield merge_form(
                    verb,
                    chosen,
                    partial(_activate_before, apply, join, some),
                    values,
                    f"applies {function} to {which} and then {verb} {_listed(chosen)}",
                    f"apply {function} to {which}, then {verb[:-1]} {_listed(chosen)}",
                    activated=(function, some),
                )


def _weighted(given: Mapping[str, Array], target: Target) -> Iterator[Form]:
    """A sum with a weight for each operand, and an offset; solved for on some of the values."""
    names = list(given)
    values = _aligned([given[name] for name in names], len(target.shape))
    try:
        full = [np.broadcast_to(x, target.shape) for x in values]
    except ValueError:
        return
    if not target.finite or target.values.size < 4 * (len(full) + 1):
        return
    step = max(target.values.size // SAMPLED, 1)
    columns = np.stack([*(x.ravel()[::step] for x in full), np.ones(target.values.size)[::step]], 1)
    if not np.isfinite(columns).all():
        return
    solved, _, rank, _ = np.linalg.lstsq(columns, target.values.ravel()[::step], rcond=None)
    if rank < columns.shape[1]:
        return
    weights = [0.0 if abs(w) < 1e-12 else float(w) for w in solved]
    weights = [float(round(w)) if abs(w - round(w)) < 1e-11 else w for w in weights]
    formula = " + ".join(name if w == 1 else f"{shown(w, target.shape[1:])} * {name}"
                      for w, name in zip(weights, names, strict=False) if w)  # fmt: skip
    formula += f" + {weights[-1]:.6g}" if weights[-1] else ""
    yield Form(
        f"computes {formula}",
        formula,
        lambda: np.add.reduce([w * x for w, x in zip(weights, full, strict=False)]) + weights[-1],
        {"operation": "adds", "weights": tuple(weights)},
    )


def _concatenated(given: Mapping[str, Array], target: Target) -> Iterator[Form]:
    rank = len(target.shape)
    if any(x.ndim != rank for x in given.values()):
        return
    for axis in sorted(range(rank), key=lambda axis: -axis):
        for order in permutations(given):
            values = [given[name] for name in order]
            try:
                shape = np.concatenate([np.empty((*x.shape, 0), np.int8) for x in values], axis).shape[:-1]
            except ValueError:
                continue
            if shape != target.shape:
                continue
            yield merge_form(
                "concatenates", order, partial(np.concatenate, axis=axis), values,
                f"concatenates {_listed(order)} along {axis_name(rank, axis)}, in this order",
                f"torch.cat([{', '.join(order)}], {torch_axis(rank, axis)})", axis=axis,
            )  # fmt: skip
    if len({x.shape for x in given.values()}) == 1:
        first = next(iter(given.values()))
        for axis in range(1, first.ndim + 1):
            stacked = np.stack(list(given.values()), axis)
            if stacked.size == target.values.size:
                yield Form(
                    f"stacks {_listed(list(given))} along axis {axis}",
                    f"torch.stack at the reference's axis {axis}",
                    partial(stacked.reshape, target.shape),
                    {"operation": "concatenates", "axis": ("stack", axis)},
                )


def _products(given: Mapping[str, Array], target: Target) -> Iterator[Form]:
    """Matrix products of two, each maybe transposed, with the factor solved for."""
    for (one, a), (two, b) in permutations(list(given.items())[:2], 2):
        if a.ndim < 2 or a.ndim != b.ndim or a.ndim != len(target.shape):
            continue
        for left, right in ((False, False), (False, True), (True, False)):
            x, y = (v.swapaxes(-1, -2) if turned else v for v, turned in ((a, left), (b, right)))
            if (
                x.shape[-1] != y.shape[-2]
                or (*x.shape[:-1], y.shape[-1]) != target.shape
                or x.shape[:-2] != y.shape[:-2]
            ):
                continue
            made = x @ y
            place = int(np.abs(made).argmax())
            factor = float(target.values.flat[place] / made.flat[place]) if made.flat[place] else 1.0
            factor = float(round(factor)) if abs(factor - round(factor)) < 1e-11 else factor
            t = {False: "", True: "^T"}
            scaled = "" if factor == 1 else f", times {shown(factor, (x.shape[-1], *target.shape[1:]))}"
            yield Form(f"multiplies the matrices {one}{t[left]} and {two}{t[right]}{scaled}",
                       f"{one}{t[left]} @ {two}{t[right]}{scaled}",
                       partial(np.multiply, factor, made),
                       {"operation": "matrix product", "order": (one, left, two, right), "scale": factor})  # fmt: skip


KINDS = {
    "operation": "merge-operation",
    "names": "wrong-source",
    "axis": "concat-axis",
    "scale": "scale-factor",
    "weights": "scale-factor",
    "activated": "activation-kind",
    "order": "operand-order",
    "": "merge-operation",
}
MERGES = Family("merges", _merged, KINDS)
CONCAT = Family("concat", _assembled, KINDS)


def merge_kind(expected: Form, got: Form) -> str:
    """The kind for two joins: an operand left out and an exchanged order of parts have kinds of their own."""
    kind = MERGES.kind(expected, got)
    mine, wanted = got.traits.get("names"), expected.traits.get("names")
    if mine is not None and wanted is not None and mine < wanted:
        return "missing-term"
    if kind == "operand-order" and expected.traits["operation"] == "concatenates":
        return "concat-order"
    if ("weights" in got.traits) != ("weights" in expected.traits):
        return "scale-factor"
    if ("activated" in got.traits) != ("activated" in expected.traits) and kind == "merge-operation":
        return "activation-kind"
    return kind


def from_elsewhere(expected: Form, target: Target, sources: Sources, elsewhere: Sources) -> tuple[str, str] | None:
    """``(source, other layer)``: which operand of the reference's join the port takes from another layer."""
    join, values = expected.traits.get("join"), expected.traits.get("values")
    if join is None or values is None:
        return None
    for place, name in enumerate(expected.traits["order"]):
        for other, array in elsewhere.items():
            aligned = _aligned([array], len(target.shape))[0] if 0 < array.ndim <= len(target.shape) else array
            if aligned.shape != values[place].shape or other in sources:
                continue
            swapped = [aligned if i == place else x for i, x in enumerate(values)]
            one = Target(target.values[:1])
            if expected.traits.get("axis") != 0 and not one.equals(join([x[:1] for x in swapped])):
                continue
            if target.equals(join(swapped)):
                return name, other
    return None
