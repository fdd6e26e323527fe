"""Modules that draw random numbers give the same verdict twice, and leave the caller's generator alone."""

from __future__ import annotations

import keras
import torch
from torch import nn

import parity


class Noisy(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + (torch.rand(len(x), 1) if self.training else 0)


def test_a_verdict_on_random_modules_is_the_same_twice() -> None:
    reference = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    port, apart = Noisy(3, 2), []
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    for seed in (0, 0, 1):
        checks = parity.verify(reference, port, rungs=["forward"], seed=seed).rungs["forward"].checks
        assert any(check.judgement == "fail" for check in checks)
        apart.append([check.measured for check in checks])
        torch.manual_seed(8)
    assert apart[0] == apart[1] != apart[2]
    torch.manual_seed(7)
    parity.verify(reference, port, rungs=["forward"])
    assert torch.equal(torch.random.get_rng_state(), state)
