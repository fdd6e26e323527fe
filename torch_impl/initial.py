"""Weights that a run starts from, in torch; twin of tf_impl/initial.py.

The draws come in Keras's layout: kernels ``(h, w, in, out)``, transposed ``(h, w, out, in)``, dense ``(in, out)`` with
images flattened as ``(h, w, c)``.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from common.draws import Draws
from common.initial import kernel, scale


@torch.no_grad()
def initialise(network: nn.Module, scope: str, distribution: str, draws: Draws) -> None:
    """Draw every kernel and batch-norm scale of a chain by the name ``scope/layer``; biases stay zero."""
    layers = list(network.named_children())
    for i, (layer, module) in enumerate(layers):
        name = f"{scope}/{layer}"
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            shape = tuple(module.weight.shape[axis] for axis in (2, 3, 1, 0))
            drawn = kernel(draws, distribution, name, shape).transpose(3, 2, 0, 1)
        elif isinstance(module, nn.Linear):
            shape = (module.in_features, module.out_features)
            drawn = _dense(kernel(draws, distribution, name, shape), [child for _, child in layers], i)
        elif isinstance(module, nn.BatchNorm2d):
            drawn = scale(draws, distribution, name, tuple(module.weight.shape))
        else:
            continue
        module.weight.copy_(torch.from_numpy(np.ascontiguousarray(drawn)))


def _dense(drawn: np.ndarray, chain: list[nn.Module], i: int) -> np.ndarray:
    """``(in, out)`` with images as (h, w, c) to ``[out, in]`` with images as (c, h, w)."""
    before, after = chain[:i], chain[i + 1]
    if isinstance(after, nn.Unflatten):
        channels, height, width = after.unflattened_size
        return drawn.reshape(-1, height, width, channels).transpose(3, 1, 2, 0).reshape(-1, len(drawn))
    channels = [module.out_channels for module in before if isinstance(module, nn.Conv2d)][-1]
    side = math.isqrt(len(drawn) // channels)
    return drawn.reshape(side, side, channels, -1).transpose(3, 2, 0, 1).reshape(-1, len(drawn))
