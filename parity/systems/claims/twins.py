"""What the claims are measured on: chains of both implementations in float64, with weights carried in every way.

The frameworks are imported when the first network is built. ``direct`` copies kernels as they are into a port with
the symmetric padding that the check-list prescribes; ``mirrored`` flips them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from parity.numerics.difference import difference
from parity.numerics.weight_axes import WeightTransform
from parity.padding import FIT

Array = np.ndarray
SLOTS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
LAYOUTS = {"Conv2DTranspose": "conv-transpose", "Conv2D": "conv", "Dense": "dense"}
AGREE = FIT  # float64 rounding stays near 1e-13, another padding or order misses by 1e-3: parity/padding/probe.py
BATCH = 2
CLASSES = {"specgan": "SpecGAN", "dcgan": "DCGAN", "upsample_dcgan": "UpsampleDCGAN", "soundgan": "SoundGAN"}


class Twin:
    """A Keras network filled with random weights, and its port in the paddings and copies asked for.

    ``implementation`` is a system whose networks are chains (:data:`CLASSES`), ``network`` a class name in both implementations,
    ``options`` those of both.
    ``smooth`` fills convolutions with bell-shaped kernels, so that a generator draws clouds instead of noise.
    """

    def __init__(self, implementation: str, network: str, seed: int = 0, smooth: bool = False, **options: Any):
        self.implementation, self.network, self.smooth, self.options = implementation, network, smooth, options
        self.rng = np.random.RandomState(seed)
        self._errors: WeakKeyDictionary[Any, dict[Any, float]] = WeakKeyDictionary()  # many claims ask for the same

    @cached_property
    def reference(self) -> Any:
        """The Keras model, float64, every weight random."""
        import tf_impl

        with keras_float64():
            model = getattr(getattr(tf_impl, self.implementation), self.network)(**self.options)
        for variable in model.weights:
            noise = self.rng.standard_normal(variable.shape)
            bell = self.smooth and noise.ndim == 4
            variable.assign(_bell(noise) if bell else _value(variable.name, noise))
        return model

    def port(self, padding: str = "same", mirrored: bool = False, ordered: bool = True) -> Any:
        """The torch module, float64, evaluation mode, with the reference's weights."""
        import torch_impl

        options = dict(self.options, padding=padding) if self.implementation == "specgan" else self.options
        module = getattr(getattr(torch_impl, self.implementation), self.network)(**options).double().eval()
        carry(self.reference, module, mirrored, ordered)
        return module

    @cached_property
    def exact(self) -> Any:
        """The port as this project builds it."""
        return self.port()

    @cached_property
    def direct(self) -> Any:
        """The port as the check-list prescribes it: symmetric padding, kernels copied as they are."""
        return self.port(padding="symmetric")

    @cached_property
    def inputs(self) -> Array:
        """A random batch in the reference's layout."""
        return self.rng.uniform(-1, 1, (BATCH, *self.reference.input_shape[1:]))

    @cached_property
    def outputs(self) -> dict[str, Array]:
        """The reference's output of every layer by name, on :attr:`inputs`."""
        value, found = self.inputs, {}
        for layer in self.reference.layers:
            value = layer(value)
            found[layer.name] = np.asarray(value)
        return found

    @property
    def result(self) -> Array:
        """The reference's last output."""
        return list(self.outputs.values())[-1]

    @cached_property
    def port_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every layer's output in the port."""
        value, shapes = to_torch(self.inputs), {}
        for name, child in self.exact.named_children():
            value = child(value)
            shapes[name] = tuple(value.shape)
        return shapes

    def error(self, module: Any, flipped: bool = False) -> float:
        """Relative error of a port's output; ``flipped`` turns the images at its edges over."""
        known = self._known(module)
        if flipped not in known:
            inputs = turned(self.inputs) if flipped else self.inputs
            result = to_numpy(module(to_torch(inputs)))
            known[flipped] = difference(turned(result) if flipped else result, self.result).relative
        return known[flipped]

    def layer_error(self, module: Any, name: str, flipped: bool = False) -> float:
        """Relative error of one layer that is fed the reference's input; infinite where shapes differ."""
        known = self._known(module)
        if (name, flipped) not in known:
            known[name, flipped] = self._layer_error(module, name, flipped)
        return known[name, flipped]

    def _known(self, module: Any) -> dict[Any, float]:
        """The errors found so far of a port that is kept; of one that its maker may still change, none."""
        kept = any(vars(self).get(name) is module for name in ("exact", "direct", "mirrored"))
        return self._errors.setdefault(module, {}) if kept else {}

    def _layer_error(self, module: Any, name: str, flipped: bool) -> float:
        names = list(self.outputs)
        given = self.outputs[names[names.index(name) - 1]] if names.index(name) else self.inputs
        result = to_numpy(module.get_submodule(name)(to_torch(turned(given) if flipped else given)))
        result = turned(result) if flipped else result
        expected = self.outputs[name]
        return difference(result, expected).relative if result.shape == expected.shape else float("inf")

    @cached_property
    def mirrored(self) -> Any:
        """The symmetric port with every kernel flipped."""
        return self.port(padding="symmetric", mirrored=True)

    def layers(self, *kinds: str) -> list[Any]:
        """The reference's layers of these classes."""
        return [layer for layer in self.reference.layers if type(layer).__name__ in kinds]

    def modules(self, *kinds: str) -> list[Any]:
        """The port's modules of these classes."""
        return [module for module in self.exact.modules() if type(module).__name__ in kinds]


