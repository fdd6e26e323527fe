"""Copying weights from a Keras model into its torch twin and back, in whatever order either side flattens."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import numpy as np
from torch import nn

from parity.capture.dry_run import first_runs
from parity.capture.keras_adapter import KerasAdapter
from parity.capture.torch_adapter import TorchAdapter
from parity.match.alignment import Match, match_steps
from parity.transfer.aligned_models import AlignedModels, align, check_finite
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
    Keras model does not declare its input shape.

    Raises:
        WeightMismatch: some key or shape has no counterpart; all of them are listed, and nothing was written.
        UnusableInput: the models cannot be run or compared at all.
    """
    models = aligned(keras_model, torch_model, mirrored, inputs, mapping)
    reference, port = models.reference, models.port

    def write(match: Match, slot: str) -> None:
        value = reference.read(match.reference, slot)
        port.write(match.port, slot, models.layouts.weight_transform(match).to_torch(slot, value))

    _for_each_weight(models, write)


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
    models = aligned(keras_model, torch_model, mirrored, inputs, mapping)
    reference, port = models.reference, models.port

    def write(match: Match, slot: str) -> None:
        value = port.read(match.port, slot)
        shape = match.reference.shapes[slot]
        reference.write(match.reference, slot, models.layouts.weight_transform(match).to_keras(slot, value, shape))

    _for_each_weight(models, write)


def aligned(
    keras_model: keras.Model,
    torch_model: nn.Module,
    mirrored: bool = False,
    inputs: list[np.ndarray] | None = None,
    mapping: Mapping[str, str] | None = None,
) -> AlignedModels:
    """Both models captured and matched, every layout found, nothing written; errors as in :func:`copy_to_torch`."""
    sides = KerasAdapter(keras_model), TorchAdapter(torch_model)
    check_finite(*sides)
    runs = first_runs(*sides, inputs, seed=0, mirrored=mirrored, brief=True)
    matching = match_steps(runs.reference, runs.port.trace, dict(mapping or {}))
    models = align(*sides, runs, matching, mirrored=mirrored, perturb=False, brief=True)
    if models.conflicts:
        listed = "\n  ".join(conflict.message for conflict in models.conflicts)
        raise WeightMismatch(f"{len(models.conflicts)} weights do not correspond; nothing was copied:\n  {listed}")
    if models.crash:
        where = f" in {models.stopped}" if models.stopped else ""
        raise UnusableInput(f"the torch module stops{where} on the Keras model's inputs: {models.crash}")
    return models


def _for_each_weight(models: AlignedModels, write: Callable[[Match, str], None]) -> None:
    for match in models.matching.matches:
        for slot in match.reference.shapes:
            write(match, slot)
