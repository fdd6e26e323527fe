"""Dropout of whole channels, decided by random numbers from outside, in torch, NCHW; twin of tf_impl/dropout.py."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

_decisions = threading.local()


@contextmanager
def dropout_decided_by(numbers: Tensor) -> Iterator[None]:
    """Within, dropout layers decide by ``numbers`` ``[B, C]``, U[0, 1), a column a channel: the first layer by the
    first columns, the next one by those that follow.
    """
    _decisions.numbers = numbers
    try:
        yield
    finally:
        _decisions.numbers = None


class ChannelDropout(nn.Dropout2d):
    """Dropout of whole channels (Tompson et al. 2015, arXiv:1411.4280).

    A channel is dropped where its number is below ``rate``; numbers are those of :func:`dropout_decided_by`, or drawn
    by the framework outside of it.
    """

    def __init__(self, rate: float) -> None:
        super().__init__(rate)

    def forward(self, input: Tensor) -> Tensor:
        """``[B, C, H, W]``, what stays divided by ``1 - rate``; in evaluation unchanged."""
        numbers = getattr(_decisions, "numbers", None)
        if not self.training or not self.p or numbers is None:
            return super().forward(input)
        channels = input.shape[1]
        _decisions.numbers = numbers[:, channels:]
        kept = (numbers[:, :channels, None, None] >= self.p).to(input.dtype) / (1 - self.p)
        return input * kept
