"""The kind and settings of each Keras layer in canonical terms.

To add a layer kind: a row in :data:`KINDS` here and in :mod:`parity.capture.torch_layer_kinds`; if it has weights, a
row in :data:`parity.capture.keras_steps.SLOTS`, in :data:`parity.capture.torch_layer_kinds.PARAMETERS` and in
:data:`parity.numerics.weight_axes.AXIS_RULES`; if it is written as an operation, a row in
:data:`parity.capture.keras_operations.OPERATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from parity.capture.drop_path import CHANNELS, VALUES, dropped_by
from parity.capture.keras_spectral_norm import inner_layer
from parity.capture.steps import is_unknown, unknown

ACTIVATION_NAMES = {"swish": "silu", "linear": "identity", "hard_swish": "hard_silu"}
# Activation functions known in both frameworks, with Keras's default settings.
FUNCTIONS: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("relu", "relu6", "tanh", "sigmoid", "silu", "softplus", "softsign", "softmax")},
    **{name: {} for name in ("log_softmax", "log_sigmoid", "selu", "mish", "exponential")},
    **{name: {} for name in ("hard_sigmoid", "hard_silu", "hard_tanh", "tanh_shrink")},
    "leaky_relu": {"slope": 0.2},
    "elu": {"slope": 1.0},
    "celu": {"slope": 1.0},
    "gelu": {"approximate": False},
}


# Modules whose functions are known by their names.
NAMED_IN = ("keras.src.activations.activations",)
# Functions that are not elementwise are known by their names alone.
BY_NAME = ("softmax", "log_softmax")


def _spatial(layer: Any, name: str) -> list[int]:
    return [int(n) for n in getattr(layer, name)]


def _conv(layer: Any) -> dict[str, Any]:
    return {
        "rank": layer.rank,
        "features": layer.filters,
        "kernel_size": _spatial(layer, "kernel_size"),
        "strides": _spatial(layer, "strides"),
        "dilation": _spatial(layer, "dilation_rate"),
        "groups": layer.groups,
        "bias": layer.use_bias,
        "padding": layer.padding,
    }


def _conv_transpose(layer: Any) -> dict[str, Any]:
    output_padding = getattr(layer, "output_padding", None)
    return {
        "rank": layer.rank,
        "features": layer.filters,
        "kernel_size": _spatial(layer, "kernel_size"),
        "strides": _spatial(layer, "strides"),
        "dilation": _spatial(layer, "dilation_rate"),
        "groups": 1,
        "bias": layer.use_bias,
        "padding": layer.padding if output_padding is None else f"{layer.padding}, output_padding={output_padding}",
    }


def _depthwise(layer: Any) -> dict[str, Any]:
    channels = int(layer.kernel.shape[-2])
    return {
        "rank": layer.rank,
        "features": channels * layer.depth_multiplier,
        "kernel_size": _spatial(layer, "kernel_size"),
        "strides": _spatial(layer, "strides"),
        "dilation": _spatial(layer, "dilation_rate"),
        "groups": channels,
        "bias": layer.use_bias,
        "padding": layer.padding,
    }


def _batchnorm(layer: Any) -> dict[str, Any]:
    return {
        "epsilon": layer.epsilon,
        "momentum": layer.momentum,
        "scale": layer.scale,
        "center": layer.center,
        "tracked": getattr(layer, "track", True),
    }


def _groupnorm(layer: Any) -> dict[str, Any]:
    channels = int((layer.gamma if layer.scale else layer.beta).shape[-1]) if layer.scale or layer.center else None
    return {
        "groups": channels if layer.groups == -1 else layer.groups,
        "epsilon": layer.epsilon,
        "scale": layer.scale,
        "center": layer.center,
    }


def _layernorm(layer: Any) -> dict[str, Any]:
    if getattr(layer, "rms_scaling", False):
        # It divides by the root of the variance, not of the mean square, without subtracting the mean.
        return {"epsilon": layer.epsilon, "scale": layer.scale, "center": False, "rms": "of the variance"}
    return {"epsilon": layer.epsilon, "scale": layer.scale, "center": layer.center}


# keras.layers.Resizing's interpolation -> the canonical name, without and with antialias
RESIZINGS = {
    "nearest": ("nearest-exact", "nearest-exact"),
    "bilinear": ("bilinear", "bilinear (antialias=True)"),
    "bicubic": ("bicubic (a=-0.5)", "bicubic (antialias=True)"),
    "area": ("area (by coverage)", "area (by coverage)"),
    "lanczos3": ("lanczos3", "lanczos3 (antialias=True)"),
    "lanczos5": ("lanczos5", "lanczos5 (antialias=True)"),
}


def _resizing(layer: Any) -> dict[str, Any]:
    plain, smooth = RESIZINGS.get(layer.interpolation, (layer.interpolation,) * 2)
    crop, pad = layer.crop_to_aspect_ratio, layer.pad_to_aspect_ratio
    return {
        "size": [int(layer.height), int(layer.width)],
        "mode": smooth if layer.antialias else plain,
        **({"crop_to_aspect_ratio": True} if crop else {}),
        **({"pad_to_aspect_ratio": True} if pad else {}),
    }


def _pool(mode: str) -> Callable[[Any], dict[str, Any]]:
    def read(layer: Any) -> dict[str, Any]:
        size, strides = layer.pool_size, layer.strides
        rank = len(size) if isinstance(size, (tuple, list)) else int(type(layer).__name__[-2])
        widen = lambda n: [int(i) for i in n] if isinstance(n, (tuple, list)) else [int(n)] * rank  # noqa: E731
        attributes = {
            "mode": mode,
            "rank": rank,
            "pool_size": widen(size),
            "strides": widen(strides or size),
            "padding": layer.padding,
        }
        return attributes | ({"count_padding": False} if mode == "average" and layer.padding == "same" else {})

    return read


def _global_pool(mode: str) -> Callable[[Any], dict[str, Any]]:
    return lambda layer: {"mode": mode}


def _upsample(layer: Any) -> dict[str, Any]:
    size = layer.size if isinstance(layer.size, (tuple, list)) else [layer.size]
    return {"factor": [int(n) for n in size], "mode": getattr(layer, "interpolation", "nearest")}


def _dropout(layer: Any) -> dict[str, Any]:
    dropped = dropped_by(getattr(layer, "noise_shape", None))
    return {"rate": layer.rate, "dropped": dropped, "always": False}


def _spatial_dropout(layer: Any) -> dict[str, Any]:
    return {"rate": layer.rate, "dropped": CHANNELS, "always": False}


def _merge(operation: str) -> Callable[[Any], dict[str, Any]]:
    return lambda layer: {"operation": operation}


def _nothing(layer: Any) -> dict[str, Any]:
    return {}


def _leaky(slope: Any) -> dict[str, Any]:
    return {"function": "leaky_relu", "slope": float(slope)}


def _relu(layer: Any) -> dict[str, Any]:
    if float(layer.threshold or 0):
        return {"function": f"relu(threshold={float(layer.threshold)})"}
    if float(layer.negative_slope or 0):
        return _leaky(layer.negative_slope)
    if layer.max_value is not None:
        return {"function": "relu6" if float(layer.max_value) == 6 else f"relu(max={float(layer.max_value)})"}
    return {"function": "relu"}


def activation(function: Any) -> tuple[str, dict[str, Any]]:
    """``(kind, attributes)`` of an activation function such as ``keras.activations.relu``; of an unknown kind if its
    name does not tell (:func:`parity.capture.keras_functions.activation_of` computes then)."""
    if isinstance(function, keras.Layer):
        kind, attributes = classify(function)
        return kind or unknown(type(function).__name__), attributes
    name = getattr(function, "__name__", type(function).__name__)
    name = ACTIVATION_NAMES.get(name, name)
    if name in BY_NAME or getattr(function, "__module__", "") in NAMED_IN and name in FUNCTIONS:
        return "activation", {"function": name, **FUNCTIONS[name]}
    return "identity" if name == "identity" else unknown(name), {}


L = keras.layers
# The first class that fits wins, so subclasses stand before their bases.
KINDS: list[tuple[Any, str, Callable[[Any], dict[str, Any]]]] = [
    ((L.DepthwiseConv1D, L.DepthwiseConv2D), "conv", _depthwise),
    ((L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose), "conv-transpose", _conv_transpose),
    ((L.Conv1D, L.Conv2D, L.Conv3D), "conv", _conv),
    (L.Dense, "dense", lambda layer: {"features": layer.units, "bias": layer.use_bias}),
    (L.BatchNormalization, "batchnorm", _batchnorm),
    (L.LayerNormalization, "layernorm", _layernorm),
    (
        L.RMSNormalization,
        "layernorm",
        lambda layer: {"epsilon": layer.epsilon, "scale": True, "center": False, "rms": True},
    ),
    (L.GroupNormalization, "groupnorm", _groupnorm),
    (L.Embedding, "embedding", lambda layer: {"vocabulary": layer.input_dim, "features": layer.output_dim}),
    (L.PReLU, "prelu", _nothing),
    (L.LeakyReLU, "activation", lambda layer: _leaky(layer.negative_slope)),
    (L.ReLU, "activation", _relu),
    (L.ELU, "activation", lambda layer: {"function": "elu", "slope": float(layer.alpha)}),
    (L.Softmax, "activation", lambda layer: {"function": "softmax"}),
    ((L.MaxPooling1D, L.MaxPooling2D, L.MaxPooling3D), "pool", _pool("max")),
    ((L.AveragePooling1D, L.AveragePooling2D, L.AveragePooling3D), "pool", _pool("average")),
    ((L.GlobalMaxPooling1D, L.GlobalMaxPooling2D, L.GlobalMaxPooling3D), "global-pool", _global_pool("max")),
    (
        (L.GlobalAveragePooling1D, L.GlobalAveragePooling2D, L.GlobalAveragePooling3D),
        "global-pool",
        _global_pool("average"),
    ),
    ((L.UpSampling1D, L.UpSampling2D, L.UpSampling3D), "upsample", _upsample),
    (L.Resizing, "upsample", _resizing),
    ((L.SpatialDropout1D, L.SpatialDropout2D, L.SpatialDropout3D), "dropout", _spatial_dropout),
    ((L.Dropout, L.GaussianDropout, L.AlphaDropout), "dropout", _dropout),
    (L.GaussianNoise, "dropout", lambda layer: {"rate": layer.stddev, "dropped": VALUES, "always": False}),
    (L.Add, "merge", _merge("add")),
    (L.Subtract, "merge", _merge("subtract")),
    (L.Multiply, "merge", _merge("multiply")),
    (L.Average, "merge", _merge("average")),
    (L.Maximum, "merge", _merge("maximum")),
    (L.Minimum, "merge", _merge("minimum")),
    (L.Concatenate, "merge", _merge("concatenate")),
    ((L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D), "padding", lambda layer: {"amounts": str(layer.padding)}),
    ((L.Cropping1D, L.Cropping2D, L.Cropping3D), "crop", lambda layer: {"amounts": str(layer.cropping)}),
    (L.Flatten, "flatten", _nothing),
    (L.Reshape, "reshape", lambda layer: {"shape": list(layer.target_shape)}),
    (L.Permute, "permute", lambda layer: {"dims": list(layer.dims)}),
    (L.Identity, "identity", _nothing),
]


def classify(layer: Any) -> tuple[str | None, dict[str, Any]]:
    """``(kind, attributes)`` of a layer, or ``(None, {})`` if its class is not in :data:`KINDS`."""
    layer = inner_layer(layer)
    if isinstance(layer, L.Activation):
        kind, attributes = activation(layer.activation)
        return (None, {}) if is_unknown(kind) else (kind, attributes)
    if isinstance(layer, L.Rescaling):
        return ("identity", {}) if _is(layer.scale, 1) and _is(layer.offset, 0) else (None, {})
    for classes, kind, read in KINDS:
        if isinstance(layer, classes):
            attributes = read(layer)
            return ("identity", {}) if attributes.get("rate") == 0 else (kind, attributes)
    return None, {}


def _is(value: Any, number: float) -> bool:
    return bool(np.all(np.asarray(value) == number))


def plain_settings(layer: Any) -> dict[str, Any]:
    """The simple settings of an unknown layer: public attributes that are numbers, words or flags."""
    housekeeping = {"name", "trainable", "built", "supports_masking", "autocast", "stateful", "supports_jit"}
    return {
        key: value
        for key, value in vars(layer).items()
        if not key.startswith("_") and key not in housekeeping and isinstance(value, (bool, int, float, str))
    }
