"""What happens between two layers, or in an operation without a definition, explained from values alone.

Plain NumPy. A table of families of forms (:data:`FAMILIES`): a form must reproduce the port's values exactly, and
another one the reference's, where the message says what the reference does. Relations between both sides' values come
last. Hypotheses only explain; they never turn a failure into a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import permutations, product

import numpy as np

from parity.diagnosis.between import relations
from parity.diagnosis.between.axes import AXES, CHANNELS, DEPTH, FLATTEN
from parity.diagnosis.between.constants import log_ratio
from parity.diagnosis.between.forms import FIT, FIT_FLOAT32, Family, Form, Sources, Target
from parity.diagnosis.between.functions import AFFINE, FUNCTIONS, SOFTMAX
from parity.diagnosis.between.merges import CONCAT, MERGES, from_elsewhere, merge_kind
from parity.diagnosis.between.relations import Explained
from parity.diagnosis.between.spatial import PADDING, POOLING, RESIZE, STRIDES
from parity.diagnosis.between.spectra import SPECTRA
from parity.diagnosis.between.statistics import NORMALISATION, REDUCTION, RUNNING

Array = np.ndarray
# Number of values beyond which some rows, two samples, or a few channels are looked at.
LARGE = 2**16
FEW_SAMPLES, FEW_CHANNELS = 2, 4
ROW_VALUES, MIN_ROWS = 4096, 8


@dataclass(frozen=True)
class Between:
    """Values at one place, in the reference's layout (batch, space, channels), float64.

    Attributes:
        sources: outputs of the layers that both sides compute from, by the reference's names; equal on both sides.
        expected: what the reference has at that place.
        got: what the port has there, maybe of another shape; None if it cannot be brought into the layout.
        elsewhere: outputs of other layers of the reference, by name.
        label: what the place is called in messages.
        alike: only explanations in which both sides compute something of one family are looked for.
    """

    sources: dict[str, Array]
    expected: Array
    got: Array | None
    elsewhere: dict[str, Array] = field(default_factory=dict)
    label: str = ""
    alike: bool = False


# Specific ones first: the first whose forms reproduce both sides is the cause.
FAMILIES: tuple[Family, ...] = (
    MERGES, CONCAT, DEPTH, FLATTEN, RESIZE, PADDING, STRIDES, POOLING, REDUCTION, CHANNELS, AXES, FUNCTIONS, AFFINE,
    SOFTMAX, NORMALISATION, RUNNING, SPECTRA,
)  # fmt: skip
# Of these a form that leads from one side's values to the other's is a cause, whatever the reference computes there.
RELATING: tuple[Family, ...] = (
    CHANNELS, AXES, AFFINE, FUNCTIONS, SOFTMAX, NORMALISATION, RUNNING, FLATTEN, PADDING, STRIDES, REDUCTION,
)  # fmt: skip
# Each value (each row, for CHANNELS) follows from those at the same place: some rows suffice.
BY_ROW: tuple[Family, ...] = (MERGES, CHANNELS, AFFINE, FUNCTIONS)


@dataclass(frozen=True)
class Scene:
    """What is looked at: all of the arrays or some, and the families of forms that may be tried on that."""

    sources: Sources
    expected: Target
    got: Target
    elsewhere: Sources
    families: tuple[Family, ...]

    @property
    def same_shape(self) -> bool:
        """Whether both sides have one shape."""
        return self.expected.shape == self.got.shape


def explain_between(between: Between) -> Explained:
    """``(kind, message, fix)`` of the first hypothesis that reproduces the port's values; None if none does.

    Values that one side computed through float32 are reproduced in a second round, to float32's precision.
    """
    if between.got is None or not between.expected.size or not between.got.size or not np.isfinite(between.got).any():
        return None
    with np.errstate(all="ignore"):
        return _explained(between)


def _explained(between: Between) -> Explained:
    assert between.got is not None
    for fit in (None, FIT_FLOAT32):
        if Target(between.got, FIT if fit is None else fit).equals(between.expected):
            return None
        explanations = (_alike,) if between.alike else EXPLANATIONS
        for explain, scene in product(explanations, _scenes(between, fit)):
            found = explain(scene)
            if found is not None:
                kind, message, fix = found
                return kind, f"{between.label}: {message}" if between.label else message, fix
    return None


def _scenes(between: Between, fit: float | None) -> list[Scene]:
    """Everything at once; of large arrays some rows for what is computed place by place, two samples for the rest."""
    assert between.got is not None
    arrays = [between.expected, between.got, *between.sources.values()]
    if max(x.size for x in arrays) <= LARGE:
        return [_scene(between, lambda x: x, fit, FAMILIES)]
    few = [_scene(between, _few_samples(arrays), fit, tuple(f for f in FAMILIES if f not in BY_ROW))]
    if len({x.shape for x in arrays}) > 1 or between.expected.ndim < 2:
        return [_scene(between, _few_samples(arrays), fit, FAMILIES)]
    return [_scene(between, _some_rows(between.expected, between.got), fit, BY_ROW), *few]


def _scene(between: Between, cut: Callable[[Array], Array], fit: float | None, families: tuple[Family, ...]) -> Scene:
    assert between.got is not None
    read = lambda x: np.asarray(cut(x), np.float64)  # noqa: E731
    return Scene(
        {name: read(x) for name, x in between.sources.items()},
        Target(read(between.expected), fit),
        Target(read(between.got), fit),
        {name: read(x) for name, x in between.elsewhere.items()},
        families,
    )


def _few_samples(arrays: list[Array]) -> Callable[[Array], Array]:
    """The first samples, where all arrays have the same number of them."""
    batch = len(arrays[0]) if arrays[0].ndim else 0
    if any(x.ndim == 0 or len(x) != batch for x in arrays):
        return lambda x: x
    return lambda x: x[:FEW_SAMPLES] if x.ndim and len(x) == batch else x


def _some_rows(expected: Array, got: Array) -> Callable[[Array], Array]:
    """``[rows, channels]``: rows all over, and those in which both sides differ most."""
    shape, width = expected.shape, expected.shape[-1]
    count = expected.size // width
    wanted = max(ROW_VALUES // width, MIN_ROWS)
    gap = np.abs(got - expected).reshape(-1, width).max(-1)
    worst = np.argpartition(-gap, min(wanted, count - 1))[:wanted]
    rows = np.unique(np.concatenate([np.linspace(0, count - 1, min(wanted, count)).astype(int), worst]))
    return lambda x: x.reshape(-1, width)[rows] if x.shape == shape else x


def _alike(scene: Scene) -> Explained:
    """What both sides compute from the sources, if that is of one family; of one source alone nothing is merged."""
    joins = (MERGES, CONCAT) if len(scene.sources) < 2 else ()
    for family in (family for family in scene.families if family not in joins):
        wanted = _find(family, scene.sources, scene.expected)
        if wanted is not None:
            used = _find(family, scene.sources, scene.got)
            found = _two_forms(family, family, wanted, used, scene.expected, scene.got)
            if found is not None:
                return found
    return None


def _catalogue(scene: Scene) -> Explained:
    """What both sides compute from the sources: of one family if possible, of two otherwise."""
    if not scene.sources:
        return None
    expected, got = scene.expected, scene.got
    find = cache(lambda family, of_port: _find(family, scene.sources, got if of_port else expected))
    for family in scene.families:
        found = find(family, False) and _two_forms(
            family, family, find(family, False), find(family, True), expected, got
        )
        if found:
            return found
    for family in (MERGES, CONCAT):
        merge = find(family, False) if family in scene.families else None
        elsewhere = None if merge is None else from_elsewhere(merge, got, scene.sources, scene.elsewhere)
        if merge is not None and elsewhere is not None:
            source, other = elsewhere
            return (
                "wrong-source",
                f"the port takes the output of {other} where the reference takes that of {source} (the reference "
                f"{merge.does})",
                f"take the output of {source} here, not of {other}",
            )
    for wanted, used in permutations(scene.families, 2):
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
        kind = merge_kind(wanted, used) if family in (MERGES, CONCAT) else family.kind(wanted, used)
    else:
        left_out = family is MERGES and wanted.traits.get("operation") == "adds"
        kind = "missing-term" if left_out else family.kinds[""]
    return kind, f"the port {used.does}, the reference {wanted.does}", wanted.torch


def _passed_on(scene: Scene) -> Explained:
    """One side does nothing to a source; the other does what is found."""
    expected, got = scene.expected, scene.got
    for name, x in scene.sources.items():
        if expected.equals(x):
            for family, form in _relating({name: x}, got, scene.families):
                kind, _ = _relation_kind(family, form)
                return kind, f"the port {form.does}, the reference passes {name} on as it is", _undo(family, form)
        if got.equals(x):
            for family, form in _relating({name: x}, expected, scene.families):
                kind, _ = _relation_kind(family, form)
                return kind, f"the port passes {name} on as it is, the reference {form.does}", form.torch
    return None


def _find(family: Family, sources: Sources, target: Target) -> Form | None:
    if not family.channelwise:
        return family.find(sources, target)
    count = target.shape[-1] if target.shape else 0
    few = np.unique(np.linspace(0, count - 1, FEW_CHANNELS).astype(int)) if count > FEW_CHANNELS else None
    large = few is not None and max(target.values.size, *(x.size for x in sources.values())) > LARGE // 4
    if not large or any(x.shape[-1:] != (count,) for x in sources.values()):
        return family.find(sources, target)
    return family.find({name: x[..., few] for name, x in sources.items()}, Target(target.values[..., few]))


def _port_on_top(scene: Scene) -> Explained:
    """The port's values are the reference's after one thing more."""
    families = tuple(family for family in RELATING if family in scene.families)
    for family, form in _relating({"the values": scene.expected.values}, scene.got, families):
        kind, log = _relation_kind(family, form)
        if log:
            return (
                kind,
                f"the port's values are {log} times the reference's: another base of the logarithm",
                ("take the logarithm of the reference's base (torch.log, torch.log2, torch.log10)"),
            )
        return kind, f"the port {form.does} where the reference does not", _undo(family, form)
    return None


def _reference_on_top(scene: Scene) -> Explained:
    """The reference's values are the port's after one thing more."""
    families = tuple(family for family in RELATING if family in scene.families)
    for family, form in _relating({"the values": scene.got.values}, scene.expected, families):
        kind, _ = _relation_kind(family, form)
        return kind, f"the reference {form.does}, the port does not", form.torch
    return None


def _relating(sources: Sources, target: Target, families: tuple[Family, ...]) -> Iterator[tuple[Family, Form]]:
    """Each family's form that reproduces the target and changes something."""
    for family in families:
        form = _find(family, sources, target)
        if form is not None and not form.reproduces(Target(next(iter(sources.values())), target.given_fit)):
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


def _relations(scene: Scene) -> Explained:
    """Another layer's output, a shorter format, values dropped, a term missing, doubled or taken from elsewhere."""
    if scene.families is BY_ROW:
        return None
    found = relations.another_layer(scene.got, scene.elsewhere)
    if found is not None or not scene.same_shape:
        return found
    expected, got = scene.expected.values, scene.got
    others = {**scene.sources, **scene.elsewhere}
    return (
        relations.precision(expected, got)
        or relations.dropped(expected, got)
        or relations.missing_term(expected, got, others)
        or relations.exchanged_term(expected, got, scene.sources, scene.elsewhere)
    )


EXPLANATIONS: tuple[Callable[[Scene], Explained], ...] = (
    _passed_on,
    _catalogue,
    _relations,
    _port_on_top,
    _reference_on_top,
)
