"""The steps that Keras layers and TensorFlow operations make."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np

from parity.capture.keras_functions import activation_of
from parity.capture.keras_layer_kinds import classify, plain_settings
from parity.capture.keras_spectral_norm import inner_layer, spectral_settings, spectral_vectors
from parity.capture.recorder import ARITHMETIC, COMPUTES, MOVES
from parity.capture.steps import PARAMETRISED, Step, class_name_of, unknown

SLOTS = {
    "conv": ("kernel", "bias"),
    "conv-transpose": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batchnorm": ("gamma", "beta", "moving_mean", "moving_variance"),
    "layernorm": ("gamma", "beta"),
    "groupnorm": ("gamma", "beta"),
    "embedding": ("embeddings",),
    "prelu": ("alpha",),
    "affine": ("scale", "offset"),
}
KERNELS_OF = ("conv", "conv-transpose", "dense")
SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
# Layers whose variables are constants of the reference, adapted to data and never trained: nothing crosses.
CONSTANTS = (keras.layers.Normalization, keras.layers.Discretization, keras.layers.CategoryEncoding)
# Operations of TensorFlow that are no part of a larger function (as Mul is of swish, Tanh of mish).
SLICES = ("StridedSlice", "Slice")
KERNELS: dict[str, tuple[str, dict[str, Any]]] = {
    **{word: ("crop", {}) for word in SLICES},
    "Relu": ("activation", {"function": "relu"}),
    "Selu": ("activation", {"function": "selu"}),
    "LeakyRelu": ("activation", {"function": "leaky_relu", "slope": 0.2}),
    "AddV2": ("merge", {"operation": "add"}),
    "ConcatV2": ("merge", {"operation": "concatenate"}),
}


# Operations that are no step of their own, by what they do; any other computes.
READS = "reads"
EFFECTS = {
    "ReadVariableOp": READS,
    **{word: MOVES for word in ("Identity", "Cast", "Reshape", "ExpandDims", "Squeeze", "Shape", "StopGradient")},
    **{word: MOVES for word in ("StridedSlice", "Slice", "Split", "SplitV", "Unpack", "BroadcastTo", "Transpose")},
    **{word: ARITHMETIC for word in ("AddV2", "Add", "Sub", "Neg", "Mul", "RealDiv", "Div")},
}


def kernel_effect(kind: Any) -> str:
    """What a TensorFlow operation does that is no step."""
    return EFFECTS.get(kind.decode() if isinstance(kind, bytes) else kind, COMPUTES)


def kernel_step(kind: Any, inputs: Any, attributes: Any, outputs: Any) -> Step | None:
    """The step that one TensorFlow operation is, if it can be nothing else."""
    word = kind.decode() if isinstance(kind, bytes) else kind
    got = outputs[0]
    if word not in KERNELS or not got.dtype.is_floating or len(got.shape) < 2:
        return None
    if word in SLICES and (len(inputs[0].shape) != len(got.shape) or word == "StridedSlice" and _strided(inputs)):
        return None
    settings = dict(KERNELS[word][1])
    if "slope" in settings:
        settings["slope"] = dict(zip(attributes[::2], attributes[1::2], strict=True)).get("alpha", settings["slope"])
    return Step("", KERNELS[word][0], settings, owner=word.lower(), named=False)


def _strided(inputs: Any) -> bool:
    """Whether a slice leaves values out or turns them round (``x[:, ::2]``), which no crop does."""
    return bool((np.asarray(inputs[3]) != 1).any())


def layer_step(layer: Any, kind: str, name: str) -> Step:
    """The step that a layer of known kind makes."""
    _, attributes = classify(layer)
    slots = SLOTS.get(kind, ()) if attributes.get("tracked", True) else ("gamma", "beta")
    inner = inner_layer(layer)
    if isinstance(inner, keras.layers.RMSNormalization):
        handle = {"gamma": inner.scale}
    else:
        handle = {slot: getattr(inner, slot) for slot in slots if getattr(inner, slot, None) is not None}
    if kind in KERNELS_OF:
        handle |= spectral_vectors(layer)
        attributes = attributes | spectral_settings(layer)
    shapes = {slot: tuple(variable.shape) for slot, variable in handle.items()}
    layout = "depthwise" if isinstance(inner, DEPTHWISE) else kind
    step = Step(name, kind, attributes, shapes, layout, handle=handle, owner=layer.name, named=is_named(layer))
    return step


def activation_step(layer: Any, main: Step, function: Any) -> Step | None:
    """The step that a layer's ``activation=`` makes behind it, if it has one."""
    if main.kind not in PARAMETRISED or function is None or function is keras.activations.linear:
        return None
    kind, attributes = activation_of(function)
    if kind == "identity":
        return None
    word = attributes.get("function", class_name_of(kind))
    after = Step(f"{main.name}:{word}", kind, attributes, owner=layer.name, named=False)
    return after


