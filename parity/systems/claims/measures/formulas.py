"""Formulas as a document writes them, evaluated in torch beside the implementations' own."""

from __future__ import annotations

import builtins
import inspect
import re
from typing import Any

import numpy as np

from parity.systems.chains import Twins, drawn, relative_error, run, to_numpy
from parity.systems.claims.measures import conditional
from parity.systems.claims.measures.registry import Figures, measure
from parity.systems.claims.measures.settings import configuration
from parity.systems.claims.wording import evaluate
from shared_impl.config.training import total_steps
from shared_impl.data.augmentation import AUGMENTATION
from shared_impl.data.classes import Balanced
from shared_impl.storage.experiments import COLUMNS
from shared_impl.training.schedules import learning_rates


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


def apart(left: Any, right: Any) -> float:
    """The largest absolute difference of arrays or tensors."""
    pairs = [np.asarray(side.detach() if hasattr(side, "detach") else side) for side in (left, right)]
    return float(np.abs(pairs[0] - pairs[1]).max())


@measure("error <= AGREE")
def formulas(twins: Twins, figures: dict[str, Any]) -> Figures:
    """Expressions by name, one after the other; each may use those before it. Tensors without axes become numbers.

    They may name what ``torch.nn``, ``torch.nn.functional`` and ``conditional`` beside this file hold, and the names
    below: ``batch(*shape, place=0)`` are random values, ``difference(a, b)`` is relative, ``apart(a, b)`` is not.
    """
    import keras
    import tensorflow as tf
    import torch
    from torch import nn

    import tf_impl.augmentation
    import tf_impl.conditional_dcgan
    import torch_impl.augmentation
    import torch_impl.features
    import torch_impl.spectrogram

    functions = (apart, drawn, gradient, implemented, learning_rates, run, to_numpy, total_steps, Balanced)
    names: dict[str, Any] = {**vars(nn.functional), **vars(nn), **{one.__name__: one for one in functions}}
    names |= {"torch": torch, "tensor": torch.tensor, "ones_like": torch.ones_like, "torch_impl": torch_impl}
    names |= {"keras": keras, "tf": tf, "tf_impl": tf_impl, "np": np, "inspect": inspect, "re": re}
    names |= {name: getattr(conditional, name) for name in conditional.__all__}
    names |= {"COLUMNS": COLUMNS, "AUGMENTATION": AUGMENTATION, "difference": relative_error}
    names |= {"seed": twins.seed, "batch": twins.batch, "chain": twins.__getitem__, "config": configuration}
    found: Figures = {}
    for name, expression in figures.items():
        value = evaluate(str(expression), {**names, **found}, vars(builtins))
        found[name] = value.item() if isinstance(value, torch.Tensor) and value.ndim == 0 else value
    return found
