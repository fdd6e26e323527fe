"""What each torch module and function is, in canonical terms: the reading half of the vocabulary for torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn


def _ints(value: Any, rank: int = 1) -> list[int]:
    return [int(n) for n in value] if isinstance(value, (tuple, list)) else [int(value)] * rank


def _conv(module: Any) -> dict[str, Any]:
    return {
        "rank": module.weight.ndim - 2,
        "features": module.out_channels,
        "kernel_size": _ints(module.kernel_size),
        "strides": _ints(module.stride),
        "dilation": _ints(module.dilation),
        "groups": module.groups,
        "bias": module.bias is not None,
        "padding": f"padding={_brief(module.padding)}"
        + (f", output_padding={_brief(module.output_padding)}" if any(_ints(module.output_padding)) else "")
        + ("" if type(module).forward in STOCK_FORWARDS else f" in {type(module).__name__}"),
    }


def _brief(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


STOCK_FORWARDS = {
    cls.forward for cls in (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
}


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
        size = _ints(module.kernel_size, rank)
        attributes = {
            "mode": mode,
            "rank": rank,
            "pool_size": size,
            "strides": _ints(module.stride, rank) if module.stride else size,
            "padding": f"padding={module.padding}",
        }
        if mode == "average" and any(_ints(module.padding)):
            attributes["count_padding"] = module.count_include_pad
        return attributes

    return read


def _adaptive(mode: str) -> Callable[[Any], dict[str, Any]]:
    return lambda module: {"mode": mode, **({} if _all_ones(module.output_size) else {"size": module.output_size})}


def _all_ones(size: Any) -> bool:
    return all(n == 1 for n in _ints(size))


def resize_mode(mode: str, align_corners: bool | None) -> str:
    """Keras's name of an interpolation: nearest, bilinear, or torch's own with its corner rule."""
    known = {"nearest": "nearest", "nearest-exact": "nearest", "bilinear": "bilinear", "linear": "bilinear"}
    return known.get(mode, mode) + (" (align_corners=True)" if align_corners else "")


def _upsample(module: Any) -> dict[str, Any]:
    factor = module.scale_factor
    sizes = [] if factor is None else [int(n) if float(n).is_integer() else n for n in _floats(factor)]
    return {
        "factor": sizes or None,
        "mode": resize_mode(module.mode, module.align_corners),
    }


def _floats(value: Any) -> list[float]:
    return [float(n) for n in value] if isinstance(value, (tuple, list)) else [float(value)]


def _dropout(per_channel: bool) -> Callable[[Any], dict[str, Any]]:
    return lambda module: {"rate": module.p, "per_channel": per_channel}


def _function(name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda module: {"function": name}


def _nothing(module: Any) -> dict[str, Any]:
    return {}


def _leaky(module: Any) -> dict[str, Any]:
    slope = float(module.negative_slope)
    return {"function": "leaky_relu", "slope": slope} if slope else {"function": "relu"}


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
    (nn.Hardswish, "activation", _function("hard_silu")),
    (nn.Hardsigmoid, "activation", _function("hard_sigmoid")),
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
    ((nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.FeatureAlphaDropout), "dropout", _dropout(True)),
    (nn.modules.dropout._DropoutNd, "dropout", _dropout(False)),
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


def _call_leaky(args: Any, kwargs: Any) -> dict[str, Any]:
    return {"function": "leaky_relu", "slope": float(args[1] if len(args) > 1 else kwargs.get("negative_slope", 0.01))}


def _call_gelu(args: Any, kwargs: Any) -> dict[str, Any]:
    return {"function": "gelu", "approximate": kwargs.get("approximate", "none") == "tanh"}


def _call_elu(args: Any, kwargs: Any) -> dict[str, Any]:
    return {"function": "elu", "slope": float(args[1] if len(args) > 1 else kwargs.get("alpha", 1.0))}


def _call_pool(mode: str, rank: int) -> Callable[[Any, Any], dict[str, Any]]:
    def read(args: Any, kwargs: Any) -> dict[str, Any]:
        size = _ints(args[1] if len(args) > 1 else kwargs["kernel_size"], rank)
        stride = args[2] if len(args) > 2 else kwargs.get("stride")
        padding = args[3] if len(args) > 3 else kwargs.get("padding", 0)
        strides = _ints(stride, rank) if stride else size
        return {"mode": mode, "rank": rank, "pool_size": size, "strides": strides, "padding": f"padding={padding}"}

    return read


def _call_resize(args: Any, kwargs: Any) -> dict[str, Any]:
    factor = kwargs.get("scale_factor")
    mode = resize_mode(kwargs.get("mode", "nearest"), kwargs.get("align_corners"))
    return {"factor": None if factor is None else [math.trunc(n) for n in _floats(factor)], "mode": mode}


def _fixed(**attributes: Any) -> Callable[[Any, Any], dict[str, Any]]:
    return lambda args, kwargs: dict(attributes)


def _call_adaptive(mode: str) -> Callable[[Any, Any], dict[str, Any]]:
    return lambda args, kwargs: {"mode": mode}


# Functions called by name in `forward`, as a TorchFunctionMode sees them.
FUNCTIONS: dict[str, tuple[str, Callable[[Any, Any], dict[str, Any]]]] = {
    "leaky_relu": ("activation", _call_leaky),
    "gelu": ("activation", _call_gelu),
    "elu": ("activation", _call_elu),
    "silu": ("activation", _fixed(function="silu")),
    "interpolate": ("upsample", _call_resize),
    "pad": ("padding", _fixed()),
    "adaptive_avg_pool1d": ("global-pool", _call_adaptive("average")),
    "adaptive_avg_pool2d": ("global-pool", _call_adaptive("average")),
    "adaptive_max_pool2d": ("global-pool", _call_adaptive("max")),
    "flatten": ("flatten", _fixed()),
    "cat": ("merge", _fixed(operation="concatenate")),
    "concat": ("merge", _fixed(operation="concatenate")),
    "add": ("merge", _fixed(operation="add")),
    "__add__": ("merge", _fixed(operation="add")),
    "add_": ("merge", _fixed(operation="add")),
    "mul": ("merge", _fixed(operation="multiply")),
    "__mul__": ("merge", _fixed(operation="multiply")),
    "maximum": ("merge", _fixed(operation="maximum")),
    "minimum": ("merge", _fixed(operation="minimum")),
}
FUNCTIONS |= {f"max_pool{rank}d": ("pool", _call_pool("max", rank)) for rank in (1, 2, 3)}
FUNCTIONS |= {f"avg_pool{rank}d": ("pool", _call_pool("average", rank)) for rank in (1, 2, 3)}
FUNCTIONS |= {
    name: ("activation", _fixed(function=name.rstrip("_")))
    for name in [
        "relu",
        "relu_",
        "relu6",
        "tanh",
        "sigmoid",
        "softplus",
        "softmax",
        "log_softmax",
        "selu",
        "softsign",
        "mish",
    ]
}
FUNCTIONS |= {
    name: ("reshape", _fixed())
    for name in ["reshape", "view", "permute", "transpose", "squeeze", "unsqueeze", "unflatten", "movedim", "moveaxis"]
}
DROPOUTS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"}


def classify(module: Any) -> tuple[str | None, dict[str, Any]]:
    """``(kind, attributes)`` of a module, or ``(None, {})`` if its class is not in :data:`KINDS`."""
    for classes, kind, read in KINDS:
        if isinstance(module, classes):
            return kind, read(module)
    return None, {}


def plain_settings(module: Any) -> dict[str, Any]:
    """The simple settings of an unknown module: public attributes that are numbers, words or flags."""
    return {
        key: value
        for key, value in vars(module).items()
        if not key.startswith("_") and key != "training" and isinstance(value, (bool, int, float, str))
    }
