"""Pairs whose values are zero, integers, too large for float32, NaN or of unusual shapes: judged, never a crash."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from torch import nn

import parity

L, ops = keras.layers, keras.ops
Pair = tuple[keras.Model, nn.Module]


class Fn(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable):
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


class OneInteger(nn.Module):
    """A dense layer beside an argmax."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.a(x), x.argmax(1)


def chain(*layers: keras.Layer, shape: tuple[int, ...] = (6, 6, 3)) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *layers])


def conv(weight: float | None = None, bias: float = 0.0) -> keras.Layer:
    constant = keras.initializers.Constant
    kernel = "glorot_uniform" if weight is None else constant(weight)
    return L.Conv2D(4, 3, kernel_initializer=kernel, bias_initializer=constant(bias))


def torch_conv(*more: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), *more)


def head(function: Callable, port: Callable) -> Pair:
    return chain(conv(), L.Lambda(function)), torch_conv(Fn(port))


def alone(function: Callable, port: Callable, shape: tuple[int, ...] = (6, 6, 3)) -> Pair:
    return chain(L.Lambda(function), shape=shape), Fn(port)


def two_outputs() -> Pair:
    x = keras.Input((5,))
    return keras.Model(x, [L.Dense(3)(x), L.Lambda(lambda y: ops.argmax(y, -1))(x)]), OneInteger()


def dead_head(seed: int) -> Pair:
    """A rectified head of one unit, which is dead in every tenth network or so."""
    keras.utils.set_random_seed(seed)
    reference = chain(L.Dense(8, activation="relu"), L.Dense(1, activation="relu"), shape=(8,))
    return reference, nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1), nn.ReLU())


POOLED = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
FAITHFUL: dict[str, Callable[[], Pair]] = {
    "all units dead": lambda: (chain(conv(bias=-1e4), L.ReLU()), torch_conv(nn.ReLU())),
    "dead, pooled": lambda: (chain(conv(bias=-1e4), L.ReLU(), L.MaxPooling2D(2)),
                             torch_conv(nn.ReLU(), nn.MaxPool2d(2))),
    "dead, dense": lambda: (chain(conv(bias=-1e4), L.ReLU(), L.GlobalAveragePooling2D(), L.Dense(2)),
                            torch_conv(nn.ReLU(), *POOLED)),
    **{f"head of seed {seed}": lambda seed=seed: dead_head(seed) for seed in range(3)},
    "float32 overflows": lambda: (chain(conv(1e38), L.ReLU()), torch_conv(nn.ReLU())),
    "float32 underflows": lambda: (chain(conv(1e-42), L.ReLU()), torch_conv(nn.ReLU())),
    "round": lambda: head(ops.round, torch.round),
    "floor at the edge of float32": lambda: head(lambda x: ops.floor(x * 1e6), lambda x: (x * 1e6).floor()),
    "argmax": lambda: head(lambda x: ops.argmax(x, -1), lambda x: x.argmax(1)),
    "comparison": lambda: head(lambda x: x > 0, lambda x: x > 0),
    "sign": lambda: head(ops.sign, torch.sign),
    "no weights": lambda: (chain(L.ReLU()), nn.ReLU()),
    "no weights, integers": lambda: alone(lambda x: ops.argmax(x, -1), lambda x: x.argmax(1)),
    "input without influence": lambda: alone(ops.ones_like, torch.ones_like),
    "zeros": lambda: alone(ops.zeros_like, torch.zeros_like),
    "constant": lambda: head(lambda x: x * 0 + 3.0, lambda x: x * 0 + 3.0),
    "a scalar": lambda: head(ops.sum, torch.sum),
    "no values": lambda: head(lambda x: x[:, :0], lambda x: x[:, :, :0]),
    "NaN on both sides": lambda: head(ops.sqrt, torch.sqrt),
    "infinite on both sides": lambda: head(lambda x: ops.log(ops.relu(x)), lambda x: torch.log(torch.relu(x))),
    "complex": lambda: alone(tf.signal.rfft, torch.fft.rfft, (16,)),
    "one output of integers": two_outputs,
    "sixty orders of magnitude": lambda: alone(
        lambda x: x * np.logspace(-30, 30, 8), lambda x: x * torch.from_numpy(np.logspace(-30, 30, 8)).to(x.dtype), (8,)
    ),
    "exact": lambda: (chain(L.Lambda(lambda x: x * 1.0), shape=(8,)), nn.Identity()),
}  # fmt: skip
FAULTY: dict[str, Callable[[], Pair]] = {
    "truncated, not floored": lambda: head(lambda x: ops.floor(x * 50), lambda x: (x * 50).trunc()),
    "another argument": lambda: head(lambda x: ops.argmax(x, -1), lambda x: x.argmin(1)),
    "another threshold": lambda: head(lambda x: x > 0, lambda x: x > 0.1),
    "NaN on one side": lambda: head(ops.sqrt, lambda x: x.clamp(min=0).sqrt()),
    "infinite on one side": lambda: head(lambda x: 1 / (x * 0), lambda x: (1 / (x * 0)).nan_to_num()),
    "overflows, another activation": lambda: (chain(conv(1e38), L.ReLU()), torch_conv(nn.LeakyReLU(0.1))),
    "another dead unit": lambda: (chain(conv(bias=-1e4), L.ReLU()), torch_conv(nn.LeakyReLU(1e-9))),
    "other imaginary parts": lambda: alone(tf.signal.rfft, lambda x: torch.fft.rfft(x).conj(), (16,)),
    "half precision": lambda: head(lambda x: x, lambda x: x.half().to(x.dtype)),
}


@pytest.mark.parametrize("name", FAITHFUL)
def test_a_faithful_pair_passes(name: str) -> None:
    verdict = parity.verify(*FAITHFUL[name]())
    verdict.raise_if_failed()
    assert verdict.to_json() and verdict.to_markdown()


@pytest.mark.parametrize("name", FAULTY)
def test_its_faulty_neighbour_fails(name: str) -> None:
    assert not parity.verify(*FAULTY[name]()).passed


def said(name: str) -> str:
    verdict = parity.verify(*FAITHFUL[name]())
    return " ".join(check.message for rung in verdict.rungs.values() for check in rung.checks) + " ".join(
        rung.message for rung in verdict.rungs.values()
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("float32 overflows", "float32 overflows on both sides"),
        ("NaN on both sides", "NaN or infinite on both sides alike"),
        ("floor at the edge of float32", "on the other side of the edge"),
        ("argmax", "no output is a floating number"),
        ("infinite on both sides", "and so are their gradients"),
    ],
)
def test_what_was_not_judged_is_said(name: str, words: str) -> None:
    assert words in said(name)
