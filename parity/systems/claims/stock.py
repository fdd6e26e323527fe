"""Layers as a document writes them, in stock torch, held against the reference: our weights in its own words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from parity.numerics.difference import difference
from parity.systems.claims.twins import Array, Twin, Twins, to_numpy, to_torch

Written = Sequence[Any]  # stock modules in their order
ELSEWHERE = float("inf")  # the error of what has other shapes


def block(twin: Twin, prefix: str, written: Written) -> float:
    """Relative error of ``written``, given the weights of the port's layers ``prefix``, by the reference's values.

    Infinite where a weight or the output has another shape.
    """
    from torch import nn

    names = list(twin.outputs)
    own = [name for name in names if name.startswith(prefix)]
    before = names.index(own[0]) - 1
    given = twin.outputs[names[before]] if before >= 0 else twin.inputs
    module = nn.Sequential(*written).double().eval()
    layers = [child for name, child in twin.exact.named_children() if name.startswith(prefix)]
    if not hand_over(layers, module):
        return ELSEWHERE
    return gap(to_numpy(module(to_torch(given))), twin.outputs[own[-1]])


def hand_over(layers: Sequence[Any], module: Any) -> bool:
    """Copy the weights of ``layers`` into those of ``module`` in their order; False if they do not fit."""
    sources = [part for layer in layers for part in with_weights(layer)]
    targets = list(with_weights(module))
    if len(sources) != len(targets):
        return False
    try:
        for source, target in zip(sources, targets, strict=True):
            target.load_state_dict(source.state_dict())
    except RuntimeError:  # torch's word for another shape or another set of weights
        return False
    return True


def with_weights(module: Any) -> Iterator[Any]:
    """The innermost modules that have parameters, in the order of their registration."""
    return (part for part in module.modules() if any(True for _ in part.parameters(recurse=False)))


def gap(got: Array, expected: Array) -> float:
    """Relative error; infinite where the shapes differ."""
    return difference(got, expected).relative if got.shape == expected.shape else ELSEWHERE


def batch(twins: Twins, *shape: int, place: int = 0) -> Any:
    """Normal random float64 values of a shape, the same in every run of one seed."""
    import numpy as np
    import torch

    return torch.from_numpy(np.random.RandomState([twins.seed, place, *shape]).standard_normal(shape))
