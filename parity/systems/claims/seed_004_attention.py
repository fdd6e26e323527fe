"""The review's self-attention as it is written, measured on both implementations' own."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.report.formats import count, error
from parity.systems.claims.measured import Measured, truth
from parity.systems.claims.stock import batch, gap
from parity.systems.claims.twins import AGREE, Twins, keras_float64, to_numpy

CHANNELS = 16


class Written:
    """The review's module; built by a function, so that torch is imported only then."""

    @staticmethod
    def build(channels: int) -> Any:
        """``query``, ``key``, ``value`` and ``gamma`` of a self-attention, and its forward pass, as listed."""
        import torch
        from torch import nn

        class SelfAttention(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                # The listing divides by 8, which leaves nothing of a narrow network's channels: at least one here.
                self.query = nn.Conv2d(channels, max(channels // 8, 1), 1)
                self.key = nn.Conv2d(channels, max(channels // 8, 1), 1)
                self.value = nn.Conv2d(channels, channels, 1)
                self.gamma = nn.Parameter(torch.zeros(1))

            def forward(self, x: Any) -> Any:
                n, c, h, w = x.size()
                query = self.query(x).view(n, -1, h * w).permute(0, 2, 1)
                key = self.key(x).view(n, -1, h * w)
                attention = torch.softmax(torch.bmm(query, key), dim=-1)
                out = torch.bmm(self.value(x).view(n, -1, h * w), attention.permute(0, 2, 1))
                return self.gamma * out.view(n, c, h, w) + x

        return SelfAttention()


def formula(twins: Twins) -> Measured:
    """The listing's values against both implementations', with equal weights and a gamma that is not zero."""
    import torch

    from tf_impl.attention import SelfAttention as KerasAttention
    from torch_impl.attention import SelfAttention

    theirs, ours = Written.build(CHANNELS).double(), SelfAttention(CHANNELS).double()
    state = {
        name: batch(twins, *value.shape, place=place) for place, (name, value) in enumerate(ours.state_dict().items())
    }
    state["gamma"] = torch.tensor(0.7, dtype=torch.float64)
    ours.load_state_dict(state)
    theirs.load_state_dict({**state, "gamma": state["gamma"].reshape(1)})
    x = batch(twins, 2, CHANNELS, 5, 6)
    expected = to_numpy(theirs(x))
    with keras_float64():
        keras = KerasAttention(CHANNELS)
        keras.build((None, 5, 6, CHANNELS))
        for variable in keras.weights:
            variable.assign(_for_keras(variable, state))
        got = np.asarray(keras(to_numpy(x)))
    apart = gap(to_numpy(ours(x)), expected), gap(got, expected)
    numbers = sum(p.numel() for p in theirs.parameters()), sum(p.numel() for p in ours.parameters())
    return Measured(
        truth(max(apart) <= AGREE and numbers[0] == numbers[1]),
        f"with γ = 0.7 the listing's values differ by {error(apart[0])} from ours in PyTorch, by {error(apart[1])} in"
        f" Keras; {count(numbers[0])} parameters for {CHANNELS} channels in each",
        f"γ = 0.7 时原文的数值与我们的 PyTorch 实现相差 {error(apart[0])}，与 Keras 相差 {error(apart[1])}；{CHANNELS}"
        " 个通道时"
        f"各有 {count(numbers[0])} 个参数",
    )


def _for_keras(variable: Any, state: dict[str, Any]) -> np.ndarray:
    """A state's value in Keras's layout: kernels ``[1, 1, in, out]``."""
    if variable.path.rpartition("/")[2] == "gamma":
        return state["gamma"].numpy()
    layer, kind = variable.path.split("/")[-2:]
    value = state[f"{layer}.{'weight' if kind == 'kernel' else 'bias'}"].numpy()
    return value.transpose(2, 3, 1, 0) if kind == "kernel" else value


def begins(twins: Twins) -> Measured:
    """What a fresh self-attention changes."""
    from torch_impl.attention import SelfAttention

    layer = SelfAttention(CHANNELS).double()
    x = batch(twins, 2, CHANNELS, 5, 6)
    apart = gap(layer(x).detach().numpy(), x.numpy())
    return Measured(
        truth(layer.gamma.item() == 0 and apart == 0),
        f"γ starts at {layer.gamma.item():g}: a fresh layer changes its input by {error(apart)}",
        f"γ 从 {layer.gamma.item():g} 开始：新建的层对输入的改变为 {error(apart)}",
    )
