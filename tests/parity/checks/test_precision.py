"""Pairs of which one side holds constants, or computes, in float32: faithful ones pass, their neighbours fail."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from torch import nn

import parity

L, ops = keras.layers, keras.ops
MEANS = np.float32([0.485, 0.456, 0.406, 0.5])
WINDOW = np.random.default_rng(1).uniform(0.1, 1, (6, 4))
TENTH = torch.tensor(0.1)


class Between(nn.Module):
    """A function between two convolutions, with a buffer."""

    def __init__(self, function: Callable, buffer: torch.Tensor | None = None):
        super().__init__()
        self.c, self.d = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)
        self.register_buffer("b", buffer)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.c(x)
        return self.d(self.function(y) if self.b is None else self.function(y, self.b))


class Fn(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable):
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def verified(function: Callable, port: Callable, buffer: torch.Tensor | None = None) -> parity.Verdict:
    layers = L.Conv2D(4, 1, name="c"), L.Lambda(function), L.Conv2D(2, 1, name="d")
    return parity.verify(keras.Sequential([keras.Input((6, 5, 3)), *layers]), Between(port, buffer))


def alone(function: Callable, port: Callable, shape: tuple[int, ...]) -> parity.Verdict:
    x = np.random.default_rng(3).uniform(0.05, 0.95, (3, *shape))
    return parity.verify(keras.Sequential([keras.Input(shape), L.Lambda(function)]), Fn(port), x)


def interpolated(size: tuple[int, int], **settings: object) -> Callable:
    return lambda x: F.interpolate(x, size=size, **settings)


def resized(size: tuple[int, int], method: str, antialias: bool = False) -> Callable:
    return lambda x: tf.image.resize(x, size, method=method, antialias=antialias)


def response(x: torch.Tensor, alpha: float) -> torch.Tensor:
    return F.local_response_norm(x, 5, alpha=alpha * 5, beta=0.75, k=1.0)


def spectrum(x: torch.Tensor, periodic: bool) -> torch.Tensor:
    window = torch.hann_window(16, periodic=periodic, dtype=x.dtype)
    return torch.stft(x, 16, 8, window=window, center=False, return_complex=True).abs().transpose(1, 2)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None, None]


ROUNDED: dict[str, tuple[Callable[[], parity.Verdict], Callable[[], parity.Verdict]]] = {
    "a number of NumPy": (
        lambda: verified(lambda x: x * np.float32(0.1), lambda x: x * 0.1),
        lambda: verified(lambda x: x * np.float32(0.1), lambda x: x * 0.1000001),
    ),
    "means of TensorFlow": (
        lambda: verified(lambda x: x - tf.constant(MEANS), lambda x, b: x - b, column(0.485, 0.456, 0.406, 0.5)),
        lambda: verified(lambda x: x - tf.constant(MEANS), lambda x, b: x - b, column(0.485, 0.456, 0.406001, 0.5)),
    ),
    "a buffer of torch": (
        lambda: verified(lambda x: x * 0.1, lambda x, b: x * b, torch.tensor(0.1)),
        lambda: verified(lambda x: x * 0.1, lambda x, b: x * b + 1e-9, torch.tensor(0.1)),
    ),
    "a tensor outside the module": (
        lambda: verified(lambda x: x * 0.1, lambda x: x * TENTH),
        lambda: verified(lambda x: x * 0.1, lambda x: x * TENTH * (1 + 1e-6)),
    ),
    "a product for a division": (
        lambda: verified(lambda x: x * np.float32(1 / 6), lambda x: x / 6),
        lambda: verified(lambda x: x * np.float32(1 / 6), lambda x: x / 6.000001),
    ),
    "a window": (
        lambda: verified(lambda x: x * WINDOW.astype("f")[:, None], lambda x, b: x * b,
                         torch.from_numpy(WINDOW.T[:, :, None].copy())),
        lambda: verified(lambda x: x * WINDOW.astype("f")[:, None], lambda x, b: x * b,
                         torch.from_numpy(WINDOW.T[:, :, None] + 1e-5 * (WINDOW.T[:, :, None] > 0.9))),
    ),
}  # fmt: skip
EXACT: dict[str, tuple[Callable[[], parity.Verdict], Callable[[], parity.Verdict]]] = {
    "one": (
        lambda: verified(lambda x: x * 1.0, lambda x: x * 1),
        lambda: verified(lambda x: x * np.float32(1), lambda x: x * (1 + 1e-8)),
    ),
    "epsilon": (
        lambda: verified(lambda x: x / ops.sqrt(x * x * 1e-3 + 1e-12), lambda x: x / (x * x * 1e-3 + 1e-12).sqrt()),
        lambda: verified(lambda x: x / ops.sqrt(x * x * 1e-3 + 1e-12), lambda x: x / (x * x * 1e-3 + 1e-10).sqrt()),
    ),
    "casts": (
        lambda: verified(lambda x: ops.cast(x, "float32") * 0.1, lambda x: x.float() * 0.1),
        lambda: verified(lambda x: ops.cast(x, "float32") * 0.1, lambda x: x.half().to(x.dtype) * 0.1),
    ),
    "bilinear, antialiased": (
        lambda: verified(resized((4, 3), "bilinear", True), interpolated((4, 3), mode="bilinear", antialias=True)),
        lambda: verified(resized((4, 3), "bilinear", True), interpolated((4, 3), mode="bilinear")),
    ),
    "bicubic, antialiased": (
        lambda: verified(resized((9, 8), "bicubic", True), interpolated((9, 8), mode="bicubic", antialias=True)),
        lambda: verified(resized((9, 8), "bicubic", True), interpolated((9, 8), mode="bicubic")),
    ),
    "aligned corners of TensorFlow 1": (
        lambda: verified(lambda x: tf.compat.v1.image.resize_bilinear(x, (9, 8), align_corners=True),
                         interpolated((9, 8), mode="bilinear", align_corners=True)),
        lambda: verified(lambda x: tf.compat.v1.image.resize_bilinear(x, (9, 8)),
                         interpolated((9, 8), mode="bilinear", align_corners=True)),
    ),
    "area": (
        lambda: verified(resized((3, 5), "area"), interpolated((3, 5), mode="area")),
        lambda: verified(resized((3, 5), "area"), interpolated((3, 5), mode="nearest")),
    ),
    "local response": (
        lambda: verified(lambda x: tf.nn.lrn(x, 2, 1.0, 1e-3, 0.75), lambda x: response(x, 1e-3)),
        lambda: verified(lambda x: tf.nn.lrn(x, 2, 1.0, 1e-3, 0.75), lambda x: response(x, 1.001e-3)),
    ),
    "short-time spectrum": (
        lambda: alone(lambda x: tf.abs(tf.signal.stft(x, 16, 8)), lambda x: spectrum(x, True), (64,)),
        lambda: alone(lambda x: tf.abs(tf.signal.stft(x, 16, 8)), lambda x: spectrum(x, False), (64,)),
    ),
    "logarithms": (
        lambda: alone(ops.log10, torch.log10, (6,)),
        lambda: alone(ops.log10, torch.log2, (6,)),
    ),
    **{
        name: (
            lambda name=name, port=port: alone(getattr(keras.activations, name), port, (6,)),
            lambda name=name, port=port: alone(getattr(keras.activations, name), lambda x: port(x * (1 + 1e-8)), (6,)),
        )
        for name, port in {
            "gelu": F.gelu, "selu": F.selu, "hard_sigmoid": F.hardsigmoid, "hard_swish": F.hardswish,
            "softplus": F.softplus, "mish": F.mish, "leaky_relu": lambda x: F.leaky_relu(x, 0.2), "elu": F.elu,
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ROUNDED)
def test_a_constant_rounded_to_float32_is_explained_and_said(name: str) -> None:
    verdict = ROUNDED[name][0]()
    verdict.raise_if_failed()
    assert "constants held in float32" in verdict.rungs["forward"].message
    assert any("constants held in float32" in row.note for row in verdict.layers)


@pytest.mark.parametrize("name", EXACT)
def test_what_tensorflow_rounds_is_computed_exactly(name: str) -> None:
    verdict = EXACT[name][0]()
    verdict.raise_if_failed()
    assert "constants held" not in verdict.rungs["forward"].message


@pytest.mark.parametrize("name", [*ROUNDED, *EXACT])
def test_the_faulty_neighbour_fails(name: str) -> None:
    assert not (ROUNDED | EXACT)[name][1]().passed
