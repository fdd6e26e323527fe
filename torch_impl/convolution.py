"""Convolution by products of patches and kernel, in torch, NCHW; twin of tf_impl/convolution.py.

Where kernels are far larger than images, as in SpecGAN's innermost layer (13 million weights, 8x8 to 4x4), a
processor's convolution spends its time on moving weights: one matrix product is two to three times as fast. The
convolution, its transpose and the kernel's gradient are all linear in each of two arguments, and each other's
derivatives: so a derivative of any order is one of the three again. SAME padding, stride 2.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from torch_impl.layers import Conv2d, ConvTranspose2d, replace_modules

STRIDE = 2
LARGE = 2**23  # weights of a kernel from which on this is faster: 13e6 two to three times as fast, 3e6 no faster


def use_fast_path(network: nn.Module) -> nn.Module:
    """Let a network's very large layers be computed this way, where it is the faster one; changed in place."""
    return replace_modules(network, _fast_version)


def on_fast_path(layer: nn.Module) -> bool:
    """Whether :func:`use_fast_path` has changed how the layer is computed."""
    return isinstance(layer, (_FastConv2d, _FastConvTranspose2d))


def convolve(images: Tensor, kernel: Tensor) -> Tensor:
    """``[B, C, H, W]`` and ``[D, C, k, k]`` to ``[B, D, ceil(H / 2), ceil(W / 2)]``."""
    return _Convolve.apply(images, kernel)


