"""A whole training state converted from one implementation's names and layouts to the other's, bit for bit.

Arrays that belong to a parameter (moments, mean squares, moving averages) are transformed as the parameter is. The
order of dense layers' units beside images is probed on the configuration's own networks, never assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import keras
import numpy as np

import tf_impl
import torch_impl
from parity.capture.steps import STATISTICS
from parity.numerics.weight_axes import WeightTransform
from parity.transfer.copying import aligned
from shared_impl.config.schema import Config
from shared_impl.config.systems import ModelConfig
from shared_impl.storage.checkpoints import CheckpointError, validate_arrays
from tf_impl.growing import network_at_stage
from tf_impl.layers import names_of

Array = np.ndarray
Arrays = dict[str, Array]
Shape = tuple[int, ...]

# The first word of an array's name, and the network whose parameters it belongs to. Other arrays belong to none.
NETWORKS = {"generator": "generator", "ema": "generator", "discriminator": "discriminator"}
OPTIMIZERS = {"g_optimizer": "generator", "d_optimizer": "discriminator"}  # SCOPE/SLOT/PARAMETER and SCOPE/updates


@dataclass(frozen=True)
class ConvertedArray:
    """A parameter or running statistic: its name and shape in either framework, and the transform between them."""

    keras: str
    torch: str
    keras_shape: Shape
    torch_shape: Shape
    slot: str
    transform: WeightTransform

    @property
    def trainable(self) -> bool:
        """Whether an optimiser updates it."""
        return self.slot not in STATISTICS

    def to_torch(self, array: Array) -> Array:
        """From Keras's layout into torch's."""
        return self.transform.to_torch(self.slot, array)

    def to_keras(self, array: Array) -> Array:
        """From torch's layout into Keras's."""
        return self.transform.to_keras(self.slot, array, self.keras_shape)


def to_torch(arrays: Mapping[str, Array], config: Config) -> Arrays:
    """A Keras training state as the torch implementation keeps it; arrays that belong to no parameter are unchanged.

    Raises CheckpointError if names or shapes are not those of the configuration's networks, naming each difference.
    """
    return _convert(
        arrays, config, lambda p: (p.keras, p.keras_shape), lambda p, array: (p.torch, p.to_torch(array))
    )  # fmt: skip


def to_keras(arrays: Mapping[str, Array], config: Config) -> Arrays:
    """A torch training state as the Keras implementation keeps it; otherwise as :func:`to_torch`."""
    return _convert(
        arrays, config, lambda p: (p.torch, p.torch_shape), lambda p, array: (p.keras, p.to_keras(array))
    )  # fmt: skip


@lru_cache(maxsize=2)
def reference_network(model: ModelConfig, network: str) -> keras.Model:
    """The Keras network of a configuration; callers must not change it."""
    return tf_impl.build(model, network)


@lru_cache(maxsize=8)
def converted_arrays(model: ModelConfig, network: str) -> tuple[ConvertedArray, ...]:
    """Every parameter and running statistic of the ``generator`` or ``discriminator``, in the order they run."""
    reference = reference_network(model, network)
    names = names_of(reference)
    if model.stages:
        reference = network_at_stage(reference, model, network, len(model.stages) - 1)
    comparison = aligned(reference, torch_impl.build(model, network))
    return tuple(
        ConvertedArray(
            keras=names[id(variable)],
            torch=match.port.handle[slot],
            keras_shape=tuple(match.reference.shapes[slot]),
            torch_shape=tuple(match.port.shapes[slot]),
            slot=slot,
            transform=comparison.layouts.weight_transform(match),
        )
        for match in comparison.matching.matches
        for slot, variable in (match.reference.handle or {}).items()
    )


def check_finite(arrays: Mapping[str, Array], where: str) -> None:
    """CheckpointError, opening with ``where``, if an array holds NaN or infinity."""
    if nonfinite := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise CheckpointError(f"{where} holds NaN or infinity ({', '.join(nonfinite)}): take an earlier checkpoint")


def advice(config: Config) -> str:
    """The options of a configuration that cannot be converted, as the end of a sentence; empty if there are none."""
    padding = getattr(config.model, "padding", "same")
    if padding == "same":
        return ""
    return f" (model.padding={padding} is torch's alone: only model.padding=same means the same in both)"


def _convert(
    arrays: Mapping[str, Array],
    config: Config,
    here: Callable[[ConvertedArray], tuple[str, Shape]],
    convert: Callable[[ConvertedArray, Array], tuple[str, Array]],
) -> Arrays:
    known = {
        f"{group}/{here(entry)[0]}": (group, entry)
        for group in dict.fromkeys(filter(None, map(group_of, arrays)))
        for entry in _arrays_of(group, config)
    }
    validate_arrays(
        {name: array.shape for name, array in arrays.items() if group_of(name)},
        {name: here(entry)[1] for name, (_, entry) in known.items()},
    )
    return dict(_convert_array(name, array, known, convert) for name, array in arrays.items())


def _convert_array(
    name: str,
    array: Array,
    known: Mapping[str, tuple[str, ConvertedArray]],
    convert: Callable[[ConvertedArray, Array], tuple[str, Array]],
) -> tuple[str, Array]:
    if name not in known:
        return name, array
    group, entry = known[name]
    there, converted = convert(entry, array)
    return f"{group}/{there}", converted


def trained(name: str) -> bool:
    """Whether an array is a trainer's; a checkpoint holds others."""
    return name.partition("/")[0] in NETWORKS | OPTIMIZERS


def group_of(name: str) -> str:
    """``generator``, ``g_optimizer/m`` and so on: what stands before a parameter's name; empty for anything else."""
    scope, _, rest = name.partition("/")
    if scope in OPTIMIZERS:
        slot, slash, _ = rest.partition("/")
        return f"{scope}/{slot}" if slash else ""
    return scope if scope in NETWORKS else ""


def _arrays_of(group: str, config: Config) -> Iterator[ConvertedArray]:
    scope = group.partition("/")[0]
    network = (NETWORKS | OPTIMIZERS)[scope]
    yield from (p for p in converted_arrays(config.model, network) if scope in NETWORKS or p.trainable)
