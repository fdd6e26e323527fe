"""What happens between two layers, or in an operation without a definition, explained from values alone.

Plain NumPy. A table of families of forms (:data:`FAMILIES`): a form must reproduce the port's values exactly, and
another one the reference's, where the message says what the reference does. Relations between both sides' values come
last. Hypotheses only explain; they never turn a failure into a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import permutations

import numpy as np

from parity.diagnosis.between import relations
from parity.diagnosis.between.axes import AXES, CHANNELS, DEPTH, FLATTEN
from parity.diagnosis.between.constants import log_ratio
from parity.diagnosis.between.forms import FIT, Family, Form, Sources, Target
from parity.diagnosis.between.functions import AFFINE, FUNCTIONS
from parity.diagnosis.between.merges import MERGES, from_elsewhere, merge_kind
from parity.diagnosis.between.relations import Explained
from parity.diagnosis.between.spatial import PADDING, POOLING, RESIZE, STRIDES
from parity.diagnosis.between.statistics import NORMALISATION, REDUCTION, RUNNING

Array = np.ndarray
LARGE = 2**20  # values; of larger arrays two samples and four channels are looked at
FEW_SAMPLES, FEW_CHANNELS = 2, 4


@dataclass(frozen=True)
class Between:
    """Values at one place, in the reference's layout (batch, space, channels), float64.

    Attributes:
        sources: outputs of the layers that both sides compute from, by the reference's names; equal on both sides.
        expected: what the reference has at that place.
        got: what the port has there, maybe of another shape; None if it cannot be brought into the layout.
        elsewhere: outputs of other layers of the reference, by name.
        label: what the place is called in messages.
    """

    sources: dict[str, Array]
    expected: Array
    got: Array | None
    elsewhere: dict[str, Array] = field(default_factory=dict)
    label: str = ""


# Specific ones first: the first whose forms reproduce both sides is the cause.
FAMILIES: tuple[Family, ...] = (
    MERGES, DEPTH, FLATTEN, RESIZE, PADDING, STRIDES, POOLING, REDUCTION, CHANNELS, AXES, AFFINE, FUNCTIONS,
    NORMALISATION, RUNNING,
)  # fmt: skip
# Of these a form that leads from one side's values to the other's is a cause, whatever the reference computes there.
RELATING: tuple[Family, ...] = (
    CHANNELS, AXES, AFFINE, FUNCTIONS, NORMALISATION, RUNNING, FLATTEN, PADDING, STRIDES, REDUCTION,
)  # fmt: skip


def explain_between(between: Between) -> Explained:
    """``(kind, message, fix)`` of the first hypothesis that reproduces the port's values; None if none does."""
    if between.got is None or not between.expected.size or not between.got.size:
        return None
    thin = _thinned(between)
    assert thin.got is not None
    expected, got = Target(thin.expected), Target(thin.got)
    if got.equals(expected.values, FIT) or not np.isfinite(got.values).any():
        return None
    for explain in EXPLANATIONS:
        with np.errstate(all="ignore"):
            found = explain(thin, expected, got)
        if found is not None:
            kind, message, fix = found
            return kind, f"{between.label}: {message}" if between.label else message, fix
    return None


def _catalogue(between: Between, expected: Target, got: Target) -> Explained:
    """What both sides compute from the sources: of one family if possible, of two otherwise."""
    if not between.sources:
        return None
    find = cache(lambda family, of_port: _find(family, between.sources, got if of_port else expected))
    for wanted, used in ((f, f) for f in FAMILIES):
        found = _two_forms(wanted, used, find(wanted, False), find(used, True), expected, got)
        if found is not None:
            return found
    wanted_merge = find(MERGES, False)
    elsewhere = None if wanted_merge is None else from_elsewhere(wanted_merge, got, between.sources, between.elsewhere)
    if wanted_merge is not None and elsewhere is not None:
        source, other = elsewhere
        return "wrong-source", (
            f"the port takes the output of {other} where the reference takes that of {source} (the reference "
            f"{wanted_merge.does})"
        ), f"take the output of {source} here, not of {other}"  # fmt: skip
    for wanted, used in permutations(FAMILIES, 2):
        if find(wanted, False) is not None:
            found = _two_forms(wanted, used, find(wanted, False), find(used, True), expected, got)
            if found is not None:
                return found
    return None


def _two_forms(
    family: Family, other: Family, wanted: Form | None, used: Form | None, expected: Target, got: Target
) -> Explained:
    """The explanation by two forms, if each fits its own side and not the other."""
    if wanted is None or used is None or wanted.does == used.does:
        return None
    if wanted.reproduces(got) or used.reproduces(expected):
        return None
    if family is other:
        kind = merge_kind(wanted, used) if family is MERGES else family.kind(wanted, used)
    else:
        kind = family.kinds[""]
    return kind, f"the port {used.does}, the reference {wanted.does}", wanted.torch


