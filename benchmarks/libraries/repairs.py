"""Changes of a torch library model that make it compute what its Keras counterpart computes, a function each."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import nn

Repair = Callable[[nn.Module], nn.Module]


def chain(*repairs: Repair) -> Repair:
    """One repair after the other."""

    def repair(port: nn.Module) -> nn.Module:
        for one in repairs:
            port = one(port)
        return port

    return repair


def _batch_norms(port: nn.Module) -> Iterator[nn.modules.batchnorm._BatchNorm]:
    return (part for part in port.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm))


def batchnorm_epsilon(value: float) -> Repair:
    """Epsilon of every batch normalization."""

    def repair(port: nn.Module) -> nn.Module:
        for norm in _batch_norms(port):
            norm.eps = value
        return port

    return repair


def batchnorm_momentum(value: float, within: str = "") -> Repair:
    """Momentum, in torch's sense, of every batch normalization whose path has ``within`` in it."""

    def repair(port: nn.Module) -> nn.Module:
        for path, part in port.named_modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and within in path:
                part.momentum = value
        return port

    return repair


def norm_epsilon(value: float) -> Repair:
    """Epsilon of every layer normalization."""

    def repair(port: nn.Module) -> nn.Module:
        for part in port.modules():
            if isinstance(part, nn.LayerNorm):
                part.eps = value
        return port

    return repair


def conv_bias(port: nn.Module) -> nn.Module:
    """A bias in every convolution."""
    for part in port.modules():
        if isinstance(part, nn.Conv2d) and part.bias is None:
            part.bias = nn.Parameter(torch.zeros(part.out_channels))
    return port


def dropout(rate: float) -> Repair:
    """Rate of every dropout of values (not of paths)."""

    def repair(port: nn.Module) -> nn.Module:
        for part in port.modules():
            if isinstance(part, nn.Dropout):
                part.p = rate
        return port

    return repair


def stochastic_depth(rate: float) -> Repair:
    """Rate of every dropout of paths."""

    def repair(port: nn.Module) -> nn.Module:
        for part in port.modules():
            if type(part).__name__ == "StochasticDepth":
                vars(part)["p"] = rate
            elif type(part).__name__ == "DropPath":
                vars(part)["drop_prob"] = rate
        return port

    return repair


class SampleDropout(nn.Module):
    """Dropout of whole samples, scaled, as Keras's with ``noise_shape=(None, 1, 1, 1)``."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W), some samples zero while training."""
        if not self.training or not self.rate:
            return x
        kept = torch.rand(x.shape[0], *[1] * (x.dim() - 1), dtype=x.dtype) >= self.rate
        return x * kept / (1 - self.rate)


def sample_dropout(within: str) -> Repair:
    """Dropouts of values whose path has ``within`` in it drop whole samples."""

    def repair(port: nn.Module) -> nn.Module:
        for path, part in list(port.named_modules()):
            if isinstance(part, nn.Dropout) and within in path:
                replace(port, path, SampleDropout(part.p))
        return port

    return repair


class SamePad(nn.Module):
    """Pads as ``padding="same"`` does in Keras: the odd row and column at the end."""

    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...], value: float = 0.0) -> None:
        super().__init__()
        self.kernel, self.stride, self.value = kernel, stride, value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W), padded for the window and stride of this module."""
        amounts: list[int] = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel[::-1], self.stride[::-1], strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            amounts += [total // 2, total - total // 2]
        return F.pad(x, amounts, value=self.value)


def same_padding(port: nn.Module, least_groups: int = 1) -> nn.Module:
    """Keras's SAME in front of every strided convolution that pads and has at least so many groups."""
    for path, part in list(port.named_modules()):
        if not isinstance(part, nn.Conv2d) or max(part.stride) == 1 or part.groups < least_groups:
            continue
        if part.padding not in ((0, 0), "valid", "same"):
            part.padding = (0, 0)
            replace(port, path, nn.Sequential(SamePad(part.kernel_size, part.stride), part))
    return port


def same_padding_depthwise(port: nn.Module) -> nn.Module:
    """Keras's SAME in front of every strided depthwise convolution."""
    return same_padding(port, least_groups=2)


def same_pooling(port: nn.Module) -> nn.Module:
    """Keras's SAME in front of every maximum with padding."""
    for path, part in list(port.named_modules()):
        if isinstance(part, nn.MaxPool2d) and part.padding:
            part.padding = 0
            pad = SamePad(_both(part.kernel_size), _both(part.stride), float("-inf"))
            replace(port, path, nn.Sequential(pad, part))
    return port


def _both(setting: int | tuple[int, ...]) -> tuple[int, ...]:
    return (setting, setting) if isinstance(setting, int) else setting


def replace(port: nn.Module, path: str, module: nn.Module) -> nn.Module:
    """Put ``module`` where the port has another."""
    parent, _, name = path.rpartition(".")
    port.get_submodule(parent)._modules[name] = module
    return port


def stride_first(port: nn.Module) -> nn.Module:
    """Bottleneck blocks stride in their first convolution, as Keras's ResNet50 does, and not in the second."""
    for block in port.modules():
        if type(block).__name__ == "Bottleneck":
            first, second = vars(block.get_submodule("conv1")), vars(block.get_submodule("conv2"))
            first["stride"], second["stride"] = second["stride"], first["stride"]
    return port


def rewritten(port: nn.Module, method: str, old: str, new: str) -> nn.Module:
    """Replace words in the source of a method of the port's modules, as a user would in a copy of the library."""
    for kind in {type(part) for part in port.modules()}:
        function = kind.__dict__.get(method)
        source = textwrap.dedent(inspect.getsource(function)) if inspect.isfunction(function) else ""
        if old not in source:
            continue
        space: dict[str, object] = {}
        exec(source.replace(old, new), vars(sys.modules[kind.__module__]), space)  # noqa: S102
        changed = type(kind.__name__, (kind,), {method: space[method]})
        for part in port.modules():
            if type(part) is kind:
                part.__class__ = changed
    return port
