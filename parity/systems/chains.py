"""Chains of both implementations in float64 with weights copied in several ways: what claims and pictures are made of.

The frameworks are imported when the first network is built.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import yaml

from parity.numerics.difference import difference
from parity.numerics.weight_axes import WeightTransform
from parity.padding import FIT

Array = np.ndarray
SLOTS = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
         "moving_variance": "running_var"}  # fmt: skip
LAYOUTS = {"Conv2DTranspose": "conv-transpose", "Conv2D": "conv", "Dense": "dense"}
AGREE = FIT  # float64 rounding stays near 1e-13, another padding or order misses by 1e-3: parity/padding/probe.py
BATCH = 2
# Ways of copying weights: as this project does; as the check-list prescribes, with symmetric padding and kernels as
# they are; the same with kernels flipped; and with dense features in the order (h, w, c) that NHWC gives them.
WAYS: dict[str, dict[str, Any]] = {
    "exact": {},
    "direct": {"padding": "symmetric"},
    "mirrored": {"padding": "symmetric", "mirrored": True},
    "unordered": {"ordered": False},
}


class Twin:
    """A Keras chain filled with random weights, and its port with weights copied in each of the :data:`WAYS`.

    ``smooth`` fills convolutions with bell-shaped kernels, so that a generator draws clouds instead of noise.
    """

    def __init__(self, system: str, network: str, seed: int = 0, smooth: bool = False, **options: Any):
        self.system, self.network = system, network
        self.smooth, self.options = smooth, options
        self.rng = np.random.RandomState(seed)
        self.ports: dict[str, Any] = {}
        self._errors: WeakKeyDictionary[Any, dict[str, float]] = WeakKeyDictionary()  # many claims ask for the same

    def built(self, implementation: Any, **options: Any) -> Any:
        """A new network of ``tf_impl`` or ``torch_impl``, with weights as it draws them."""
        return implementation.NETWORKS[self.system][self.network](**self.options, **options)

    @cached_property
    def reference(self) -> Any:
        """The Keras model, float64, every weight random."""
        import tf_impl
        from tf_impl.layers import precision

        with precision("float64"):
            model = self.built(tf_impl)
        for variable in model.weights:
            noise = self.rng.standard_normal(variable.shape)
            variable.assign(_bell(noise) if self.smooth and noise.ndim == 4 else _value(variable.name, noise))
        return model

    def port(self, padding: str = "same", mirrored: bool = False, ordered: bool = True) -> Any:
        """A new torch module, float64, evaluation mode, with the reference's weights."""
        import torch

        import torch_impl

        module = self.built(torch_impl, **({"padding": padding} if self.system == "specgan" else {})).double().eval()
        for layer in (layer for layer in self.reference.layers if layer.weights):
            target, orders = module.get_submodule(layer.name), _orders(layer, mirrored, ordered)
            transform = WeightTransform(LAYOUTS.get(type(layer).__name__, "vector"), mirrored=mirrored, **orders)
            for variable in layer.weights:
                value = torch.from_numpy(transform.to_torch(variable.name, np.asarray(variable)))
                getattr(target, SLOTS[variable.name]).data.copy_(value)
        return module

    def copied(self, way: str) -> Any:
        """The port with its weights copied in one of the :data:`WAYS`, made once."""
        if way not in self.ports:
            self.ports[way] = self.port(**WAYS[way])
        return self.ports[way]

    @property
    def exact(self) -> Any:
        """The port as this project builds it."""
        return self.copied("exact")

    @cached_property
    def inputs(self) -> Array:
        """A random batch in the reference's layout."""
        return self.rng.uniform(-1, 1, (BATCH, *self.reference.input_shape[1:]))

    @cached_property
    def outputs(self) -> dict[str, Array]:
        """The reference's output of every layer by name, in order, on :attr:`inputs`."""
        value, found = self.inputs, {}
        for layer in self.reference.layers:
            value = layer(value)
            found[layer.name] = np.asarray(value)
        return found

    @property
    def result(self) -> Array:
        """The reference's last output."""
        return list(self.outputs.values())[-1]

    def before(self, layer: str) -> Array:
        """The reference's input of a layer."""
        names = list(self.outputs)
        return self.outputs[names[names.index(layer) - 1]] if names.index(layer) else self.inputs

    @cached_property
    def port_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every layer's output in the port."""
        import torch

        value, shapes = to_torch(self.inputs), {}
        with torch.no_grad():
            for name, child in self.exact.named_children():
                value = child(value)
                shapes[name] = tuple(value.shape)
        return shapes

    def error(self, way: str = "exact", layer: str = "") -> float:
        """Relative error of a port, or of one layer on the reference's input; mirrored copies get turned images."""
        known = self._errors.setdefault(self.copied(way), {})
        if layer not in known:
            turn = turned if way == "mirrored" else np.asarray
            module = self.copied(way).get_submodule(layer)
            result = turn(run(module, turn(self.before(layer) if layer else self.inputs)))
            known[layer] = relative_error(result, self.outputs[layer] if layer else self.result)
        return known[layer]

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
        self._twins: dict[str, Twin] = {}

    def __getitem__(self, name: str) -> Twin:
        """The twin of a name with its options, built once: ``specgan generator dim=4 nc=3``."""
        if name not in self._twins:
            system, network, *options = name.split()
            values = {key: yaml.safe_load(value) for key, value in (option.split("=") for option in options)}
            self._twins[name] = Twin(system, network, self.seed, **values)
        return self._twins[name]

    def batch(self, *shape: int, place: int = 0) -> Any:
        """Normal random float64 values of a shape as a tensor, the same in every run of one seed."""
        import torch

        return torch.from_numpy(np.random.RandomState([self.seed, place, *shape]).standard_normal(shape))


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


def drawn(make: Callable[[], Any], seed: int = 0) -> Any:
    """What ``make`` returns where torch draws by this seed; torch's generator is put back."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def run(module: Any, values: Array) -> Array:
    """A torch module's result for NHWC values, as NHWC values, without a graph for gradients."""
    import torch

    with torch.no_grad():
        return to_numpy(module(to_torch(values)))


def relative_error(got: Any, expected: Any) -> float:
    """Relative error of arrays or tensors; infinite where the shapes differ."""
    left, right = (np.asarray(side.detach() if hasattr(side, "detach") else side) for side in (got, expected))
    return difference(left, right).relative if left.shape == right.shape else float("inf")


def to_torch(values: Array) -> Any:
    """NHWC values as an NCHW tensor; other ranks as they are."""
    import torch

    return torch.from_numpy(np.array(np.moveaxis(values, -1, 1) if values.ndim == 4 else values, order="C"))


def to_numpy(tensor: Any) -> Array:
    """An NCHW tensor as NHWC values; other ranks as they are."""
    values = tensor.detach().numpy()
    return np.moveaxis(values, 1, -1) if values.ndim == 4 else values


def turned(values: Array) -> Array:
    """Images upside down and left to right; other ranks as they are."""
    return values[:, ::-1, ::-1] if values.ndim == 4 else values
