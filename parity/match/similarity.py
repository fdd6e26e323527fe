"""Similarity of two steps: by kind, parameter shapes, output size and, with least weight, name. Plain NumPy."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from parity.capture.steps import Step
from parity.numerics.weight_axes import WeightTransform, own_parameter_axes

# kind -> the setting that tells layers of it apart, and its weight: a maximum does not stand for a mean by its place
TELLING = {
    "activation": ("function", 0.5),
    "merge": ("operation", 0.5),
    "pool": ("mode", 1.0),
    "global-pool": ("mode", 1.0),
}
NORMALISATIONS = ("batchnorm", "layernorm", "groupnorm")


def similarity(a: Step, b: Step) -> float:
    """Alignment score of two steps: 0 if they cannot correspond, higher the more they have in common."""
    if a.kind != b.kind:
        exchangeable = {a.kind, b.kind} == {"conv", "dense"} and a.pointwise and b.pointwise
        fits = exchangeable and a.attributes["features"] == b.attributes["features"]
        return 2.0 * (fits and same_size(a.output_shape, b.output_shape))
    if a.attributes.get("rank") != b.attributes.get("rank"):
        return 0.0
    if a.own_weights and counterparts(a, b) is None or a.unknown_kind and (a.parametrised or b.parametrised):
        return 0.0
    if a.parametrised != b.parametrised:
        return 1.0 if a.kind in NORMALISATIONS else 0.0
    score = 3.0 if a.parametrised else 1.0
    score += 2.0 * (a.parametrised and same_shapes(a, b))
    score += 0.5 * same_size(a.output_shape, b.output_shape)
    if a.kind in TELLING:
        setting, weight = TELLING[a.kind]
        score += weight * (a.attributes.get(setting) == b.attributes.get(setting))
    return score + name_similarity(a, b)


def name_similarity(a: Step, b: Step) -> float:
    """0.75 for the same last name, up to 0.5 for shared words; 0 if Keras generated the name."""
    if not a.named or not b.named:
        return 0.0
    if _last(a.name) == _last(b.name):
        return 0.75
    one, other = _words(a.name), _words(b.name)
    return 0.5 * len(one & other) / max(len(one | other), 1)


def same_shapes(a: Step, b: Step) -> bool:
    """Whether every parameter of ``a``, transformed, has the shape of ``b``'s."""
    if a.own_weights:
        return counterparts(a, b) is not None
    shared = (set(a.shapes) & set(b.shapes)) - {"singular_u", "singular_v"}
    return bool(shared) and all(torch_shape(a.layout, slot, a.shapes[slot]) == tuple(b.shapes[slot]) for slot in shared)


def same_size(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether two arrays hold equally many values."""
    return bool(a) and bool(b) and int(np.prod(a)) == int(np.prod(b))


@lru_cache(maxsize=4096)
def torch_shape(layout: str, slot: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape that a Keras parameter has in torch; None if its layout has no such parameter."""
    # Axes get small distinct sizes, which avoids an array of the real size; axes of length one keep it.
    small = tuple(1 if n == 1 else 2 + axis for axis, n in enumerate(shape))
    moved = WeightTransform(layout).shape(slot, small)
    sizes = dict(zip(small, shape, strict=True))
    if moved is not None and all(n in sizes for n in moved):
        return tuple(sizes[n] for n in moved)
    return WeightTransform(layout).shape(slot, shape)


def counterparts(a: Step, b: Step) -> dict[str, str] | None:
    """Which of a port block's own parameters corresponds to which of the reference's; None if it is ambiguous.

    By name if all names are equal, else by shape if no two shapes are; never if the axis order is ambiguous.
    """
    if len(a.shapes) != len(b.shapes):
        return None
    if a.shapes.keys() == b.shapes.keys():
        found = {slot: slot for slot in a.shapes}
    else:
        fitting = {
            slot: [other for other, port_shape in b.shapes.items() if own_parameter_axes(shape, port_shape)]
            for slot, shape in a.shapes.items()
        }
        found = {slot: others[0] for slot, others in fitting.items() if len(others) == 1}
    complete = len(set(found.values())) == len(a.shapes)
    clear = all(own_parameter_axes(a.shapes[slot], b.shapes[other]) for slot, other in found.items())
    return found if complete and clear else None


def _last(name: str) -> str:
    return re.split(r"[/.]", name)[-1].split("#")[0].split(":")[-1]


def _words(name: str) -> set[str]:
    """The words and numbers of a name (``encoder/conv_a2``: encoder, conv, a, 2), less the places in a list."""
    parts = [part for part in re.split(r"[/.]", name.split("#")[0]) if not part.isdigit()]
    return {
        word for part in parts for word in re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", part).lower())
    }
