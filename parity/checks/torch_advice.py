"""What to write in torch: a setting that the reference has, or a layer that the port lacks. Plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parity.capture.drop_path import CHANNELS, SAMPLES, VALUES
from parity.numerics.reference_ops.activations import torch_code
from parity.numerics.resize_modes import RESIZE_MODES
from parity.numerics.spectral_norm import KEPT, OVERWRITTEN

Advice = Callable[[Any], str]


def _template(text: str) -> Advice:
    return lambda expected: text.format(_plain(expected))


def _plain(value: Any) -> Any:
    """Sizes of several axes as torch takes them: a tuple, or one number for all."""
    if isinstance(value, (list, tuple)):
        return value[0] if len(set(value)) == 1 else tuple(value)
    return value


def _either(present: str, absent: str) -> Advice:
    return lambda expected: present if expected else absent


def _momentum(expected: float | None) -> str:
    if expected is None:
        return "set momentum=None: a cumulative average, as the reference keeps one"
    return f"set momentum={1 - expected:g}; torch's momentum is 1 - Keras's {expected:g}"


def _function(expected: str) -> str:
    return f"use {torch_code(str(expected))}"


def _resize(expected: str) -> str:
    row = RESIZE_MODES.get(str(expected))
    return f"use {row.code}" if row is not None and row.code else f"resize as {expected} does"


SPECTRAL = {
    KEPT: "wrap the layer in torch.nn.utils.parametrizations.spectral_norm, and copy kernel, u and v",
    OVERWRITTEN: (
        "keras.layers.SpectralNormalization overwrites its kernel at each call in training, its gradient ignores sigma "
        "and of a transposed convolution it takes the matrix [inputs, rest]; no torch layer does: give the reference a "
        "layer that keeps its kernel (tf_impl/spectral_norm.py)"
    ),
    "none": "remove the spectral normalisation from this layer of the port",
}
JOINED = {
    "add": "a + b",
    "subtract": "a - b",
    "multiply": "a * b",
    "divide": "a / b",
    "average": "(a + b) / 2",
    "maximum": "torch.maximum(a, b)",
    "minimum": "torch.minimum(a, b)",
    "concatenate": "torch.cat([a, b], dim)",
}
POOLED = {"max": "max pooling (nn.MaxPool2d and its like)", "average": "average pooling (nn.AvgPool2d and its like)"}
NO_SCALE = (
    "the reference has no scale: hold the normalisation's weight at one, nn.init.ones_(layer.weight) and "
    "layer.weight.requires_grad_(False)"
)
NO_OFFSET = (
    "the reference has no offset: hold the normalisation's bias at zero, nn.init.zeros_(layer.bias) and "
    "layer.bias.requires_grad_(False)"
)
AFFINE = "give the normalisation its {}: affine=True, or elementwise_affine=True for nn.LayerNorm; then copy it"

DROPPED = {
    VALUES: "drop single values: nn.Dropout",
    CHANNELS: "drop whole channels: nn.Dropout2d (nn.Dropout1d for sequences, nn.Dropout3d for volumes)",
    SAMPLES: "drop the whole branch of a sample (stochastic depth): one draw a sample, kept samples divided by 1 - p",
}

# setting -> what to do in torch, given the reference's value
ADVICE: dict[str, Advice] = {
    "kernel_size": _template("set kernel_size={0}"),
    "pool_size": _template("set kernel_size={0}"),
    "strides": _template("set stride={0}"),
    "dilation": _template("set dilation={0}"),
    "groups": _template("set the number of groups to {0}"),
    "bias": _either("set bias=True and copy the bias", "set bias=False"),
    "center": _either(AFFINE.format("bias"), NO_OFFSET),
    "scale": _either(AFFINE.format("weight"), NO_SCALE),
    "epsilon": _template("set eps={0}; Keras's default is 1e-3, torch's 1e-5"),
    "momentum": _momentum,
    "tracked": _template("set track_running_stats={0}"),
    "rms": _either("use nn.RMSNorm, which takes no mean away", "use nn.LayerNorm, which takes the mean away too"),
    "function": _function,
    "approximate": _either('set approximate="tanh"', 'set approximate="none"'),
    "slope": _template("set the slope (negative_slope of nn.LeakyReLU, alpha of nn.ELU) to {0}"),
    "mode": _resize,
    "factor": _template("resize by the factor {0}: scale_factor={0}"),
    "size": _template("resize to the size {0}"),
    "rate": _template("set p={0}"),
    "dropped": lambda expected: DROPPED.get(str(expected), f"drop {expected}"),
    "scaled": _either("divide what is left by 1 - p", "do not divide what is left by 1 - p"),
    "always": lambda expected: "pass training=self.training to F.dropout, which drops in evaluation mode too",
    "count_padding": _template("set count_include_pad={0}"),
    "spectral_norm": lambda expected: SPECTRAL.get(str(expected), SPECTRAL[KEPT]),
    "power_iterations": _template("set n_power_iterations={0}"),
    "spectral_axis": _template(
        "normalise the kernel as a matrix with its {0} as rows: leave dim of torch's spectral_norm at its default "
        "(1 for transposed convolutions, else 0)"
    ),
    "spectral_order": _template(
        "move {0}: torch.nn.utils.parametrizations.spectral_norm moves u, then v, the older "
        "torch.nn.utils.spectral_norm v, then u"
    ),
    "features": _template("give the layer {0} output features (out_channels of a convolution, out_features of Linear)"),
    "vocabulary": _template("set num_embeddings={0}"),
    "operation": lambda expected: f"join the branches by {JOINED.get(str(expected), expected)}",
}


def setting_advice(kind: str, setting: str, expected: Any) -> str:
    """What to write in torch so that a layer of ``kind`` has the reference's value of a setting."""
    if setting == "mode" and kind in ("pool", "global-pool"):
        return f"use {POOLED.get(str(expected), f'{expected} pooling')}"
    if setting == "groups" and kind == "groupnorm":
        return f"set num_groups={expected}"
    if setting == "groups":
        return f"set groups={expected}"
    advice = ADVICE.get(setting)
    return advice(expected) if advice else f"give it the reference's {setting.replace('_', ' ')}: {expected}"


