"""Initial values given to a network's parameters, in torch; twin of tf_impl/initial_weights.py.

The draws come in Keras's layout: kernels ``(h, w, in, out)``, transposed ``(h, w, out, in)``, dense ``(in, out)`` with
images flattened as ``(h, w, c)``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from shared_impl.draws import Draws
from shared_impl.training.initial_weights import (
    attention_gain,
    bias,
    embedding,
    kernel,
    scale,
    singular_vectors,
)


@torch.no_grad()
def initialise(network: nn.Module, scope: str, distribution: str, draws: Draws) -> None:
    """Draw every kernel, embedding and batch-norm scale by its path ``scope/layer``; biases become zero.

    Modules in modules have longer paths (``scope/attention_0/query``), and start with their ``gamma`` at zero.
    """
    for name, module, siblings, i in _layers(network, scope):
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            drawn = kernel(draws, distribution, name, tuple(_stored(module).shape[axis] for axis in (2, 3, 1, 0)))
            _set(_stored(module), drawn.transpose(3, 2, 0, 1))
            if is_parametrized(module):
                u, v = singular_vectors(draws, name, drawn, -2 if isinstance(module, nn.ConvTranspose2d) else -1)
                _set_vectors(module, u, np.moveaxis(v, -1, 0).reshape(-1))
        elif isinstance(module, nn.Linear):
            drawn = kernel(draws, distribution, name, (module.in_features, module.out_features))
            inputs, outputs = _order_in(module, siblings[:i]), _order_out(module, siblings[i + 1 :])
            _set(_stored(module), drawn[inputs][:, outputs].T)
            if is_parametrized(module):
                u, v = singular_vectors(draws, name, drawn, -1)
                _set_vectors(module, u[outputs], v[inputs])
        elif isinstance(module, nn.Embedding):
            _set(module.weight, embedding(draws, distribution, name, tuple(module.weight.shape)))
        elif isinstance(module, nn.BatchNorm2d):
            _set(module.weight, scale(draws, distribution, name, tuple(module.weight.shape)))
        elif isinstance(gamma := getattr(module, "gamma", None), Tensor):
            _set(gamma, attention_gain(tuple(gamma.shape)))
        if isinstance(own_bias := getattr(module, "bias", None), Tensor):
            _set(own_bias, bias(tuple(own_bias.shape)))


def _layers(outer: nn.Module, path: str) -> Iterator[tuple[str, nn.Module, list[nn.Module], int]]:
    """Every module below with its path, those that it stands among, and its place there."""
    siblings = [module for name, module in outer.named_children() if name != "parametrizations"]
    names = [name for name, _ in outer.named_children() if name != "parametrizations"]
    for i, (name, module) in enumerate(zip(names, siblings, strict=True)):
        yield f"{path}/{name}", module, siblings, i
        yield from _layers(module, f"{path}/{name}")


def _stored(module: nn.Module) -> Tensor:
    """The weight that a module keeps: where it is computed from another (spectral norm), that other one."""
    return module.parametrizations.weight.original if is_parametrized(module, "weight") else module.weight  # type: ignore


def _set(tensor: Tensor, values: np.ndarray) -> None:
    tensor.copy_(torch.from_numpy(np.ascontiguousarray(values).reshape(values.shape)))


def _set_vectors(module: nn.Module, u: np.ndarray, v: np.ndarray) -> None:
    vectors = dict(module.named_buffers())
    _set(vectors["parametrizations.weight.0._u"], u)
    _set(vectors["parametrizations.weight.0._v"], v)


def _order_in(module: nn.Linear, before: list[nn.Module]) -> np.ndarray | slice:
    """The feature, with images as (h, w, c), that stands at each place of torch's (c, h, w), if one was flattened.

    Otherwise all in their order, as a slice, which copies nothing.
    """
    channels = 0
    for other in before:
        if isinstance(other, (nn.Conv2d, nn.ConvTranspose2d)):
            channels = other.out_channels
    if not channels or not any(isinstance(other, nn.Flatten) for other in before):
        return slice(None)
    side = math.isqrt(module.in_features // channels)
    return np.arange(module.in_features).reshape(side, side, channels).transpose(2, 0, 1).reshape(-1)


def _order_out(module: nn.Linear, after: list[nn.Module]) -> np.ndarray | slice:
    """The same of the features that become an image in the next module."""
    if not after or not isinstance(after[0], nn.Unflatten):
        return slice(None)
    channels, height, width = after[0].unflattened_size
    return np.arange(module.out_features).reshape(height, width, channels).transpose(2, 0, 1).reshape(-1)