def _passed_on(between: Between, expected: Target, got: Target) -> Explained:
    """One side does nothing to a source; the other does what is found."""
    for name, x in between.sources.items():
        if expected.equals(x):
            for family, form in _relating({name: x}, got, FAMILIES):
                kind, _ = _relation_kind(family, form)
                return kind, f"the port {form.does}, the reference passes {name} on as it is", _undo(family, form)
        if got.equals(x):
            for family, form in _relating({name: x}, expected, FAMILIES):
                kind, _ = _relation_kind(family, form)
                return kind, f"the port passes {name} on as it is, the reference {form.does}", form.torch
    return None


def _find(family: Family, sources: Sources, target: Target) -> Form | None:
    if not family.channelwise:
        return family.find(sources, target)
    count = target.shape[-1] if target.shape else 0
    few = np.unique(np.linspace(0, count - 1, FEW_CHANNELS).astype(int)) if count > FEW_CHANNELS else None
    large = few is not None and max(target.values.size, *(x.size for x in sources.values())) > LARGE // 16
    if not large or any(x.shape[-1:] != (count,) for x in sources.values()):
        return family.find(sources, target)
    return family.find({name: x[..., few] for name, x in sources.items()}, Target(target.values[..., few]))


def _port_on_top(between: Between, expected: Target, got: Target) -> Explained:
    """The port's values are the reference's after one thing more."""
    for family, form in _relating({"the values": expected.values}, got):
        kind, log = _relation_kind(family, form)
        if log:
            return (
                kind,
                f"the port's values are {log} times the reference's: another base of the logarithm",
                ("take the logarithm of the reference's base (torch.log, torch.log2, torch.log10)"),
            )
        return kind, f"the port {form.does} where the reference does not", _undo(family, form)
    return None


def _reference_on_top(between: Between, expected: Target, got: Target) -> Explained:
    """The reference's values are the port's after one thing more."""
    for family, form in _relating({"the values": got.values}, expected):
        kind, _ = _relation_kind(family, form)
        return kind, f"the reference {form.does}, the port does not", form.torch
    return None


def _relating(sources: Sources, target: Target, families: tuple[Family, ...] = ()) -> Iterator[tuple[Family, Form]]:
    for family in families or RELATING:
        form = _find(family, sources, target)
        if form is not None and not form.reproduces(Target(next(iter(sources.values())))):
            yield family, form


def _relation_kind(family: Family, form: Form) -> tuple[str, str]:
    """The kind of a lone form, and the ratio of logarithms that a factor is."""
    factor = form.traits.get("scale", (0.0, 1.0))
    log = log_ratio(factor[0]) if isinstance(factor[0], float) and not factor[1] else ""
    named = next((kind for trait, kind in family.kinds.items() if trait in ("bounds", "base", "flip", "shift")
                  and trait in form.traits), family.kinds[""])  # fmt: skip
    return ("log-base" if log else named), log


def _undo(family: Family, form: Form) -> str:
    if family is AFFINE:
        return "leave that factor and offset out, or have both on both sides"
    return f"leave that out: no {form.torch.removeprefix('apply ').split('; or ')[0]}"


EXPLANATIONS: tuple[Callable[[Between, Target, Target], Explained], ...] = (
    _passed_on,
    _catalogue,
    lambda between, expected, got: relations.another_layer(got, between.elsewhere),
    lambda between, expected, got: relations.precision(expected.values, got),
    lambda between, expected, got: relations.dropped(expected.values, got),
    lambda between, expected, got: (
        relations.missing_term(expected.values, got, {**between.sources, **between.elsewhere})
        if expected.shape == got.shape
        else None
    ),
    lambda between, expected, got: (
        relations.exchanged_term(expected.values, got, between.sources, between.elsewhere)
        if expected.shape == got.shape
        else None
    ),
    _port_on_top,
    _reference_on_top,
)


def _thinned(between: Between) -> Between:
    """Two samples of large arrays; the arrays in float64."""
    assert between.got is not None
    cast = lambda x: np.asarray(x, np.float64)  # noqa: E731
    arrays = [between.expected, between.got, *between.sources.values()]
    batch = len(between.expected) if between.expected.ndim else 0
    few = slice(None)
    if max(x.size for x in arrays) > LARGE and all(x.ndim and len(x) == batch for x in arrays):
        few = slice(0, FEW_SAMPLES)
    cut = lambda x: cast(x[few] if x.ndim and len(x) == batch else x)  # noqa: E731
    return replace(
        between,
        sources={name: cut(x) for name, x in between.sources.items()},
        expected=cut(between.expected),
        got=cut(between.got),
        elsewhere={name: cut(x) for name, x in between.elsewhere.items()},
    )
