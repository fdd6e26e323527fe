"""How the axes of each parameter are ordered in Keras and in torch. Plain NumPy.

Kernels: HWIO -> OIHW and transposed HWOI -> IOHW are the same permutation (last, last but one, then the spatial
axes). A mirrored copy also flips the spatial axes. To correct or add an axis order: a row in :data:`AXIS_RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from parity.numerics.copies import contiguous

Array = np.ndarray


@dataclass(frozen=True)
class AxisRule:
    """``to_torch(array)``, ``to_keras(array, keras_shape)``; a mirrored copy flips the ``spatial`` axes (in Keras)."""

    to_torch: Callable[[Array], Array]
    to_keras: Callable[[Array, tuple[int, ...]], Array]
    spatial: Callable[[tuple[int, ...]], tuple[int, ...]] = lambda shape: ()


def _kernel_to_torch(kernel: Array) -> Array:
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def _kernel_to_keras(weight: Array, shape: tuple[int, ...]) -> Array:
    return np.moveaxis(weight, (0, 1), (-1, -2))


def _depthwise_to_torch(kernel: Array) -> Array:
    *spatial, channels, multiplier = kernel.shape
    return np.moveaxis(kernel, (-2, -1), (0, 1)).reshape(channels * multiplier, 1, *spatial)


def _depthwise_to_keras(weight: Array, shape: tuple[int, ...]) -> Array:
    *spatial, channels, multiplier = shape
    return np.moveaxis(weight.reshape(channels, multiplier, *spatial), (0, 1), (-2, -1))


def _kernel_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(range(len(shape) - 2))


def _per_channel_to_torch(alpha: Array) -> Array:
    return alpha.reshape(-1) if all(n == 1 for n in alpha.shape[:-1]) else np.moveaxis(alpha, -1, 0)


def _per_channel_to_keras(weight: Array, shape: tuple[int, ...]) -> Array:
    return weight.reshape(shape) if all(n == 1 for n in shape[:-1]) else np.moveaxis(weight, 0, -1)


def _rest_to_torch(vector: Array) -> Array:
    return np.moveaxis(vector, -1, 0).reshape(-1)


def _rest_to_keras(vector: Array, shape: tuple[int, ...]) -> Array:
    return np.moveaxis(vector.reshape(shape[-1], *shape[:-1]), 0, -1)


def _kernel_rest(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(range(len(shape) - 1))


FLAT = AxisRule(lambda array: array.reshape(-1), lambda array, shape: array.reshape(shape))
PLAIN = AxisRule(lambda array: array, lambda array, shape: array)
CONV = AxisRule(_kernel_to_torch, _kernel_to_keras, _kernel_axes)
ROW_PER_INPUT = ("kernel", "singular_v")
"""Slots of a dense layer that have one row per input feature."""
AXIS_RULES: dict[tuple[str, str], AxisRule] = {
    ("conv", "kernel"): CONV,
    ("conv-transpose", "kernel"): CONV,
    ("depthwise", "kernel"): AxisRule(_depthwise_to_torch, _depthwise_to_keras, _kernel_axes),
    ("dense", "kernel"): AxisRule(lambda kernel: kernel.T, lambda weight, shape: weight.T),
    ("affine", "scale"): FLAT,
    ("affine", "offset"): FLAT,
    ("prelu", "alpha"): AxisRule(_per_channel_to_torch, _per_channel_to_keras),
    ("layernorm", "gamma"): AxisRule(lambda g: np.moveaxis(g, -1, 0), lambda w, shape: np.moveaxis(w, 0, -1)),
    **{(layout, "singular_u"): FLAT for layout in ("conv", "conv-transpose", "depthwise", "dense")},
    **{
        (layout, "singular_v"): AxisRule(_rest_to_torch, _rest_to_keras, _kernel_rest)
        for layout in ("conv", "conv-transpose", "dense")
    },
    ("layernorm", "beta"): AxisRule(lambda b: np.moveaxis(b, -1, 0), lambda w, shape: np.moveaxis(w, 0, -1)),
}


def own_parameter_axes(keras_shape: tuple[int, ...], torch_shape: tuple[int, ...]) -> str:
    """Axis order of a block's own parameter: "plain", "moved" (channels last to first), or "" if it is ambiguous."""
    a, b = ([n for n in shape if n != 1] for shape in (keras_shape, torch_shape))
    fitting = ["plain"] * (a == b) + ["moved"] * (len(a) > 1 and [a[-1], *a[:-1]] == b)
    return fitting[0] if len(fitting) == 1 else ""


