"""SAME convolution, its transpose and the gradient at its kernel, NCHW; twin of tf_impl/convolution.py.

The three are linear in both arguments, and each one's derivatives are the other two: so a gradient penalty, which asks
for gradients of gradients, costs what the convolutions cost. (torch's own second derivative of a convolution at stride
2 takes two to three times as long as ``conv2d_kernel`` on a CPU.)

Where the layers are small, a CPU multiplies with the batch as the third axis of a 3-D convolution: its rows are then as
long as the batch, and not only four or eight pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.nn.grad import conv2d_weight

# The smaller image's pixels a side, at most, and its channels, at least, from which the batch makes for faster rows.
SMALL, WIDE = 8, 512
_PIXELS = 16  # images from which on torch leaves a convolution of one by one to oneDNN, whatever the number of threads


def conv2d(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """``[B, C, H, W]`` by ``[C', C, k, k]`` to ``[B, C', ceil(H / stride), ceil(W / stride)]``.

    TF's SAME: where the total padding is odd, the larger half goes to the bottom right.
    """
    return _Conv2d.apply(x, kernel, stride)


def conv2d_transpose(y: Tensor, kernel: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """``[B, C', h, w]`` by ``[C', C, k, k]`` to ``[B, C, *size]``: the transpose of ``conv2d`` of such images."""
    return _Conv2dTranspose.apply(y, kernel, stride, size)


def conv2d_kernel(x: Tensor, y: Tensor, stride: int, side: int) -> Tensor:
    """The gradient ``[C', C, side, side]`` at the kernel of ``conv2d(x, kernel, stride)``, ``y`` that at its result."""
    return _Conv2dKernel.apply(x, y, stride, side)


class _Conv2d(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, kernel)
        ctx.stride = stride
        paddings, drops, shape = _framing(x.shape[2:], kernel.shape[-1], stride)
        if _is_small(x, shape, len(kernel)):
            y = _flat(F.conv3d(_deep(x), _deep_kernel(kernel), None, (stride, stride, 1), (*paddings, 0)))
        else:
            y = F.conv2d(x, kernel, None, stride, paddings)
        return y[:, :, drops[0] : drops[0] + shape[0], drops[1] : drops[1] + shape[1]]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (x, kernel), (y,) = ctx.saved_tensors, gradients
        at_x, at_kernel, _ = ctx.needs_input_grad
        return (
            conv2d_transpose(y, kernel, ctx.stride, x.shape[2:]) if at_x else None,
            conv2d_kernel(x, y, ctx.stride, kernel.shape[-1]) if at_kernel else None,
            None,
        )


class _Conv2dTranspose(Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, kernel: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(y, kernel)
        ctx.stride = stride
        side = kernel.shape[-1]
        paddings, drops, shape = _framing(size, side, stride)
        wide = [(n + 2 * p - side) // stride + 1 for n, p in zip(size, paddings, strict=True)]
        after = [w - drop - n for w, drop, n in zip(wide, drops, shape, strict=True)]
        surplus = [n - ((w - 1) * stride - 2 * p + side) for n, w, p in zip(size, wide, paddings, strict=True)]
        if any(drops) or any(after):
            y = F.pad(y, (drops[1], after[1], drops[0], after[0]))
        if _is_small(y, shape, len(kernel)):
            deep = F.conv_transpose3d(
                _deep(y), _deep_kernel(kernel), None, (stride, stride, 1), (*paddings, 0), (*surplus, 0)
            )
            return _flat(deep)
        return F.conv_transpose2d(y, kernel, None, stride, paddings, surplus)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (y, kernel), (x,) = ctx.saved_tensors, gradients
        at_y, at_kernel, _, _ = ctx.needs_input_grad
        return (
            conv2d(x, kernel, ctx.stride) if at_y else None,
            conv2d_kernel(x, y, ctx.stride, kernel.shape[-1]) if at_kernel else None,
            None,
            None,
        )


class _Conv2dKernel(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, stride: int, side: int) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.stride = stride
        paddings, drops, small = _framing(x.shape[2:], side, stride)
        shape = (y.shape[1], x.shape[1], side, side)
        if not any(drops) and not _is_small(y, small, y.shape[1]):
            return conv2d_weight(x, shape, y, stride, paddings)
        rows, columns = (_amounts(n, side, stride) for n in x.shape[2:])
        x = F.pad(x, (*columns, *rows))
        if not _is_small(y, small, y.shape[1]):
            return conv2d_weight(x, shape, y, stride)
        patches = x.unfold(2, side, stride).unfold(3, side, stride)  # [B, C, h, w, k, k]
        patches = patches.permute(0, 2, 3, 4, 5, 1).reshape(y[:, 0].numel(), -1).t()  # [k k C, B h w]
        values = y.transpose(0, 1).reshape(len(y[0]), -1)  # [C', B h w]
        kernel = _product(patches.contiguous(), values).t()  # [C', k k C]
        return kernel.reshape(shape[0], side, side, shape[1]).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (x, y), (kernel,) = ctx.saved_tensors, gradients
        at_x, at_y, _, _ = ctx.needs_input_grad
        return (
            conv2d_transpose(y, kernel, ctx.stride, x.shape[2:]) if at_x else None,
            conv2d(x, kernel, ctx.stride) if at_y else None,
            None,
            None,
        )


def _amounts(size: int, side: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis of ``size`` under a kernel of ``side``."""
    total = max((-(-size // stride) - 1) * stride + side - size, 0)
    return total // 2, total - total // 2


def _framing(size: Any, side: int, stride: int) -> tuple[list[int], list[int], list[int]]:
    """The equal padding, and the outputs to drop, that give SAME without padding the image: no copy, but that of a row.

    Padded by ``before`` and a multiple of the stride, an axis gives that many more outputs at its start.
    """
    amounts = [_amounts(n, side, stride) for n in size]
    drops = [-(-(after - before) // stride) for before, after in amounts]
    paddings = [before + stride * drop for (before, _), drop in zip(amounts, drops, strict=True)]
    return paddings, drops, [-(-n // stride) for n in size]


def _product(left: Tensor, right: Tensor) -> Tensor:
    """``[m, n]`` by ``[l, n]`` to ``[m, l]``, as a convolution of single pixels.

    On AMD processors oneDNN, which computes convolutions, is twice as fast as MKL, which computes matrix products.
    """
    if len(left) % _PIXELS:
        return left @ right.t()
    pixels = left.view(_PIXELS, -1, 1, left.shape[1]).permute(0, 3, 1, 2)  # [16, n, m / 16, 1]
    return F.conv2d(pixels, right[:, :, None, None]).permute(0, 2, 3, 1).reshape(len(left), -1)


def _is_small(x: Tensor, shape: Sequence[int], channels: int) -> bool:
    if torch.compiler.is_compiling():  # torch.export: one graph for every batch
        return False
    deep = max(shape) <= SMALL < len(x) and channels >= WIDE
    return deep and x.device.type == "cpu" and len(x) % 2 == 0


def _deep(x: Tensor) -> Tensor:
    """``[B, C, H, W]`` as ``[2, C, H, W, B / 2]``: a batch of one torch would often compute without oneDNN."""
    return x.unflatten(0, (2, -1)).permute(0, 2, 3, 4, 1).contiguous(memory_format=torch.channels_last_3d)


def _flat(x: Tensor) -> Tensor:
    """``[2, C, H, W, B / 2]`` as ``[B, C, H, W]``."""
    return x.permute(0, 4, 1, 2, 3).flatten(0, 1).contiguous(memory_format=torch.channels_last)


def _deep_kernel(kernel: Tensor) -> Tensor:
    return kernel[..., None].contiguous(memory_format=torch.channels_last_3d)