def separable_steps(layer: Any, name: str) -> tuple[Step, Step]:
    """The depthwise and the pointwise half of a separable convolution."""
    channels, ones = int(layer.depthwise_kernel.shape[-2]), [1] * layer.rank
    shared = {"rank": layer.rank, "padding": layer.padding}
    depthwise = {
        **shared,
        "features": channels * layer.depth_multiplier,
        "kernel_size": list(layer.kernel_size),
        "strides": list(layer.strides),
        "dilation": list(layer.dilation_rate),
        "groups": channels,
        "bias": False,
    }
    pointwise = {
        **shared,
        "features": layer.filters,
        "kernel_size": ones,
        "strides": ones,
        "dilation": ones,
        "groups": 1,
        "bias": layer.use_bias,
    }
    steps = []
    for suffix, attributes, layout, handle in (
        (":depthwise", depthwise, "depthwise", {"kernel": layer.depthwise_kernel}),
        ("", pointwise, "conv", {"kernel": layer.pointwise_kernel} | ({"bias": layer.bias} if layer.use_bias else {})),
    ):
        shapes = {slot: tuple(variable.shape) for slot, variable in handle.items()}
        steps.append(Step(name + suffix, "conv", attributes, shapes, layout, handle=handle, owner=layer.name))
        steps[-1].named = is_named(layer)
    return steps[0], steps[1]


def weights_of(layer: Any) -> list[Any]:
    """The variables of a layer and of those in it, constants left out."""
    constants = {id(v) for part in layer._flatten_layers() if isinstance(part, CONSTANTS) for v in part.variables}
    return [variable for variable in layer.variables if id(variable) not in constants]


def own_variables(layer: Any) -> dict[str, Any]:
    """Variables that a layer holds itself, beside those of the layers in it."""
    inner = {id(v) for part in layer._flatten_layers(include_self=False) for v in part.variables}
    return {v.name: v for v in layer.variables if id(v) not in inner and keras.backend.is_float_dtype(v.dtype)}


def all_weights_known(layer: Any, kind: str) -> bool:
    """Whether a layer has no weights but those of its kind (a subclass may hold more, which its ``call`` may use)."""
    known = {id(variable) for variable in layer_step(layer, kind, "").handle.values()}
    return all(id(v) in known for v in layer.variables if keras.backend.is_float_dtype(v.dtype))


def unknown_step(layer: Any, name: str) -> Step:
    """The step that a layer of unknown class makes as a whole."""
    shapes = {variable.path: tuple(variable.shape) for variable in weights_of(layer)}
    kind = unknown(type(layer).__name__)
    step = Step(name, kind, plain_settings(layer), shapes, handle={}, owner=layer.name, named=is_named(layer))
    step.fixed = bool(layer.variables) and not any(part._trainable_variables for part in layer._flatten_layers())
    return step


def is_closed(layer: Any, inner: list[Step]) -> bool:
    """Whether one of Keras's own layers is recorded as a whole and not by its parts: recurrent ones, attention."""
    if isinstance(layer, keras.Model) or not type(layer).__module__.startswith("keras."):
        return False
    return isinstance(layer, keras.layers.RNN) or all(step.untransferable for step in inner if step.parametrised)


def is_named(layer: Any) -> bool:
    """Whether the user chose the layer's name (``conv2d_3`` is Keras's own)."""
    word = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(layer).__name__).lower()
    plain = [name.replace("_", "") for name in (word, re.sub(r"_\d+$", "", layer.name))]
    return plain[0] != plain[1]