@dataclass(frozen=True)
class WeightTransform:
    """How one layer's parameters are transferred.

    Attributes:
        layout: the kernel layout, a key of :data:`AXIS_RULES`.
        inputs: ``inputs[i]`` is the reference feature that the port's input feature ``i`` holds; None: the same order.
            Differs where the port flattens an image in another order.
        outputs: the same for output features; differs where the port reshapes them to an image.
        mirrored: flip the spatial axes of kernels.
        ones: how many more axes of length one the port's kernel has (a 1 x 1 convolution for a dense layer), or,
            negative, how many fewer.
        shapes: the port's shapes of a block's own parameters, which no axis rule covers.
    """

    layout: str
    inputs: Array | None = None
    outputs: Array | None = None
    mirrored: bool = False
    ones: int = 0
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def to_torch(self, slot: str, array: Array) -> Array:
        """A Keras parameter as torch stores it, in C order."""
        return contiguous(self.torch_view(slot, array))

    def torch_view(self, slot: str, array: Array) -> Array:
        """A Keras parameter as torch stores it, copied only where its values are reordered."""
        if slot in self.shapes:
            moved = own_parameter_axes(array.shape, self.shapes[slot]) == "moved"
            return np.asarray(np.moveaxis(array, -1, 0) if moved else array, order="C").reshape(self.shapes[slot])
        array = self._flipped(slot, array)
        if self.layout == "dense" and slot in ROW_PER_INPUT and self.inputs is not None:
            array = array[self.inputs]
        if self.outputs is not None and slot != "singular_v":
            array = np.take(array, self.outputs, axis=-1)
        array = self._rule(slot).to_torch(array)
        return array.reshape(*array.shape[:2], *[1] * self.ones) if self.ones and slot == "kernel" else array

    def to_keras(self, slot: str, array: Array, shape: tuple[int, ...]) -> Array:
        """A torch parameter as Keras stores it, in C order; ``shape`` is the shape that Keras expects."""
        return contiguous(self.keras_view(slot, array, shape))

    def keras_view(self, slot: str, array: Array, shape: tuple[int, ...]) -> Array:
        """The same, copied only where values are reordered."""
        if slot in self.shapes:
            moved = own_parameter_axes(shape, array.shape) == "moved"
            array = np.moveaxis(array.reshape(shape[-1], *shape[:-1]), 0, -1) if moved else array
            return np.asarray(array, order="C").reshape(shape)
        if self.ones and slot == "kernel":
            array = array.reshape(*array.shape[:2], *[1] * -self.ones)
        array = self._rule(slot).to_keras(array, shape)
        if self.outputs is not None and slot != "singular_v":
            array = np.take(array, np.argsort(self.outputs), axis=-1)
        if self.layout == "dense" and slot in ROW_PER_INPUT and self.inputs is not None:
            array = array[np.argsort(self.inputs)]
        return self._flipped(slot, array)

    def shape(self, slot: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The shape in which torch stores a Keras parameter of that shape; None if the rule does not apply to it."""
        try:
            return self.torch_view(slot, np.broadcast_to(np.int8(0), shape)).shape
        except (IndexError, ValueError):
            return None

    def _rule(self, slot: str) -> AxisRule:
        return AXIS_RULES.get((self.layout, slot), PLAIN)

    def _flipped(self, slot: str, array: Array) -> Array:
        return np.flip(array, self._rule(slot).spatial(array.shape)) if self.mirrored else array
