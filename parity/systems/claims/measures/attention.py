"""The review's self-attention as listed, beside both implementations' own."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.systems.chains import Twins, relative_error, to_numpy
from parity.systems.claims.measures.registry import Figures, measure


def listed_attention(channels: int) -> Any:
    """The review's self-attention as listed: ``query``, ``key``, ``value``, ``gamma`` and its forward pass."""
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


@measure("max(torch, keras) <= AGREE and listed == own")
def attention_formula(twins: Twins, channels: int, gamma: float) -> Figures:
    """Relative errors of both implementations by the listed self-attention's values; parameters; a ``fresh`` layer."""
    import torch

    from tf_impl.attention import SelfAttention as KerasAttention
    from tf_impl.layers import precision
    from torch_impl.attention import SelfAttention

    listed, own = listed_attention(channels).double(), SelfAttention(channels).double()
    x, start = twins.batch(2, channels, 5, 6), own.gamma.item()
    fresh = relative_error(own(x), x)
    state = {name: twins.batch(*v.shape, place=place) for place, (name, v) in enumerate(own.state_dict().items())}
    state["gamma"] = torch.tensor(gamma, dtype=torch.float64)
    own.load_state_dict(state)
    listed.load_state_dict({**state, "gamma": state["gamma"].reshape(1)})
    with precision("float64"):
        keras = KerasAttention(channels)
        keras.build((None, 5, 6, channels))
        for variable in keras.weights:
            *_, layer, kind = variable.path.split("/")
            value = state[{"kernel": f"{layer}.weight", "bias": f"{layer}.bias"}.get(kind, kind)].numpy()
            variable.assign(value.transpose(2, 3, 1, 0) if kind == "kernel" else value)
        got = np.asarray(keras(to_numpy(x)))
    numbers = [sum(p.numel() for p in layer.parameters()) for layer in (listed, own)]
    return {"torch": relative_error(own(x), listed(x)), "keras": relative_error(got, to_numpy(listed(x))),
            "listed": numbers[0], "own": numbers[1], "start": start, "fresh": fresh}  # fmt: skip
