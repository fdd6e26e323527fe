"""Layers written as functions: ``F.conv2d(x, self.weight, self.bias)`` with parameters that the module holds."""

from __future__ import annotations

from collections.abc import Callable

from parity.capture.steps import Step
from parity.capture.torch_functions import Attributes, Call
from parity.capture.torch_layer_kinds import spread

Slots = dict[str, tuple[int, str]]


def _conv(rank: int, transposed: bool) -> Callable[[Call], Attributes]:
    def read(call: Call) -> Attributes:
        weight = call.argument(1, "weight")
        groups, dilation = (6, 7) if transposed else (6, 5)
        count = int(call.argument(groups, "groups", 1))
        return {
            "rank": rank,
            "features": int(weight.shape[1] if transposed else weight.shape[0]) * (count if transposed else 1),
            "kernel_size": [int(n) for n in weight.shape[2:]],
            "strides": spread(call.argument(3, "stride", 1), rank),
            "dilation": spread(call.argument(dilation, "dilation", 1), rank),
            "groups": count,
            "bias": call.argument(2, "bias") is not None,
            "padding": f"padding={call.argument(4, 'padding', 0)}",
        }

    return read


def _linear(call: Call) -> Attributes:
    return {"features": int(call.argument(1, "weight").shape[0]), "bias": call.argument(2, "bias") is not None}


def _embedding(call: Call) -> Attributes:
    vocabulary, features = call.argument(1, "weight").shape
    return {"vocabulary": int(vocabulary), "features": int(features)}


def _affine(weight: int, bias: int, epsilon: int) -> Callable[[Call], Attributes]:
    return lambda call: {
        "epsilon": float(call.argument(epsilon, "eps", 1e-5)),
        "scale": call.argument(weight, "weight") is not None,
        "center": call.argument(bias, "bias") is not None,
    }


def _groupnorm(call: Call) -> Attributes:
    return {"groups": int(call.argument(1, "num_groups")), **_affine(2, 3, 4)(call)}


def _batchnorm(call: Call) -> Attributes:
    momentum = round(1 - float(call.argument(6, "momentum", 0.1)), 12)
    tracked = call.argument(1, "running_mean") is not None
    return {**_affine(3, 4, 7)(call), "momentum": momentum, "tracked": tracked}


KERNEL: Slots = {"kernel": (1, "weight"), "bias": (2, "bias")}
# function -> (kind, how its settings are read, where its parameters stand among the arguments)
LAYERS: dict[str, tuple[str, Callable[[Call], Attributes], Slots]] = {
    **{f"conv{rank}d": ("conv", _conv(rank, False), KERNEL) for rank in (1, 2, 3)},
    **{f"conv_transpose{rank}d": ("conv-transpose", _conv(rank, True), KERNEL) for rank in (1, 2, 3)},
    "linear": ("dense", _linear, KERNEL),
    "embedding": ("embedding", _embedding, {"embeddings": (1, "weight")}),
    "layer_norm": ("layernorm", _affine(2, 3, 4), {"gamma": (2, "weight"), "beta": (3, "bias")}),
    "group_norm": ("groupnorm", _groupnorm, {"gamma": (2, "weight"), "beta": (3, "bias")}),
    "batch_norm": (
        "batchnorm",
        _batchnorm,
        {
            "gamma": (3, "weight"),
            "beta": (4, "bias"),
            "moving_mean": (1, "running_mean"),
            "moving_variance": (2, "running_var"),
        },
    ),
    "prelu": ("prelu", lambda call: {}, {"alpha": (1, "weight")}),
}


def functional_step(word: str, call: Call, held: dict[int, str]) -> Step | None:
    """The step that a call makes whose parameters the module holds (``held``: their names by identity), else None."""
    if word not in LAYERS:
        return None
    kind, read, slots = LAYERS[word]
    parameters = {slot: call.argument(*place) for slot, place in slots.items()}
    parameters = {slot: tensor for slot, tensor in parameters.items() if tensor is not None}
    if not parameters or any(id(tensor) not in held for tensor in parameters.values()):
        return None
    shapes = {slot: tuple(tensor.shape) for slot, tensor in parameters.items()}
    handle = {slot: held[id(tensor)] for slot, tensor in parameters.items()}
    return Step("", kind, read(call), shapes, kind, handle=handle, owner=word)