def _keywords(settings: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    return [f"{torch}={_plain(settings[own])}" for own, torch in names.items() if own in settings]


CONVOLUTION = {"kernel_size": "kernel_size", "strides": "stride", "dilation": "dilation", "groups": "groups",
               "bias": "bias"}  # fmt: skip
# kind -> (torch class, argument that takes the number of input channels, setting -> its argument); {rank} is filled in
LAYERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "conv": ("nn.Conv{rank}d", "in_channels", {"features": "out_channels", **CONVOLUTION}),
    "conv-transpose": ("nn.ConvTranspose{rank}d", "in_channels", {"features": "out_channels", **CONVOLUTION}),
    "dense": ("nn.Linear", "in_features", {"features": "out_features", "bias": "bias"}),
    "batchnorm": ("nn.BatchNorm{rank}d", "num_features", {"epsilon": "eps"}),
    "layernorm": ("nn.LayerNorm", "normalized_shape", {"epsilon": "eps"}),
    "groupnorm": ("nn.GroupNorm", "num_channels", {"groups": "num_groups", "epsilon": "eps"}),
    "embedding": ("nn.Embedding", "", {"vocabulary": "num_embeddings", "features": "embedding_dim"}),
    "prelu": ("nn.PReLU", "", {}),
    "pool": ("nn.{Pool}{rank}d", "", {"pool_size": "kernel_size", "strides": "stride"}),
}


def layer_code(kind: str, settings: Mapping[str, Any], given: Sequence[int] = ()) -> str:
    """A layer of the reference as torch code, as far as its settings tell; "" for a kind without a torch class.

    ``given``: the shape of its input, batch first, channels last; empty if it is not known.
    """
    rank = len(given) - 2 if given else 2
    if kind == "dropout":
        rate = f"p={settings.get('rate', 0.5):g}"
        if settings.get("dropped") == SAMPLES:
            return f"stochastic depth ({rate}, one draw a sample)"
        return (
            f"nn.Dropout{_rank(settings, rank)}d({rate})"
            if settings.get("dropped") == CHANNELS
            else f"nn.Dropout({rate})"
        )
    if kind == "activation" and "function" in settings:
        return torch_code(str(settings["function"]))
    if kind not in LAYERS:
        return ""
    name, channels, names = LAYERS[kind]
    pool = "AvgPool" if settings.get("mode") == "average" else "MaxPool"
    name = name.replace("{rank}", str(_rank(settings, rank))).replace("{Pool}", pool)
    words = [f"{channels}={given[-1]}"] if channels and given else []
    words += _keywords(settings, names)
    if kind == "batchnorm" and settings.get("momentum") is not None:
        words.append(f"momentum={1 - settings['momentum']:g}")
    return f"{name}({', '.join(words)})"


def _rank(settings: Mapping[str, Any], rank: int) -> int:
    return int(settings.get("rank", max(rank, 1)))