class Twins:
    """Every network that some claim needs, built when first asked for."""

    def __init__(self, seed: int = 0):
        self.seed = seed
        self._twins: dict[Any, Twin] = {}

    @property
    def both(self) -> tuple[Twin, Twin]:
        """SpecGAN's generator and discriminator, defaults."""
        return self.generator, self.discriminator

    @property
    def generator(self) -> Twin:
        """SpecGAN's generator, defaults."""
        return self.get("generator")

    @property
    def discriminator(self) -> Twin:
        """SpecGAN's discriminator, defaults."""
        return self.get("discriminator")

    def get(self, network: str, implementation: str = "specgan", smooth: bool = False, **options: Any) -> Twin:
        """A twin, built once: ``generator`` or ``discriminator``."""
        key = implementation, network, smooth, tuple(options.items())
        if key not in self._twins:
            name = CLASSES[implementation] + network.capitalize()
            self._twins[key] = Twin(implementation, name, self.seed, smooth, **options)
        return self._twins[key]


def carry(reference: Any, module: Any, mirrored: bool = False, ordered: bool = True) -> None:
    """Copy weights by name; without ``ordered``, dense features keep the order (h, w, c) that NHWC gives them."""
    import torch

    for layer in reference.layers:
        if not layer.weights:
            continue
        target = module.get_submodule(layer.name)
        crossing = WeightTransform(
            LAYOUTS.get(type(layer).__name__, "vector"), mirrored=mirrored, **_orders(layer, mirrored, ordered)
        )
        for variable in layer.weights:
            value = crossing.to_torch(variable.name, np.asarray(variable))
            getattr(target, SLOTS[variable.name]).data.copy_(torch.from_numpy(value))


def _orders(layer: Any, mirrored: bool, ordered: bool) -> dict[str, Any]:
    if not ordered or type(layer).__name__ != "Dense":
        return {}
    side = "outputs" if layer.name == "z_project" else "inputs"
    size = layer.kernel.shape[1 if side == "outputs" else 0]
    grid = np.arange(size).reshape(4, 4, -1)
    return {side: (grid[::-1, ::-1] if mirrored else grid).transpose(2, 0, 1).ravel()}


def _value(name: str, noise: Array) -> Array:
    if name == "kernel":
        return 1.4 * noise / np.sqrt(np.prod(noise.shape[:-1]))
    return {"gamma": 1 + 0.1 * noise, "moving_variance": 1 + 0.1 * np.abs(noise)}.get(name, 0.1 * noise)


def _bell(noise: Array) -> Array:
    """A transposed convolution's kernel ``[k, k, out, in]``: one bell over the taps, random between channels."""
    taps = np.poly1d([0.5, 0.5]) ** (noise.shape[0] - 1)
    window = 2 * np.asarray(taps.coeffs)  # stride 2: every output pixel then sees weights that add up to one
    return 1.4 * np.multiply.outer(window, window)[..., None, None] * noise[:1, :1] / np.sqrt(noise.shape[-1])


@contextmanager
def keras_float64() -> Iterator[None]:
    """Networks built inside compute in float64."""
    import keras

    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def to_torch(values: Array) -> Any:
    """NHWC values as an NCHW tensor; other ranks as they are."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 1) if values.ndim == 4 else values))


def to_numpy(tensor: Any) -> Array:
    """An NCHW tensor as NHWC values; other ranks as they are."""
    values = tensor.detach().numpy()
    return np.moveaxis(values, 1, -1) if values.ndim == 4 else values


def turned(values: Array) -> Array:
    """Images upside down and left to right; other ranks as they are."""
    return values[:, ::-1, ::-1] if values.ndim == 4 else values
