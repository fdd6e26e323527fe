"""The layers that stock torch lacks, NCHW; twin of tf_impl/layers.py.

Batch normalisation and LeakyReLU need no class here: stock torch keeps the unbiased variance and the exact slope.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

# Weights of the samples x[i + offset] that make up out[2i + 1]; out[2i] is x[i]. The cubic kernel has a = -0.75.
TAPS: dict[str, dict[int, float]] = {
    "nearest": {0: 1.0},
    "linear": {0: 1 / 2, 1: 1 / 2},
    "cubic": {-1: -3 / 32, 0: 19 / 32, 1: 19 / 32, 2: -3 / 32},
}
PADDINGS = ("same", "symmetric")
BatchNorm = TypeVar("BatchNorm", bound=nn.BatchNorm2d)


class Conv2d(nn.Conv2d):
    """Square convolution from ``[B, C, H, W]`` to ``[B, C', ceil(H / stride), ceil(W / stride)]``.

    ``padding="same"`` is TF's SAME for any size: where the total is odd, the larger half goes to the bottom right.
    ``padding="symmetric"`` pads ``(k - 1) // 2`` on every side, as ports usually do: same shapes for even sizes,
    other values wherever SAME is not symmetric.
    Raises ValueError for another padding, and for an even kernel at stride 1, whose size nothing symmetric keeps.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: str = "same"
    ) -> None:
        symmetric = _symmetric(padding)
        if symmetric and stride == 1 and kernel_size % 2 == 0:
            raise ValueError(
                f"no symmetric padding keeps the size under an even kernel ({kernel_size}) at stride 1: "
                'use an odd kernel or padding="same"'
            )
        super().__init__(in_channels, out_channels, kernel_size, stride, (kernel_size - 1) // 2 if symmetric else 0)
        self.same = not symmetric

    def forward(self, input: Tensor) -> Tensor:
        """Pad and convolve."""
        return super().forward(F.pad(input, self._amounts(input)) if self.same else input)

    def _amounts(self, x: Tensor) -> list[int]:
        amounts: list[int] = []
        for size, kernel, stride in zip(x.shape[:-3:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            amounts += [total // 2, total - total // 2]
        return amounts

    def extra_repr(self) -> str:
        """Stock text and the padding."""
        return super().extra_repr() + (", padding='same'" if self.same else "")


class ConvTranspose2d(nn.ConvTranspose2d):
    """Square transposed convolution from ``[B, C, H, W]`` to ``[B, C', H * stride, W * stride]``.

    ``padding="same"`` is the transpose of TF's SAME: of the k - stride surplus rows and columns the larger half is
    cropped at the bottom right (k=5, stride 2: torch's padding=1, then the last row and column dropped).
    ``padding="symmetric"`` is ``padding=(k - 1) // 2, output_padding=k % 2`` at stride 2: same shapes, other values
    where k is odd. Raises ValueError for another padding or stride, and for a kernel smaller than the stride.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 2, padding: str = "same"
    ) -> None:
        symmetric = _symmetric(padding)
        if kernel_size < stride or (symmetric and stride != 2):
            raise ValueError(
                f"kernel {kernel_size}, stride {stride}, padding {padding!r}: "
                'expected a kernel no smaller than the stride, and stride 2 for padding="symmetric"'
            )
        surplus = kernel_size - stride
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=(kernel_size - 1) // 2 if symmetric else surplus // 2,
            output_padding=kernel_size % 2 if symmetric else 0,
        )
        self.same = not symmetric
        self.dropped = 0 if symmetric else surplus % 2

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve and crop."""
        output = super().forward(input, output_size)
        return output[..., : -self.dropped, : -self.dropped] if self.dropped else output

    def extra_repr(self) -> str:
        """Stock text and what is dropped at the bottom right."""
        return super().extra_repr() + (f", dropped={self.dropped}" if self.dropped else "")


class LegacyUpsample(nn.Module):
    """Twice the height and width as TF 1 resizes (specgan.py:24-31): sample positions i / 2, clamped at the edge.

    ``mode`` is ``nearest``, ``linear`` or ``cubic``; no modern resize equals the last two (they sample at i / 2 - 1/4).
    """

    def __init__(self, mode: str) -> None:
        if mode not in TAPS:
            raise ValueError(f"LegacyUpsample: mode is {mode!r}, expected one of {', '.join(TAPS)}")
        super().__init__()
        self.mode = mode

    def forward(self, input: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C, 2H, 2W]``."""
        return self._double(self._double(input, 2), 3)

    def _double(self, x: Tensor, axis: int) -> Tensor:
        position = torch.arange(x.shape[axis], device=x.device)
        between = torch.zeros_like(x)
        for offset, weight in TAPS[self.mode].items():
            between = between + weight * x.index_select(axis, (position + offset).clamp(0, x.shape[axis] - 1))
        return torch.stack([x, between], axis + 1).flatten(axis, axis + 1)

    def extra_repr(self) -> str:
        """The mode."""
        return f"mode={self.mode!r}"


class SyncBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by the statistics of all devices' examples; equal numbers of them on each.

    Any backend, and any number of derivatives; ``nn.SyncBatchNorm`` refuses processors, and has no second derivative.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise ``[B, C, H, W]`` per channel; half precision is normalised in float32."""
        if not self.training:
            return super().forward(input)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        mean = _averaged(x.mean((0, 2, 3)))
        centred = x - mean[:, None, None]
        variance = _averaged(centred.square().mean((0, 2, 3)))
        self._remember(mean.detach(), variance.detach(), x.numel() // x.shape[1] * dist.get_world_size())
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            return
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


def replace_modules(network: nn.Module, replacement: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """Put what ``replacement`` makes of a module, unless None, in its place and under its name; changed in place."""
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            if (new := replacement(module)) is not None:
                parent.add_module(name, new)
    return network


def batch_norm_like(norm: nn.BatchNorm2d, kind: type[BatchNorm]) -> BatchNorm:
    """A batch norm of another class with the very parameters and running statistics of ``norm``."""
    tracks = norm.track_running_stats
    found = kind(norm.num_features, norm.eps, norm.momentum, track_running_stats=tracks, device="meta")
    found.weight, found.bias = norm.weight, norm.bias
    for name, statistic in norm.named_buffers():
        setattr(found, name, statistic)
    return found.train(norm.training)


def _averaged(values: Tensor) -> Tensor:
    """Values averaged over all processes, each of which calls this."""
    return all_reduce(values / dist.get_world_size())


def _symmetric(padding: str) -> bool:
    if padding not in PADDINGS:
        raise ValueError(f"padding is {padding!r}, expected one of {', '.join(PADDINGS)}")
    return padding == "symmetric"
