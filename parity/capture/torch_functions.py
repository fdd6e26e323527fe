"""The kind and settings of each torch function called in ``forward``, as a ``TorchFunctionMode`` observes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity.capture.drop_path import CHANNELS, VALUES
from parity.capture.recorder import ARITHMETIC, MOVES
from parity.capture.torch_layer_kinds import all_ones, numbers, spread, whole
from parity.numerics import resize_modes

Attributes = dict[str, Any]
Reader = Callable[["Call"], "Attributes | None"]


class Call:
    """One function call: its arguments, by position or by name, and the tensors among them."""

    def __init__(self, args: Any, kwargs: Any, tensors: list[Any]):
        self.args, self.kwargs, self.tensors = args, kwargs, tensors

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """The argument at ``place`` (the tensor itself is 0), or the one called ``name``."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    @property
    def rank(self) -> int:
        """Number of axes of the first tensor."""
        return self.tensors[0].ndim if self.tensors else 0


def _fixed(**attributes: Any) -> Reader:
    return lambda call: dict(attributes)


def _leaky(call: Call) -> Attributes:
    return {"function": "leaky_relu", "slope": float(call.argument(1, "negative_slope", 0.01))}


def _gelu(call: Call) -> Attributes:
    return {"function": "gelu", "approximate": call.kwargs.get("approximate", "none") == "tanh"}


def _scaled(function: str) -> Reader:
    return lambda call: {"function": function, "slope": float(call.argument(1, "alpha", 1.0))}


def _pool(mode: str, rank: int) -> Reader:
    def read(call: Call) -> Attributes:
        size = spread(call.argument(1, "kernel_size"), rank)
        stride = call.argument(2, "stride")
        padding = call.argument(3, "padding", 0)
        attributes = {
            "mode": mode,
            "rank": rank,
            "pool_size": size,
            "strides": spread(stride, rank) if stride else size,
            "padding": f"padding={padding}",
        }
        if mode == "average" and any(spread(padding)):
            attributes["count_padding"] = call.argument(5, "count_include_pad", True)
        return attributes

    return read


def _adaptive(mode: str) -> Reader:
    return lambda call: {"mode": mode, **({} if all_ones(size := call.argument(1, "output_size")) else {"size": size})}


def _reduced(mode: str) -> Reader:
    """A mean or maximum over all axes but the batch and one more."""

    def read(call: Call) -> Attributes | None:
        axes = call.argument(1, "dim", call.kwargs.get("axis"))
        if axes is None or isinstance(axes, bool) or call.rank < 3:
            return None
        axes = sorted(axis % call.rank for axis in (axes if isinstance(axes, (tuple, list)) else [axes]))
        everywhere = [list(range(2, call.rank)), list(range(1, call.rank - 1))]
        return {"mode": mode} if axes in everywhere else None

    return read


def _resize(call: Call) -> Attributes:
    factor, size = call.argument(2, "scale_factor"), call.argument(1, "size")
    if factor is None:
        shape = [int(n) for n in call.tensors[0].shape[2:]]
        factor = [target / n for target, n in zip(spread(size, len(shape)), shape, strict=True)]
    factors = numbers(factor)
    mode, corners = call.argument(3, "mode", "nearest"), call.argument(4, "align_corners")
    antialias = bool(call.argument(6, "antialias", False))
    return {"factor": factors, "mode": resize_modes.from_torch(mode, corners, antialias, whole(factors))}


def _merge(operation: str) -> Reader:
    return lambda call: {"operation": operation}


def _dropout(dropped: str) -> Reader:
    return lambda call: {
        "rate": float(call.argument(1, "p", 0.5)),
        "dropped": dropped,
        "always": bool(call.argument(2, "training", True)),
    }


def _sliced(call: Call) -> Attributes | None:
    """A contiguous piece; anything gathered by indices, strides or masks is no crop."""
    index = call.argument(1, "index")
    parts = index if isinstance(index, tuple) else (index,)
    contiguous = all(part.step in (None, 1) for part in parts if isinstance(part, slice))
    plain = all(part is None or part is Ellipsis or isinstance(part, (slice, int)) for part in parts)
    return {} if contiguous and plain and not any(isinstance(part, bool) for part in parts) else None


