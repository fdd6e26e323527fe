"""Self-attention over the positions of an image in torch, NCHW; twin of tf_impl/attention.py."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import Conv2d

from torch_impl.framework_draws import FrameworkDraws
from torch_impl.initial_weights import initialise


class SelfAttention(nn.Module):
    """``gamma * attention(x) + x`` for images ``[B, C, H, W]`` (SAGAN, Zhang et al. 2019, arXiv:1805.08318, section 3).

    Three 1x1 convolutions with bias make ``query`` and ``key`` (``channels // 8``, at least one) and ``value``
    (``channels``) of every position; each position takes the values of all, weighted by the softmax of its query with
    their keys, without a scale. ``gamma`` is one number and starts at zero. ``init`` is the convolutions' distribution.

    Of the N x N weights, N = H W, no more than ``rows`` rows a sample exist at a time in evaluation; in training all
    rows are kept for the backward pass, once: at 64x64 positions 4096^2 * 4 B = 64 MiB a sample in float32.
    """

    def __init__(self, channels: int, init: str = "framework", rows: int = 1024) -> None:
        super().__init__()
        self.channels, self.rows = channels, rows
        d = max(channels // 8, 1)
        self.query = Conv2d(channels, d, 1)
        self.key = Conv2d(channels, d, 1)
        self.value = Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))
        initialise(self, "", init, FrameworkDraws())

    def forward(self, input: Tensor) -> Tensor:
        """``[B, C, H, W]`` to the same shape."""
        query, key, value = (layer(input).flatten(2) for layer in (self.query, self.key, self.value))  # [B, ..., N]
        attended = _attended(query, key, value, self.rows)  # [B, C, N]
        return self.gamma * attended.view(input.shape) + input

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.channels}, rows={self.rows}"


def _attended(query: Tensor, key: Tensor, value: Tensor, rows: int) -> Tensor:
    """Queries ``[B, d, M]``, keys ``[B, d, N]``, values ``[B, C, N]`` to ``[B, C, M]``, ``rows`` queries at a time."""
    return torch.cat([_block(some, key, value) for some in query.split(rows, 2)], 2)


def _block(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """All positions' values, weighted for some queries."""
    logits = query.transpose(1, 2) @ key  # [B, rows, N]
    weights = logits.softmax(-1)
    return value @ weights.transpose(1, 2)
