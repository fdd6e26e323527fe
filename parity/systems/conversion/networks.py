"""One network of a training state, built in either implementation, as a function of arrays in Keras's layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import torch
from torch import nn

import tf_impl
import tf_impl.checkpoints
import torch_impl
import torch_impl.checkpoints
from parity.systems.conversion.states import NETWORKS, Arrays, check_finite, to_keras, to_torch
from shared_impl.config.presets import checked, select
from shared_impl.config.schema import Config
from shared_impl.draws import Draws
from shared_impl.storage.checkpoints import Checkpoint, CheckpointError, validate_arrays
from shared_impl.training.growing import is_grown, is_head
from tf_impl.layers import precision

Array = np.ndarray
Function = Callable[..., Array]  # of a batch's inputs, each an array
# The scopes that hold each network, the better one first.
SCOPES = {"generator": ("ema", "generator"), "discriminator": ("discriminator",)}
WORDS = {
    "ema": "the generator's moving average",
    "generator": "the generator",
    "discriminator": "the discriminator",
}


@dataclass(frozen=True)
class Source:
    """A network as a checkpoint holds it: ``arrays`` are those of one ``scope``, in the layout of ``framework``."""

    config: Config
    framework: str
    scope: str
    arrays: Arrays

    @property
    def network(self) -> str:
        """``generator`` or ``discriminator``."""
        return NETWORKS[self.scope]

    @property
    def dtype(self) -> str:
        """``float32``, or ``float64`` if the run was made in it; bfloat16 runs keep their weights in float32."""
        return "float64" if self.config.training.precision == "float64" else "float32"

    def across(self, framework: str) -> Source:
        """The same network in the layout of ``framework``."""
        if framework == self.framework:
            return self
        converted = (to_torch if framework == "torch" else to_keras)(self.arrays, self.config)
        return replace(self, framework=framework, arrays=converted)

    def build(self, dtype: str) -> Any:
        """The network in its framework, computing in ``dtype``, ready to be evaluated.

        Raises CheckpointError if the arrays are not those of the configuration's network.
        """
        return BUILDERS[self.framework](self, dtype)

    def function(self, dtype: str) -> Function:
        """The network computing in ``dtype``, from and to arrays in Keras's layout."""
        return FUNCTIONS[self.framework](self.build(dtype))

    def inputs(self, count: int, dtype: str) -> list[Array]:
        """Latents ``[count, nz]`` as in training, or images ``[count, H, W, C]`` ~ U(-1, 1), and the classes of a
        conditional network.
        """
        draws, model = Draws(self.config.training.seed), self.config.model
        if self.network == "generator":
            drawn = draws.latents(self.config.training.latents, "convert", (count, model.nz))
        else:
            side = model.side
            drawn = 2 * draws.uniform("convert", (count, side, side, model.nc)) - 1
        labelled = model.labels and not (model.auxiliary and self.network == "discriminator")
        classes = [(model.labels * draws.uniform("convert classes", (count,))).astype(np.int64)] if labelled else []
        return [drawn.astype(np.float32).astype(dtype), *classes]


def source(checkpoint: Checkpoint, network: str) -> Source:
    """A network of a checkpoint: of the generator its moving average, where there is one.

    One that has grown is what it has become, a network that does not grow. Raises ConfigError for another network and
    an unknown configuration, CheckpointError if the state lacks the network, or it holds NaN or is still growing.
    """
    scopes = select(SCOPES, network, "network")
    config = checked(Config, checkpoint.manifest["config"], where=str(checkpoint.path))
    for scope in scopes:
        if found := {name: array for name, array in checkpoint.arrays.items() if name.startswith(f"{scope}/")}:
            check_finite(found, f"{checkpoint.path}: the network")
            if config.model.stages:
                config, found = _grown(checkpoint, config, found)
            return Source(config, checkpoint.manifest["framework"], scope, found)
    raise CheckpointError(f"{checkpoint.path}: holds no {network}")


def _grown(checkpoint: Checkpoint, config: Config, arrays: Arrays) -> tuple[Config, Arrays]:
    """Configuration and arrays of the whole network, which no longer needs its ways out at smaller sizes."""
    if not is_grown(config, checkpoint.step):
        raise CheckpointError(
            f"{checkpoint.path}: after {checkpoint.step} steps the networks are still growing through "
            f"{', '.join(map(str, config.model.stages))} pixels: train on until the last size is faded in"
        )
    plain = config.model.model_copy(update={"growing": ()})
    whole = {name: array for name, array in arrays.items() if not is_head(name)}
    return config.model_copy(update={"model": plain}), whole


def keras_function(model: keras.Model) -> Function:
    """A Keras model in evaluation mode."""
    return lambda *given: joined(model(given[0] if len(given) == 1 else list(given), training=False))


def torch_function(module: nn.Module | Callable[..., Any]) -> Function:
    """A torch module in evaluation mode; images change their layout on the way in and out."""

    def run(*given: Array) -> Array:
        with torch.no_grad():
            return joined(module(*(torch.from_numpy(channels_first(x)) for x in given)), channels_last)

    return run


def joined(outputs: Any, arranged: Callable[[Array], Array] = lambda x: x) -> Array:
    """A network's output; of several, all of a sample's numbers in a row."""
    if not isinstance(outputs, (tuple, list)):
        return arranged(np.asarray(outputs))
    return np.concatenate([np.asarray(part).reshape(len(part), -1) for part in outputs], axis=1)


def channels_first(x: Array) -> Array:
    """Images ``[B, H, W, C]`` to ``[B, C, H, W]``; anything else as it is."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim == 4 else x


def channels_last(x: Array) -> Array:
    """Images ``[B, C, H, W]`` to ``[B, H, W, C]``; anything else as it is."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)) if x.ndim == 4 else x


def _keras(source: Source, dtype: str) -> keras.Model:
    """A plain ``keras.Sequential`` named like the network, so that a file of it asks for no class of this project."""
    with precision(dtype):
        built = tf_impl.build(source.config.model, source.network)
        network = type(built).from_config({**built.get_config(), "name": source.network})
    variables = tf_impl.checkpoints.weights(built)
    arrays = _fitting(source, {name: tuple(variable.shape) for name, variable in variables.items()})
    for name, variable in variables.items():
        variable.assign(arrays[name].astype(dtype))
    network.set_weights(built.get_weights())
    return network


def _torch(source: Source, dtype: str) -> nn.Module:
    network = torch_impl.build(source.config.model, source.network).to(getattr(torch, dtype)).eval()
    tensors = torch_impl.checkpoints.weights(network)
    arrays = _fitting(source, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.from_numpy(arrays[name]))
    return network.requires_grad_(False)


def _fitting(source: Source, shapes: dict[str, tuple[int, ...]]) -> Arrays:
    arrays = {name.removeprefix(f"{source.scope}/"): array for name, array in source.arrays.items()}
    validate_arrays({name: array.shape for name, array in arrays.items()}, shapes)
    return arrays


BUILDERS: dict[str, Callable[[Source, str], Any]] = {"tensorflow": _keras, "torch": _torch}
FUNCTIONS: dict[str, Callable[[Any], Function]] = {"tensorflow": keras_function, "torch": torch_function}
