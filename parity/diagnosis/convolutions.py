"""Hypotheses about convolutions and dense layers: padding, bias, order of weights. Plain NumPy."""

from __future__ import annotations

import numpy as np

from parity.diagnosis.between.constants import close, shown
from parity.diagnosis.evidence import Evidence, Explanation
from parity.numerics.difference import TINY, difference
from parity.padding import torch_recipe
from parity.padding.axis import Axis
from parity.verdict import UnusableInput

Array = np.ndarray


def padding_shift(evidence: Evidence) -> Explanation:
    """Same output size, other alignment: the port pads or crops other amounts at each edge."""
    if evidence.got is None or evidence.got.shape != evidence.expected.shape:
        return None
    return _other_amounts(evidence)


def crop_size(evidence: Evidence) -> Explanation:
    """A transposed convolution of another output size: other output_padding or padding."""
    if evidence.got is None or evidence.kind != "conv-transpose" or evidence.got.shape == evidence.expected.shape:
        return None
    return _other_amounts(evidence)


def padding_size(evidence: Evidence) -> Explanation:
    """A convolution of another output size: the port pads more or less."""
    if evidence.got is None or evidence.kind != "conv" or evidence.got.shape == evidence.expected.shape:
        return None
    return _other_amounts(evidence)


def _other_amounts(evidence: Evidence) -> Explanation:
    assert evidence.got is not None
    own, other = evidence.own_amounts, evidence.amounts(evidence.got)
    if own is None or other is None or own == other:
        return None
    predicted = evidence.predict(amounts=other)
    if evidence.agrees_on_shape and not evidence.agrees(predicted):
        return None
    accuracy = ""
    if predicted is not None and predicted.shape[:-1] == evidence.got.shape[:-1]:
        found = difference(evidence.got[..., : predicted.shape[-1]], predicted)
        accuracy = f"the port's values are reproduced to {found.relative:.0e} by "
    verb = "cropping" if evidence.kind == "conv-transpose" else "padding"
    expected, used = (_brief(amounts) for amounts in (own, other))
    fix = _recipe(evidence, own) + "".join(f"; drop {name}, which pads before it" for name in _padded_by(evidence))
    return f"{accuracy}{verb} {used} where the reference has {expected}", fix


def _padded_by(evidence: Evidence) -> list[str]:
    """The padding steps of the port right before the layer, whose amounts the recipe contains."""
    padding = {step.name: step for step in evidence.port_trace.steps if step.kind == "padding"}
    found: list[str] = []
    step = evidence.match.port
    while step.sources and len(step.sources[0]) == 1 and step.sources[0][0] in padding:
        step = padding[step.sources[0][0]]
        found.append(step.name)
    return found


def _brief(amounts: list[tuple[int, int]]) -> str:
    """Amounts per axis, written once if all axes agree."""
    return str(tuple(amounts[0])) if len(set(amounts)) == 1 else str([tuple(pair) for pair in amounts])


def _recipe(evidence: Evidence, amounts: list[tuple[int, int]]) -> str:
    settings = evidence.settings
    sizes = evidence.layer_input.shape[1:-1]
    kernel, strides, dilation = (settings[name] for name in ("kernel_size", "strides", "dilation"))
    axes = [Axis(evidence.kind, *axis) for axis in zip(sizes, kernel, strides, dilation, strict=True)]
    try:
        recipe = torch_recipe(axes, amounts)
    except UnusableInput as error:
        return str(error)
    return f"{recipe.text}: {'; '.join(recipe.code.splitlines())}"


def missing_bias(evidence: Evidence) -> Explanation:
    """The port leaves out the bias."""
    slot = "beta" if evidence.kind in ("batchnorm", "layernorm", "groupnorm") else "bias"
    if slot not in evidence.weights or not evidence.equals(evidence.expected - evidence.weights[slot]):
        return None
    return f"the port leaves out the {slot}", "add the bias (bias=True) and copy it"


def kernel_axes(evidence: Evidence) -> Explanation:
    """The port's kernel is transposed or flipped."""
    kernel = evidence.weights.get("kernel")
    if kernel is None or evidence.got is None:
        return None
    spatial = tuple(range(kernel.ndim - 2))
    candidates: dict[str, Array] = {}
    if len(spatial) == 2 and kernel.shape[0] == kernel.shape[1]:
        candidates["with height and width exchanged (or exchanges them in its input and its result)"] = kernel.swapaxes(
            0, 1
        )
    for axes in ([spatial] if len(spatial) < 2 else [spatial, (0,), (1,)]) if spatial else []:
        candidates[f"flipped along axis {' and '.join(map(str, axes))}"] = np.flip(kernel, axes)
    if kernel.shape[-1] == kernel.shape[-2]:
        candidates["with input and output channels exchanged"] = kernel.swapaxes(-1, -2)
    for how, candidate in candidates.items():
        if evidence.agrees(evidence.predict(kernel=candidate)):
            return f"the port uses the kernel {how}", (
                "copy kernels with transpose(3, 2, 0, 1): HWIO -> OIHW, and HWOI -> IOHW for transposed convolutions"
            )
    return None


def channel_order(evidence: Evidence) -> Explanation:
    """The port's channels are the expected ones in another order."""
    got, expected = evidence.got, evidence.expected
    if got is None or got.shape != expected.shape or got.shape[-1] < 2 or not got.size:
        return None
    rows = got.reshape(-1, got.shape[-1]), expected.reshape(-1, expected.shape[-1])
    order = np.argsort(np.argsort(rows[0][0], kind="stable"), kind="stable")
    order = np.argsort(rows[1][0], kind="stable")[order]
    if (order == np.arange(len(order))).all() or not evidence.equals(expected[..., order]):
        return None
    shown = str(order.tolist()) if len(order) <= 8 else "another order"
    return f"the port holds the reference's channels as {shown}", "bring the channels into the reference's order"


