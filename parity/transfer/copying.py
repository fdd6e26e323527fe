"""Weights across: from a Keras model into its torch twin and back, in whatever order each side flattens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from torch import nn

from parity.capture.keras_adapter import KerasSide
from parity.capture.torch_adapter import TorchSide
from parity.transfer.aligned_models import Comparison, prepare
from parity.transfer.mismatches import WeightMismatch
from parity.verdict import UnusableInput


def copy_to_torch(
    keras_model: keras.Model,
    torch_model: nn.Module,
    mirrored: bool = False,
    *,
    inputs: list[np.ndarray] | None = None,
    mapping: Mapping[str, str] | None = None,
) -> None:
    """Write the Keras model's weights and running statistics into the torch module, in place.

    With ``mirrored`` every kernel is flipped in its spatial axes and dense layers beside an image are reordered to
    match, which makes symmetric padding exact on flipped images. ``inputs`` (reference layout) are needed where the
    Keras model does not tell its input shape.

    Raises:
        WeightMismatch: some key or shape has no counterpart; all of them are listed, and nothing was written.
        UnusableInput: the models cannot be run or compared at all.
    """
    comparison = aligned(keras_model, torch_model, mirrored, inputs, mapping)
    reference, port = comparison.reference, comparison.port

    def write(match: Any, slot: str) -> None:
        value = reference.read(match.reference, slot)
        port.write(match.port, slot, comparison.layouts.crossing(match).to_torch(slot, value))

    _each(comparison, write)


def copy_to_keras(
    torch_model: nn.Module,
    keras_model: keras.Model,
    mirrored: bool = False,
    *,
    inputs: list[np.ndarray] | None = None,
    mapping: Mapping[str, str] | None = None,
) -> None:
    """Write the torch module's weights and running statistics into the Keras model, in place.

    The reverse of :func:`copy_to_torch`, with the same arguments (``mapping`` still goes from Keras names to torch
    names) and errors.
    """
    comparison = aligned(keras_model, torch_model, mirrored, inputs, mapping)
    reference, port = comparison.reference, comparison.port

    def write(match: Any, slot: str) -> None:
        value = port.read(match.port, slot)
        shape = match.reference.shapes[slot]
        reference.write(match.reference, slot, comparison.layouts.crossing(match).to_keras(slot, value, shape))

    _each(comparison, write)


def aligned(
    keras_model: keras.Model,
    torch_model: nn.Module,
    mirrored: bool = False,
    inputs: list[np.ndarray] | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Comparison:
    """Both models traced and matched, every layout found, nothing written; errors as in :func:`copy_to_torch`."""
    comparison = prepare(
        KerasSide(keras_model),
        TorchSide(torch_model),
        inputs,
        mapping=dict(mapping or {}),
        mirrored=mirrored,
        enliven=False,
        brief=True,
    )
    if comparison.conflicts:
        listed = "\n  ".join(conflict.message for conflict in comparison.conflicts)
        raise WeightMismatch(f"{len(comparison.conflicts)} weights do not correspond; nothing was copied:\n  {listed}")
    if comparison.crash:
        where = f" in {comparison.stopped}" if comparison.stopped else ""
        raise UnusableInput(f"the torch module stops{where} on the Keras model's inputs: {comparison.crash}")
    return comparison


def _each(comparison: Comparison, write: Callable[[Any, str], None]) -> None:
    for match in comparison.matching.matches:
        for slot in match.reference.shapes:
            write(match, slot)