def spread(features: Tensor, kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """The transpose: ``[B, D, ceil(H / 2), ceil(W / 2)]`` and ``[D, C, k, k]`` to ``[B, C, H, W]`` of ``size``."""
    return _Spread.apply(features, kernel, size)


def correlate(images: Tensor, features: Tensor, side: int) -> Tensor:
    """The kernel's gradient: ``[B, C, H, W]`` and ``[B, D, ceil(H / 2), ceil(W / 2)]`` to ``[D, C, side, side]``."""
    return _Correlate.apply(images, features, side)


class _FastConv2d(Conv2d):
    """As :class:`Conv2d`, by :func:`convolve`."""

    def forward(self, input: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C', ceil(H / 2), ceil(W / 2)]``."""
        if torch.is_autocast_enabled(input.device.type):
            return super().forward(input)
        return _with(self.bias, convolve(input, self.weight))


class _FastConvTranspose2d(ConvTranspose2d):
    """As :class:`ConvTranspose2d`, by :func:`spread`."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C', 2 H, 2 W]``."""
        if torch.is_autocast_enabled(input.device.type):
            return super().forward(input, output_size)
        return _with(self.bias, spread(input, self.weight, (STRIDE * input.shape[2], STRIDE * input.shape[3])))


_FAST_LAYERS: dict[type, type] = {Conv2d: _FastConv2d, ConvTranspose2d: _FastConvTranspose2d}


def _fast_version(layer: nn.Module) -> nn.Module | None:
    """A layer that computes with the same parameters by matrix products, where that is faster."""
    if type(layer) not in _FAST_LAYERS or not _is_faster(layer):
        return None
    given: Any = layer
    with torch.device("meta"):
        fast = _FAST_LAYERS[type(layer)](given.in_channels, given.out_channels, given.kernel_size[0], STRIDE)
    fast.weight, fast.bias = given.weight, given.bias
    return fast.train(layer.training)


class _Convolve(Function):
    @staticmethod
    def forward(context: Any, images: Tensor, kernel: Tensor) -> Tensor:
        context.save_for_backward(images, kernel)
        side = kernel.shape[-1]
        height, width = (-(-n // STRIDE) for n in images.shape[2:])
        made = _product(_patches(images, side), _rows(kernel))
        return made.view(len(images), height, width, -1).permute(0, 3, 1, 2)

    @staticmethod
    def backward(context: Any, cotangent: Tensor) -> Any:
        images, kernel = context.saved_tensors
        by_images, by_kernel = context.needs_input_grad
        return (
            spread(cotangent, kernel, tuple(images.shape[2:])) if by_images else None,
            correlate(images, cotangent, kernel.shape[-1]) if by_kernel else None,
        )


class _Spread(Function):
    @staticmethod
    def forward(context: Any, features: Tensor, kernel: Tensor, size: tuple[int, int]) -> Tensor:
        context.save_for_backward(features, kernel)
        side, channels, (batch, _, height, width) = kernel.shape[-1], kernel.shape[1], features.shape
        taps = _product(features.permute(0, 2, 3, 1).flatten(0, 2), _rows(kernel).t().contiguous())
        taps = taps.view(batch, height, width, side, side, channels)
        more = -(-side // STRIDE) - 1
        spread = taps.new_zeros(batch, height + more, STRIDE, width + more, STRIDE, channels)
        for i in range(side):
            for j in range(side):
                top, left = i // STRIDE, j // STRIDE
                place = spread[:, top : top + height, i % STRIDE, left : left + width, j % STRIDE]
                place += taps[:, :, :, i, j]
        (top, _), (left, _) = (_amounts(n, side) for n in size)
        whole = spread.view(batch, STRIDE * (height + more), STRIDE * (width + more), channels)
        return whole[:, top : top + size[0], left : left + size[1]].permute(0, 3, 1, 2)

    @staticmethod
    def backward(context: Any, cotangent: Tensor) -> Any:
        features, kernel = context.saved_tensors
        by_features, by_kernel, _ = context.needs_input_grad
        return (
            convolve(cotangent, kernel) if by_features else None,
            correlate(cotangent, features, kernel.shape[-1]) if by_kernel else None,
            None,
        )


class _Correlate(Function):
    @staticmethod
    def forward(context: Any, images: Tensor, features: Tensor, side: int) -> Tensor:
        context.save_for_backward(images, features)
        patches = _patches(images, side).t().contiguous()
        made = _product(features.permute(1, 0, 2, 3).flatten(1), patches)
        return made.view(-1, side, side, images.shape[1]).permute(0, 3, 1, 2)

    @staticmethod
    def backward(context: Any, cotangent: Tensor) -> Any:
        images, features = context.saved_tensors
        by_images, by_features, _ = context.needs_input_grad
        return (
            spread(features, cotangent, tuple(images.shape[2:])) if by_images else None,
            convolve(images, cotangent) if by_features else None,
            None,
        )


def _is_faster(layer: Any) -> bool:
    halves = layer.same and layer.stride == (STRIDE, STRIDE)
    return halves and layer.weight.numel() >= LARGE and layer.weight.device.type == "cpu"


def _with(bias: Tensor | None, features: Tensor) -> Tensor:
    return features if bias is None else features + bias[:, None, None]


def _amounts(size: int, side: int) -> tuple[int, int]:
    total = max((-(-size // STRIDE) - 1) * STRIDE + side - size, 0)
    return total // 2, total - total // 2


def _patches(images: Tensor, side: int) -> Tensor:
    """What each window sees, ``[B H/2 W/2, side side C]``."""
    rows, columns = (_amounts(n, side) for n in images.shape[2:])
    windows = F.pad(images, (*columns, *rows)).unfold(2, side, STRIDE).unfold(3, side, STRIDE)
    return windows.permute(0, 2, 3, 4, 5, 1).reshape(-1, side * side * images.shape[1])


def _rows(kernel: Tensor) -> Tensor:
    """``[D, C, k, k]`` as ``[D, k k C]``."""
    return kernel.permute(0, 2, 3, 1).reshape(len(kernel), -1)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """``[m, n]`` and ``[l, n]`` to ``[m, l]``, as a 1x1 convolution: faster in oneDNN than a product in MKL."""
    pixels = left.reshape(1, -1, 1, left.shape[1]).permute(0, 3, 1, 2)
    return F.conv2d(pixels, right[:, :, None, None]).permute(0, 2, 3, 1).reshape(len(left), -1)
