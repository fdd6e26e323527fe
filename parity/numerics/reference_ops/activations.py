"""Activation functions by definition. Plain NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Array = np.ndarray
Function = Callable[[Array], Array]


def _erf(x: Array) -> Array:
    return np.vectorize(math.erf, otypes=[float])(x) if x.size else x


def sigmoid(x: Array) -> Array:
    """Without overflow at either end."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def softmax(x: Array, axis: int = -1) -> Array:
    """Shares along ``axis``."""
    shares = np.exp(x - x.max(axis, keepdims=True))
    return shares / shares.sum(axis, keepdims=True)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """Logarithms of :func:`softmax`."""
    low = x - x.max(axis, keepdims=True)
    return low - np.log(np.exp(low).sum(axis, keepdims=True))


def leaky_relu(x: Array, slope: float) -> Array:
    """``slope * x`` below zero."""
    return np.where(x > 0, x, slope * x)


def elu(x: Array, alpha: float = 1.0) -> Array:
    """``alpha * (exp(x) - 1)`` below zero."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def celu(x: Array, alpha: float) -> Array:
    """``alpha * (exp(x / alpha) - 1)`` below zero."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def softplus(x: Array, beta: float = 1.0) -> Array:
    """``log(1 + exp(beta x)) / beta``."""
    return np.logaddexp(0, beta * x) / beta


def gelu_tanh(x: Array) -> Array:
    """The tanh form of Hendrycks and Gimpel (2016)."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


# Klambauer et al. (2017), as both frameworks spell them out.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946

FUNCTIONS: dict[str, Function] = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "softplus": softplus,
    "elu": elu,
    "leaky_relu(0.2)": lambda x: leaky_relu(x, 0.2),
    "leaky_relu(0.3)": lambda x: leaky_relu(x, 0.3),
    "leaky_relu(0.01)": lambda x: leaky_relu(x, 0.01),
    "softmax": softmax,
    "log_softmax": log_softmax,
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))),
    "gelu_tanh": gelu_tanh,
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hard_sigmoid(0.2x+0.5)": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hard_silu(0.2x+0.5)": lambda x: x * np.clip(0.2 * x + 0.5, 0, 1),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "selu": lambda x: SELU_SCALE * elu(x, SELU_ALPHA),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "log_sigmoid": lambda x: -np.logaddexp(0, -x),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "squared relu": lambda x: np.maximum(x, 0) ** 2,
    "lecun_tanh": lambda x: 1.7159 * np.tanh(2 / 3 * x),
}
"""By canonical name; the ones with parameters, at their usual values."""

# How to write it in torch, where that is not F.<name>(x).
TORCH_CODE: dict[str, str] = {
    "identity": "no activation",
    "softmax": "torch.softmax(x, 1) over the channels (-1 where they are last)",
    "log_softmax": "F.log_softmax(x, 1) over the channels (-1 where they are last)",
    "leaky_relu(0.2)": "F.leaky_relu(x, 0.2)",
    "leaky_relu(0.3)": "F.leaky_relu(x, 0.3)",
    "leaky_relu(0.01)": "F.leaky_relu(x, 0.01)",
    "gelu": "F.gelu(x) (the exact form, approximate='none')",
    "gelu_tanh": 'F.gelu(x, approximate="tanh")',
    "quick_gelu": "x * torch.sigmoid(1.702 * x)",
    "hard_sigmoid": "F.hardsigmoid(x), which is relu6(x + 3) / 6",
    "hard_sigmoid(0.2x+0.5)": "torch.clamp(0.2 * x + 0.5, 0, 1); F.hardsigmoid is relu6(x + 3) / 6, another function",
    "hard_silu": "F.hardswish(x)",
    "hard_silu(0.2x+0.5)": "x * torch.clamp(0.2 * x + 0.5, 0, 1)",
    "hard_tanh": "F.hardtanh(x)",
    "log_sigmoid": "F.logsigmoid(x)",
    "tanh_shrink": "F.tanhshrink(x)",
    "squared relu": "F.relu(x) ** 2",
    "lecun_tanh": "1.7159 * torch.tanh(2 / 3 * x)",
    "sigmoid": "torch.sigmoid(x)",
    "tanh": "torch.tanh(x)",
}


def torch_code(name: str) -> str:
    """How to apply a function of :data:`FUNCTIONS` in torch."""
    return TORCH_CODE.get(name, f"F.{name}(x)")
