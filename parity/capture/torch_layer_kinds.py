"""The kind and settings of each torch module in canonical terms.

To add a layer kind: a row in :data:`KINDS` here and in :mod:`parity.capture.keras_layer_kinds`; if it has weights, a
row in :data:`PARAMETERS`, in :data:`parity.capture.keras_steps.SLOTS` and in
:data:`parity.numerics.weight_axes.AXIS_RULES`; for a function called in ``forward``, a row in
:data:`parity.capture.torch_functions.FUNCTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from parity.capture.drop_path import CHANNELS, VALUES
from parity.capture.torch_spectral_norm import spectral_slots
from parity.capture.torch_stock import may_differ
from parity.numerics import resize_modes


def spread(value: Any, rank: int = 1) -> list[int]:
    """One number, or one per axis, as a list."""
    return [int(n) for n in value] if isinstance(value, (tuple, list)) else [int(value)] * rank


def _conv(module: Any) -> dict[str, Any]:
    return {
        "rank": len(spread(module.kernel_size)),
        "features": module.out_channels,
        "kernel_size": spread(module.kernel_size),
        "strides": spread(module.stride),
        "dilation": spread(module.dilation),
        "groups": module.groups,
        "bias": module.bias is not None,
        "padding": f"padding={_brief(module.padding)}"
        + (f", output_padding={_brief(module.output_padding)}" if any(spread(module.output_padding)) else "")
        + (f" in {type(module).__name__}" if may_differ(module) else ""),
    }


def _brief(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def _batchnorm(module: Any) -> dict[str, Any]:
    momentum = module.momentum
    return {
        "epsilon": module.eps,
        "momentum": None if momentum is None else round(1 - momentum, 12),
        "scale": module.affine,
        "center": module.affine,
        "tracked": module.track_running_stats,
    }


def _pool(mode: str, rank: int) -> Callable[[Any], dict[str, Any]]:
    def read(module: Any) -> dict[str, Any]:
        size = spread(module.kernel_size, rank)
        attributes = {
            "mode": mode,
            "rank": rank,
            "pool_size": size,
            "strides": spread(module.stride, rank) if module.stride else size,
            "padding": f"padding={module.padding}",
        }
        if mode == "average" and any(spread(module.padding)):
            attributes["count_padding"] = module.count_include_pad
        return attributes

    return read


def _adaptive(mode: str) -> Callable[[Any], dict[str, Any]]:
    return lambda module: {"mode": mode, **({} if all_ones(module.output_size) else {"size": module.output_size})}


def all_ones(size: Any) -> bool:
    """Whether an adaptive pooling leaves one value per channel."""
    return all(n == 1 for n in (size if isinstance(size, (tuple, list)) else [size]))


def _upsample(module: Any) -> dict[str, Any]:
    factor = [] if module.scale_factor is None else numbers(module.scale_factor)
    return {
        **({"factor": factor} if factor else {}),
        "mode": resize_modes.from_torch(module.mode, module.align_corners, whole=whole(factor)),
    }


def whole(factors: list[float]) -> bool:
    """Whether sizes grow by whole factors."""
    return bool(factors) and all(float(n).is_integer() for n in factors)


def numbers(value: Any) -> list[float]:
    """One number or several as a list, whole ones as integers."""
    found = [float(n) for n in (value if isinstance(value, (tuple, list)) else [value])]
    return [int(n) if n.is_integer() else n for n in found]


def _dropout(dropped: str) -> Callable[[Any], dict[str, Any]]:
    return lambda module: {"rate": module.p, "dropped": dropped, "always": False}


def _function(name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda module: {"function": name}


def _nothing(module: Any) -> dict[str, Any]:
    return {}


def _leaky(module: Any) -> dict[str, Any]:
    slope = float(module.negative_slope)
    return {"function": "leaky_relu", "slope": slope} if slope else {"function": "relu"}


def _hardtanh(module: Any) -> dict[str, Any]:
    edges = (float(module.min_val), float(module.max_val))
    return {"function": {(-1.0, 1.0): "hard_tanh", (0.0, 6.0): "relu6"}.get(edges, f"hard_tanh{edges}")}


# The first class that fits wins, so subclasses stand before their bases.
KINDS: list[tuple[Any, str, Callable[[Any], dict[str, Any]]]] = [
    ((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), "conv-transpose", _conv),
    ((nn.Conv1d, nn.Conv2d, nn.Conv3d), "conv", _conv),
    (nn.Linear, "dense", lambda module: {"features": module.out_features, "bias": module.bias is not None}),
    (
        (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
        "groupnorm",
        lambda m: {"groups": m.num_features, "epsilon": m.eps, "scale": m.affine, "center": m.affine},
    ),
    (nn.modules.batchnorm._BatchNorm, "batchnorm", _batchnorm),
    (
        nn.LayerNorm,
        "layernorm",
        lambda m: {"epsilon": m.eps, "scale": m.elementwise_affine, "center": getattr(m, "bias", None) is not None},
    ),
    (
        nn.RMSNorm,
        "layernorm",
        lambda m: {"epsilon": m.eps, "scale": m.elementwise_affine, "center": False, "rms": True},
    ),
    (
        nn.GroupNorm,
        "groupnorm",
        lambda m: {"groups": m.num_groups, "epsilon": m.eps, "scale": m.affine, "center": m.affine},
    ),
    (nn.Embedding, "embedding", lambda module: {"vocabulary": module.num_embeddings, "features": module.embedding_dim}),
    (nn.PReLU, "prelu", _nothing),
    (nn.LeakyReLU, "activation", _leaky),
    (nn.ReLU6, "activation", _function("relu6")),
    (nn.ReLU, "activation", _function("relu")),
    (nn.Tanh, "activation", _function("tanh")),
    (nn.Sigmoid, "activation", _function("sigmoid")),
    (nn.SiLU, "activation", _function("silu")),
    (nn.GELU, "activation", lambda m: {"function": "gelu", "approximate": m.approximate == "tanh"}),
    (nn.ELU, "activation", lambda m: {"function": "elu", "slope": float(m.alpha)}),
    (nn.SELU, "activation", _function("selu")),
    (nn.Softplus, "activation", _function("softplus")),
    (nn.Softsign, "activation", _function("softsign")),
    (nn.Softmax, "activation", _function("softmax")),
    (nn.LogSoftmax, "activation", _function("log_softmax")),
    (nn.LogSigmoid, "activation", _function("log_sigmoid")),
    (nn.Tanhshrink, "activation", _function("tanh_shrink")),
    (nn.CELU, "activation", lambda m: {"function": "celu", "slope": float(m.alpha)}),
    (nn.Hardswish, "activation", _function("hard_silu")),
    (nn.Hardsigmoid, "activation", _function("hard_sigmoid")),
    (nn.Hardtanh, "activation", _hardtanh),
    (nn.Mish, "activation", _function("mish")),
    (nn.MaxPool1d, "pool", _pool("max", 1)),
    (nn.MaxPool2d, "pool", _pool("max", 2)),
    (nn.MaxPool3d, "pool", _pool("max", 3)),
    (nn.AvgPool1d, "pool", _pool("average", 1)),
    (nn.AvgPool2d, "pool", _pool("average", 2)),
    (nn.AvgPool3d, "pool", _pool("average", 3)),
    ((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), "global-pool", _adaptive("average")),
    ((nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d), "global-pool", _adaptive("max")),
    (nn.Upsample, "upsample", _upsample),
    ((nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.FeatureAlphaDropout), "dropout", _dropout(CHANNELS)),
    (nn.modules.dropout._DropoutNd, "dropout", _dropout(VALUES)),
    (nn.Flatten, "flatten", _nothing),
    (nn.Unflatten, "reshape", _nothing),
    (
        (nn.modules.padding._ConstantPadNd, nn.modules.padding._ReflectionPadNd, nn.modules.padding._ReplicationPadNd),
        "padding",
        lambda m: {"amounts": str(m.padding)},
    ),
    (nn.Identity, "identity", _nothing),
]

PARAMETERS = {
    "conv": {"kernel": "weight", "bias": "bias"},
    "conv-transpose": {"kernel": "weight", "bias": "bias"},
    "dense": {"kernel": "weight", "bias": "bias"},
    "batchnorm": {
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    },
    "layernorm": {"gamma": "weight", "beta": "bias"},
    "groupnorm": {"gamma": "weight", "beta": "bias"},
    "embedding": {"embeddings": "weight"},
    "prelu": {"alpha": "weight"},
}


def classify(module: Any) -> tuple[str | None, dict[str, Any]]:
    """``(kind, attributes)`` of a module, or ``(None, {})`` if its class is not in :data:`KINDS`."""
    for classes, kind, read in KINDS:
        if isinstance(module, classes):
            attributes = read(module)
            return ("identity", {}) if attributes.get("rate") == 0 else (kind, attributes)
    return None, {}


def parameters(module: Any, kind: str) -> dict[str, str] | None:
    """The name of each parameter in a module of known kind, by slot; None if it computes one of them from others."""
    found = dict(PARAMETERS.get(kind, {}))
    if isinstance(module, nn.RMSNorm):
        del found["beta"]
    normalised = spectral_slots(module)
    found |= normalised
    held = {**module._parameters, **module._buffers}
    plain = (name for slot, name in found.items() if not normalised or slot == "bias")
    return found if all(name in held for name in plain) else None


def plain_settings(module: Any) -> dict[str, Any]:
    """The simple settings of an unknown module: public attributes that are numbers, words or flags."""
    return {
        key: value
        for key, value in vars(module).items()
        if not key.startswith("_") and key != "training" and isinstance(value, (bool, int, float, str))
    }
