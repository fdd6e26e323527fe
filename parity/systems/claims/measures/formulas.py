"""Formulas as a document writes them, evaluated in torch beside the implementations' own."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from parity.systems.chains import Twins, relative_error
from parity.systems.claims.measures import conditional
from parity.systems.claims.measures.registry import Figures, measure
from parity.systems.claims.measures.settings import configuration
from parity.systems.claims.wording import evaluate


def implemented(preset: str, name: str, *scores: Any) -> list[float]:
    """``d_loss`` or ``g_loss`` of a preset from torch scores, in both implementations."""
    import tensorflow as tf

    from tf_impl import losses as keras_losses
    from torch_impl import losses as torch_losses

    cfg, values = configuration(preset).loss, [tf.constant(score.numpy()) for score in scores]
    return [float(getattr(torch_losses, name)(cfg, *scores)), float(getattr(keras_losses, name)(cfg, *values))]


def gradient(function: Any, at: Any) -> Any:
    """The gradient of a function's sum at a tensor."""
    import torch

    at = at.detach().clone().requires_grad_()
    return torch.autograd.grad(function(at).sum(), at)[0]


@measure("error <= AGREE")
def formulas(twins: Twins, figures: dict[str, str]) -> Figures:
    """Expressions by name, one after the other; each may use those before it. Tensors without axes become numbers.

    They may name whatever ``torch.nn`` and ``torch.nn.functional`` hold, ``torch``, ``keras``, ``np``, ``seed``,
    ``batch(*shape, place=0)`` (random values), ``gradient(function, at)``, ``apart(a, b)`` (largest absolute
    difference), ``difference(a, b)`` (relative), ``implemented(preset, loss, *scores)``, ``config(preset)``,
    ``chain(name)``, torch_impl's ``losses`` and ``features``, and the functions of ``conditional`` beside this file.
    """
    import keras
    import torch
    from torch import nn

    from torch_impl import features, losses

    def apart(left: Any, right: Any) -> float:
        pairs = [np.asarray(side.detach() if hasattr(side, "detach") else side) for side in (left, right)]
        return float(np.abs(pairs[0] - pairs[1]).max())

    names: dict[str, Any] = {**vars(nn.functional), **vars(nn), "torch": torch, "keras": keras, "np": np}
    names |= {"losses": losses, "features": features, "conditional": conditional, "apart": apart}
    names |= {"seed": twins.seed, "batch": twins.batch, "gradient": gradient, "difference": relative_error}
    names |= {"implemented": implemented, "config": configuration, "chain": twins.__getitem__}
    names |= {"ones_like": torch.ones_like, "tensor": torch.tensor}
    found: Figures = {}
    for name, expression in figures.items():
        value = evaluate(expression, {**names, **found}, vars(builtins))
        found[name] = value.item() if isinstance(value, torch.Tensor) and value.ndim == 0 else value
    return found
