"""Parameters whose gradient is rounding noise, and why: nothing of them can be compared."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import keras

import tf_impl
from common.schema import Config
from common.systems import ModelConfig
from parity.convert.states import NETWORKS, OPTIMIZERS

WASSERSTEIN = ("wgan", "wgan-gp")


def cancelled(config: Config) -> dict[str, str]:
    """The parameters (``generator/upconv_0/bias``, Keras's names) that the loss does not depend on, each with why."""
    found = {
        f"{network}/{name}": reason
        for network in ("generator", "discriminator")
        for name, reason in _centred(config.model, network)
    }
    last = [layer for layer in tf_impl.build(config.model, "discriminator").layers if hasattr(layer, "use_bias")][-1]
    if config.loss.kind in WASSERSTEIN and last.use_bias:
        found[f"discriminator/{last.name}/bias"] = (
            f"raises real and fake alike, and loss.kind={config.loss.kind} is their difference"
        )
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
    layers = tf_impl.build(model, network).layers
    return tuple(
        (f"{layer.name}/bias", f"{after.name} subtracts the mean, and this bias with it")
        for layer, after in pairwise(layers)
        if isinstance(after, keras.layers.BatchNormalization) and getattr(layer, "use_bias", False)
    )
