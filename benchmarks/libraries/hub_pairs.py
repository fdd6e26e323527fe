"""Backbones of keras-hub against timm's networks, with the converters that keras-hub has for them."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

import keras
import numpy as np
import torch
from torch import nn

from benchmarks.libraries import repairs
from benchmarks.libraries.differences import PADDING, epsilon, momentum
from benchmarks.libraries.packages import keras_hub, timm
from benchmarks.libraries.pair import Difference, LibraryPair


class Features(nn.Module):
    """A timm network without its head."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> the last feature map."""
        features: torch.Tensor = cast(Any, self.network).forward_features(x)
        return features


class StateDict:
    """What keras-hub's converters read from: a torch module's tensors by the names that they have before any repair."""

    def __init__(self, module: nn.Module, unchanged: nn.Module) -> None:
        tensors = module.state_dict()
        names = [name.removeprefix("network.").replace("stages_", "stages.") for name in unchanged.state_dict()]
        self.tensors = dict(zip(names, tensors.values(), strict=True))
        self.names = dict(zip(names, tensors, strict=True))
        self.written: dict[str, keras.Variable] = {}

    def get_tensor(self, name: str) -> np.ndarray:
        """The tensor of this name."""
        return self.tensors[name].numpy()

    def port_weight(self, keras_variable: keras.Variable, hf_weight_key: str, hook_fn: Callable | None = None) -> None:
        """Assign a tensor to a variable."""
        value = self.get_tensor(hf_weight_key)
        self.written[self.names[hf_weight_key]] = keras_variable
        value = hook_fn(value, list(keras_variable.shape)) if hook_fn else value
        keras_variable.assign(value.reshape(keras_variable.shape) if value.size == 1 else value)


def _converter(name: str) -> ModuleType:
    keras_hub()
    return importlib.import_module(f"keras_hub.src.utils.timm.convert_{name}")


def pair(
    network: str, converter: str, *differences: Difference, staged: bool = False, single: bool = False
) -> LibraryPair:
    """keras-hub's backbone of this name and timm's network without its head; ``staged``: what each stage gives."""

    def reference() -> keras.Model:
        module = _converter(converter)
        config = module.convert_backbone_config({"architecture": network})
        model = module.backbone_cls(**config, image_shape=(64, 64, 3))
        if staged:
            outputs = {name: one for name, one in model.output.items() if name != "stem"}
            model = keras.Model(model.inputs, outputs, name=network)
        return model

    def port() -> nn.Module:
        if staged:
            return timm().create_model(network, features_only=True)
        return Features(timm().create_model(network, num_classes=0))

    def convert(model: keras.Model, module: nn.Module) -> dict[str, keras.Variable]:
        source = StateDict(module, port())
        layers = {layer.name: layer for layer in model._flatten_layers()}
        holder = _Staged(layers) if staged else model
        with contextlib.redirect_stdout(io.StringIO()):
            _converter(converter).convert_weights(holder, source, {"architecture": network})
        return source.written

    return LibraryPair(f"hub {network} / timm", reference, port, differences, convert=convert, single=single)


class _Staged:
    """A backbone that was made into a model of its stages, as its converter knows it."""

    def __init__(self, layers: dict[str, keras.Layer]) -> None:
        self.embedder_layer = next(v for k, v in layers.items() if type(v).__name__ == "HGNetV2Embeddings")
        self.encoder_layer = next(v for k, v in layers.items() if type(v).__name__ == "HGNetV2Encoder")


def pairs() -> list[LibraryPair]:
    """All pairs of this module."""
    depthwise_padding = Difference(("padding-alignment",), "dw", repairs.same_padding_depthwise)
    return [
        pair("resnet18", "resnet"),
        pair("resnet50", "resnet"),
        pair("resnetv2_50", "resnet"),
        pair(
            "densenet121",
            "densenet",
            PADDING,
            Difference(("padding-alignment",), "pool", repairs.same_pooling),
            epsilon(1.001e-5),
            momentum(0.01),
        ),
        pair("vgg11", "vgg"),
        pair("efficientnet_b0", "efficientnet", momentum(0.01, "blocks")),
        pair("efficientnet_lite0", "efficientnet", momentum(0.01, "blocks")),
        pair("efficientnet_es", "efficientnet", depthwise_padding),
        pair("mobilenetv3_small_050", "mobilenet"),
        pair("cspresnet50", "cspnet", momentum(0.01), single=True),
        pair("cspdarknet53", "cspnet", momentum(0.01), single=True),
        pair("hgnetv2_b0", "hgnetv2", staged=True),
    ]
