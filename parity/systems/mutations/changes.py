"""What a mutation does to one layer or operation of a port: small functions that make ``change(old) -> new``."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Change = Callable[[Any], Any]


def instead(make: Callable[[], nn.Module]) -> Change:
    """Another layer in its place."""
    return lambda _: make()


def by(function: Callable[..., Any]) -> Change:
    """Another function in its place."""
    return lambda _: function


def setting(**values: Any) -> Change:
    """The same layer with other settings, set on it."""

    def change(layer: Any) -> Any:
        for name, value in values.items():
            setattr(layer, name, value)
        return layer

    return change


def like(**values: Any) -> Change:
    """A convolution or dense layer made anew with some of its arguments changed."""

    def change(layer: Any) -> nn.Module:
        names = [name for name in type(layer).__constants__ if name not in ("in_features", "out_features")]
        if isinstance(layer, nn.Linear):
            return nn.Linear(layer.in_features, layer.out_features, **values)
        kept = {name: getattr(layer, name) for name in names if name in ("stride", "padding", "dilation", "groups")}
        kept |= {"output_padding": layer.output_padding} if "Transpose" in type(layer).__name__ else {}
        sizes = {"kernel_size": layer.kernel_size, "bias": layer.bias is not None}
        return type(layer)(layer.in_channels, layer.out_channels, **{**kept, **sizes, **values})

    return change


def before(function: Callable[[Tensor], Tensor]) -> Change:
    """Its input goes through a function first."""
    return _altered(lambda old, *inputs: old(function(inputs[0]), *inputs[1:]))


def after(function: Callable[[Any], Any]) -> Change:
    """Its output goes through a function."""
    return _altered(lambda old, *inputs: function(old(*inputs)))


def in_training(function: Callable[[Tensor], Tensor]) -> Change:
    """Its output goes through a function, in training alone."""

    def change(layer: nn.Module) -> nn.Module:
        cls: Any = type(layer)

        def forward(self: Any, *inputs: Tensor) -> Tensor:
            y = cls.forward(self, *inputs)
            return function(y) if self.training else y

        layer.__class__ = type(cls.__name__, (cls,), {"forward": forward})
        return layer

    return change


def _altered(call: Callable[..., Any]) -> Change:
    def change(old: Any) -> Any:
        if not isinstance(old, nn.Module):
            return lambda *inputs: call(old, *inputs)
        cls: Any = type(old)
        body = {"forward": lambda self, *inputs: call(lambda *given: cls.forward(self, *given), *inputs)}
        old.__class__ = type(cls.__name__, (cls,), body)
        return old

    return change


def with_kernel(function: Callable[[Tensor], Tensor]) -> Change:
    """Computes with its kernel put through a function."""

    def change(layer: Any) -> nn.Module:
        cls: Any = type(layer)

        def forward(self: Any, x: Tensor) -> Tensor:
            kept = self._parameters.pop("weight")
            self.weight = function(kept)
            try:
                return cls.forward(self, x)
            finally:
                del self.weight
                self._parameters["weight"] = kept

        layer.__class__ = type(cls.__name__, (cls,), {"forward": forward})
        return layer

    return change


def held_in_evaluation(layer: nn.Module) -> nn.Module:
    """Never goes to training mode."""
    cls: Any = type(layer)
    layer.__class__ = type(cls.__name__, (cls,), {"train": lambda self, mode=True: cls.train(self, False)})
    return layer.eval()


def rounded_to(dtype: torch.dtype) -> Change:
    """Its output is rounded through another precision."""
    return after(lambda y: y.to(dtype).to(y.dtype))


def gradient_lost(y: Tensor) -> Tensor:
    """The values without their gradient."""
    return y.detach()


def twice(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function applied twice."""
    return lambda x: function(function(x))


def unshared(layer: nn.Module) -> nn.Module:
    """A copy of the layer, with weights of its own."""
    return copy.deepcopy(layer)


def weights(**functions: Callable[[Tensor], Tensor]) -> Change:
    """Own weights put through a function each, ``weights(weight=torch.t)``."""

    def change(layer: Any) -> Any:
        with torch.no_grad():
            for name, function in functions.items():
                tensor = getattr(layer, name)
                tensor.copy_(function(tensor.clone()).reshape(tensor.shape))
        return layer

    return change


def exchanged(one: str, other: str) -> Change:
    """Own weights under each other's names."""

    def change(layer: Any) -> Any:
        with torch.no_grad():
            first, second = getattr(layer, one), getattr(layer, other)
            kept = first.clone()
            first.copy_(second)
            second.copy_(kept)
        return layer

    return change
