"""Parameters whose gradient is rounding noise, and why: they cannot be compared."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import keras
import numpy as np

from parity.systems.conversion.states import NETWORKS, OPTIMIZERS, reference_network
from shared_impl.config.schema import Config
from shared_impl.config.systems import ModelConfig
from tf_impl.attention import SelfAttention
from tf_impl.layers import layers_in

DIFFERENCES = {
    "wgan": "is their difference",
    "wgan-gp": "is their difference",
    "hinge": "is their difference while no score is beyond its margin",
}


def cancelled(config: Config) -> dict[str, str]:
    """The parameters (Keras's names: ``generator/upconv_0/bias``) that do not affect the loss, each with the reason."""
    found = {
        f"{network}/{name}": reason
        for network in ("generator", "discriminator")
        for name, reason in _centred(config.model, network)
    }
    if config.loss.kind in DIFFERENCES:
        kind = config.loss.kind
        reason = f"raises real and fake alike, and loss.kind={kind} {DIFFERENCES[kind]}"
        found |= {f"discriminator/{name}/bias": reason for name in _last(config.model)}
    return found


def owner(name: str) -> str:
    """``network/layer/parameter`` that an array of the state belongs to; itself if it is no parameter's."""
    scope, _, rest = name.partition("/")
    if scope in OPTIMIZERS:
        slot, slash, parameter = rest.partition("/")
        return f"{OPTIMIZERS[scope]}/{parameter}" if slash else name
    return f"{NETWORKS[scope]}/{rest}" if scope in NETWORKS else name


@lru_cache(maxsize=8)
def _centred(model: ModelConfig, network: str) -> tuple[tuple[str, str], ...]:
    layers = list(layers_in(reference_network(model, network)))
    return (
        tuple(
            (f"{name}/bias", f"{after.name} subtracts the mean, and this bias with it")
            for (name, layer), (_, after) in pairwise(layers)
            if isinstance(after, keras.layers.BatchNormalization) and getattr(layer, "use_bias", False)
        )
        + tuple(
            (
                f"{name}/key/bias",
                "adds the same to every logit that a query is given, and a softmax takes no notice of that",
            )
            for name, layer in layers
            if isinstance(layer, SelfAttention)
        )
        + tuple(
            (f"{name}/u", "is one number, of length one: a sign, which stays")
            for name, layer in layers
            if tuple(getattr(layer, "u", np.empty(0)).shape) == (1,)
        )
    )


@lru_cache(maxsize=8)
def _last(model: ModelConfig) -> tuple[str, ...]:
    """The layers with a bias whose outputs are the scores."""
    layers = layers_in(reference_network(model, "discriminator"))
    names = [name for name, layer in layers if getattr(layer, "use_bias", 0)]
    return tuple(name for name in names if "output" in name.split("/"))