ACTIVATIONS = ("relu", "relu6", "tanh", "sigmoid", "silu", "softplus", "softmax", "log_softmax", "selu", "softsign")
CHANNEL_DROPOUTS = ("dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout")
FUNCTIONS: dict[str, tuple[str, Reader]] = {
    **{name: ("activation", _fixed(function=name)) for name in (*ACTIVATIONS, "mish")},
    "hardsigmoid": ("activation", _fixed(function="hard_sigmoid")),
    "hardswish": ("activation", _fixed(function="hard_silu")),
    "logsigmoid": ("activation", _fixed(function="log_sigmoid")),
    "tanhshrink": ("activation", _fixed(function="tanh_shrink")),
    "leaky_relu": ("activation", _leaky),
    "gelu": ("activation", _gelu),
    "elu": ("activation", _scaled("elu")),
    "celu": ("activation", _scaled("celu")),
    "interpolate": ("upsample", _resize),
    "pad": ("padding", _fixed()),
    "flatten": ("flatten", _fixed()),
    "mean": ("global-pool", _reduced("average")),
    "amax": ("global-pool", _reduced("max")),
    **{name: ("merge", _merge("concatenate")) for name in ("cat", "concat", "concatenate", "hstack")},
    **{name: ("merge", _merge("add")) for name in ("add", "radd", "iadd")},
    **{name: ("merge", _merge("subtract")) for name in ("sub", "rsub", "isub", "subtract")},
    **{name: ("merge", _merge("multiply")) for name in ("mul", "rmul", "imul", "multiply")},
    **{name: ("merge", _merge("divide")) for name in ("div", "truediv", "divide", "true_divide")},
    "maximum": ("merge", _merge("maximum")),
    "minimum": ("merge", _merge("minimum")),
    **{f"max_pool{rank}d": ("pool", _pool("max", rank)) for rank in (1, 2, 3)},
    **{f"avg_pool{rank}d": ("pool", _pool("average", rank)) for rank in (1, 2, 3)},
    **{f"adaptive_max_pool{rank}d": ("global-pool", _adaptive("max")) for rank in (1, 2, 3)},
    **{f"adaptive_avg_pool{rank}d": ("global-pool", _adaptive("average")) for rank in (1, 2, 3)},
    "getitem": ("crop", _sliced),
    "narrow": ("crop", _fixed()),
    **{name: ("permute", _fixed()) for name in ("permute", "transpose", "swapaxes", "movedim", "moveaxis")},
    **{name: ("reshape", _fixed()) for name in ("reshape", "view", "squeeze", "unsqueeze", "unflatten")},
    "dropout": ("dropout", _dropout(VALUES)),
    "alpha_dropout": ("dropout", _dropout(VALUES)),
    **{name: ("dropout", _dropout(CHANNELS)) for name in CHANNEL_DROPOUTS},
}


# Functions that draw random numbers, other than dropout, which is disabled.
RANDOM = (
    *("rand", "randn", "rand_like", "randn_like", "randint", "randint_like", "randperm", "bernoulli", "multinomial"),
    *("normal", "uniform", "exponential", "poisson", "geometric", "cauchy", "log_normal", "random"),
)
# Functions that are no step of their own, by what they do; any other computes.
EFFECTS = {
    **{
        name: MOVES
        for name in ("contiguous", "clone", "detach", "to", "cpu", "type", "float", "double", "get", "expand")
    },
    **{name: MOVES for name in ("view_as", "reshape_as", "expand_as", "chunk", "split", "unbind", "select", "set")},
    **{name: MOVES for name in ("t", "alias", "size", "dim", "type_as", "requires_grad", "is_floating_point", "numel")},
    **{name: ARITHMETIC for name in ("add", "radd", "iadd", "sub", "rsub", "isub", "subtract", "neg", "negative")},
    **{name: ARITHMETIC for name in ("mul", "rmul", "imul", "multiply", "div", "truediv", "rtruediv", "divide")},
}


def classify_call(word: str, call: Call) -> tuple[str | None, Attributes]:
    """``(kind, attributes)`` of a call by the function's name (bare of underscores), or ``(None, {})``."""
    kind, read = FUNCTIONS.get(word, (None, None))
    attributes = read(call) if read is not None else None
    return (None, {}) if attributes is None else (kind, attributes)


DROPOUTS = tuple(name for name, (kind, _) in FUNCTIONS.items() if kind == "dropout")