def padding_mode(evidence: Evidence) -> Explanation:
    """The reference's amounts, filled in another way than with zeros."""
    own = evidence.own_amounts if evidence.kind == "conv" else None
    if own is None or not any(map(any, own)) or min(min(pair) for pair in own) < 0:
        return None
    pads = [(0, 0), *own, (0, 0)]
    for mode, name in PADDING_MODES.items():
        try:
            padded = np.pad(evidence.layer_input, pads, mode=mode)  # type: ignore[call-overload]
        except ValueError:
            continue
        if evidence.agrees(evidence.predict(padded, amounts=[(0, 0)] * len(own))):
            return f"the port pads {_brief(own)} in mode {name}, the reference with zeros", (
                "pad with zeros: padding_mode='zeros', or F.pad without a mode"
            )
    return None


PADDING_MODES = {"reflect": "reflect", "edge": "replicate (edge)", "wrap": "circular", "symmetric": "symmetric"}
WEIGHTED = ("conv", "conv-transpose", "dense")


def input_axes(evidence: Evidence) -> Explanation:
    """The layer fed with height and width exchanged, or with its result exchanged."""
    x = evidence.layer_input
    if evidence.kind not in ("conv", "conv-transpose", "pool", "upsample") or x.ndim != 4 or evidence.got is None:
        return None
    turned = evidence.predict(x.swapaxes(1, 2))
    for predicted, what in (
        (None if turned is None else turned.swapaxes(1, 2), "computes with height and width exchanged (its input is "
         "transposed before, its result after)"),
        (turned, "is fed with height and width exchanged"),
        (evidence.expected.swapaxes(1, 2), "returns height and width exchanged"),
    ):  # fmt: skip
        if evidence.agrees(predicted):
            return f"the port {what}, the reference does not", "keep (N, C, H, W): do not transpose the image axes"
    return None


def input_reversed(evidence: Evidence) -> Explanation:
    """The layer fed with an axis reversed."""
    x = evidence.layer_input
    if evidence.kind not in WEIGHTED or x.ndim < 3:
        return None
    for axis in range(1, x.ndim - 1):
        made = evidence.predict(np.flip(x, axis))
        for predicted, what in (
            (made, ""),
            (None if made is None else np.flip(made, axis), " and turned back after it"),
        ):
            if evidence.agrees(predicted):
                return f"the port's input is reversed along axis {axis}{what}, the reference's is not", "do not flip it"
    return None


def input_channels(evidence: Evidence) -> Explanation:
    """The layer fed with its channels reversed, or with two parts of them exchanged."""
    x = evidence.layer_input
    if evidence.kind not in WEIGHTED or x.shape[-1] < 2:
        return None
    count = x.shape[-1]
    orders = {"in reverse (RGB against BGR)": [*range(count)][::-1]}
    parts = range(1, count) if count <= MAX_PARTS else [count // 2]
    orders |= {f"with the first {n} last": [*range(n, count), *range(n)] for n in parts}
    for words, order in orders.items():
        if evidence.agrees(evidence.predict(x[..., order])):
            return f"the port's input has its channels {words}, the reference's has not", (
                "feed the channels in the reference's order (the order of torch.cat's parts, RGB or BGR)"
            )
    return None


MAX_PARTS = 64


def input_factor(evidence: Evidence) -> Explanation:
    """The layer fed with a multiple of its input."""
    factor = kernel_factor(evidence) if evidence.kind in WEIGHTED else None
    if factor is None or close(factor, 1.0):
        return None
    value = shown(factor, evidence.layer_input.shape[1:])
    return f"the port multiplies the layer's input (or its kernel) by {value}, the reference does not", (
        f"leave out the factor {value} before {evidence.match.port.name}, or divide by it where the reference does not"
    )


def kernel_factor(evidence: Evidence) -> float | None:
    """The factor between the port's kernel (or input) and the reference's, if it explains the port's values."""
    got, kernel, bias = evidence.got, evidence.weights.get("kernel"), evidence.weights.get("bias")
    made = evidence.predict(bias=None)
    if got is None or kernel is None or made is None or got.shape[:-1] != made.shape[:-1]:
        return None
    few = slice(0, made.shape[-1])
    linear = got[..., few] - (0.0 if bias is None else bias[few])
    factor = float((linear * made).sum() / max((made * made).sum(), TINY))
    return factor if evidence.agrees(evidence.predict(kernel=factor * kernel)) else None


def flatten_order(evidence: Evidence) -> Explanation:
    """The port flattens an image in another order than the rows of the dense kernel."""
    if evidence.kind != "dense" or evidence.layer_input.ndim != 2:
        return None
    images = [step.output_shape[1:] for step in evidence.reference_trace.steps if len(step.output_shape) == 4
              and int(np.prod(step.output_shape[1:])) == evidence.layer_input.shape[1]]  # fmt: skip
    for shape in dict.fromkeys(images):
        moved = np.moveaxis(evidence.layer_input.reshape(len(evidence.layer_input), *shape), -1, 1).reshape(
            len(evidence.layer_input), -1
        )
        if evidence.agrees(evidence.predict(moved)):
            return "the port flattens (c, h, w), the kernel's rows stand as (h, w, c)", (
                "permute the rows when copying: kernel.reshape(h, w, c, n).transpose(2, 0, 1, 3).reshape(-1, n).T"
            )
    return None
