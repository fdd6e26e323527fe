"""Why a layer fails: small hypotheses in a table, each tested on the measured values. Plain NumPy.

A hypothesis looks at one layer fed the reference's input and returns a finding if it reproduces the port's values, or
None. Hypotheses only explain; they never turn a failure green. To add one: write a function, add a row.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from parity.attention import RIGHT, VARIANTS, solved, usual_factors
from parity.compare import TINY, difference
from parity.evidence import FIT, FUNCTIONS, Evidence
from parity.padding import torch_recipe
from parity.padding.axis import Axis
from parity.referee import UPSAMPLING
from parity.spectral import MOST_ITERATIONS, U_FIRST, V_FIRST, sigma
from parity.verdict import Finding, UnusableInput

Array = np.ndarray
Answer = tuple[str, str] | None


def explain(evidence: Evidence, rung: str) -> list[Finding]:
    """The first hypothesis that fits, as a list of one; empty if none does."""
    for kind, hypothesis in HYPOTHESES:
        answer = hypothesis(evidence)
        if answer is not None:
            message, fix = answer
            match = evidence.match
            text = f"{match.label}: {apart(evidence)}; {message}"
            return [Finding(kind, match.port.name, match.key, text, fix, rung)]
    return []


def apart(evidence: Evidence) -> str:
    """How far the port's values are from the expected ones, in words."""
    got, expected = evidence.got, evidence.expected
    if got is None or got.shape != expected.shape:
        return f"shapes differ (got {None if got is None else got.shape}, expected {expected.shape})"
    found = difference(got, expected, 1e-9 * float(np.abs(expected).max(initial=0)))
    return f"shapes agree, values differ (max |Δ| {found.absolute:.2g}, {found.mismatched:.0%})"


def layer_order(evidence: Evidence) -> Answer:
    """The port runs this layer, or its neighbour, at another place."""
    matches = evidence.matching.matches
    place = matches.index(evidence.match)
    near = [match for match in matches[max(place - 2, 0) : place + 3] if not match.in_order]
    if not near or all(match.in_order for match in (evidence.match, *near)):
        return None
    names = ", ".join(f"{match.port.name} (reference {match.key})" for match in near)
    order = " → ".join(match.key for match in matches[max(place - 2, 0) : place + 3])
    return f"the port runs {names} at another place", f"keep the reference's order: {order}"


def padding_shift(evidence: Evidence) -> Answer:
    """Same shape, other rows and columns: the port pads or crops other edges."""
    if evidence.got is None or evidence.got.shape != evidence.expected.shape:
        return None
    return _other_amounts(evidence)


def crop(evidence: Evidence) -> Answer:
    """A transposed convolution of another size: output_padding or padding is off."""
    if evidence.got is None or evidence.kind != "conv-transpose" or evidence.got.shape == evidence.expected.shape:
        return None
    return _other_amounts(evidence)


def padding_size(evidence: Evidence) -> Answer:
    """A convolution of another size: the port pads more or less."""
    if evidence.got is None or evidence.kind != "conv" or evidence.got.shape == evidence.expected.shape:
        return None
    return _other_amounts(evidence)


def _other_amounts(evidence: Evidence) -> Answer:
    assert evidence.got is not None
    own, other = evidence.own_amounts, evidence.amounts(evidence.got)
    if own is None or other is None or own == other:
        return None
    predicted = evidence.predict(amounts=other)
    accuracy = ""
    if predicted is not None and predicted.shape[:-1] == evidence.got.shape[:-1]:
        found = difference(evidence.got[..., : predicted.shape[-1]], predicted)
        accuracy = f"the port's values are reproduced to {found.relative:.0e} by "
    verb = "cropping" if evidence.kind == "conv-transpose" else "padding"
    mine, theirs = (_once(amounts) for amounts in (own, other))
    return f"{accuracy}{verb} {theirs} where the reference has {mine}", _recipe(evidence, own)


def _once(amounts: list[tuple[int, int]]) -> str:
    return str(tuple(amounts[0])) if len(set(amounts)) == 1 else str([tuple(pair) for pair in amounts])


def _recipe(evidence: Evidence, amounts: list[tuple[int, int]]) -> str:
    s = evidence.settings
    axes = [Axis(evidence.kind, n, k, stride, dilation) for n, k, stride, dilation in
            zip(evidence.given.shape[1:-1], s["kernel_size"], s["strides"], s["dilation"], strict=True)]  # fmt: skip
    try:
        recipe = torch_recipe(axes, amounts)
    except UnusableInput as error:
        return str(error)
    return f"{recipe.text}: {'; '.join(recipe.code.splitlines())}"


def missing_bias(evidence: Evidence) -> Answer:
    """The port's values are the expected ones less the bias."""
    slot = "beta" if evidence.kind in ("batchnorm", "layernorm", "groupnorm") else "bias"
    if slot not in evidence.weights or not _fits(evidence, evidence.expected - evidence.weights[slot]):
        return None
    return f"the port leaves out the {slot}", "add the bias (bias=True) and copy it"


def kernel_axes(evidence: Evidence) -> Answer:
    """The port's kernel is turned, flipped or transposed."""
    kernel = evidence.weights.get("kernel")
    if kernel is None or evidence.got is None:
        return None
    spatial = tuple(range(kernel.ndim - 2))
    turned: dict[str, Array] = {}
    if len(spatial) == 2 and kernel.shape[0] == kernel.shape[1]:
        turned["with height and width exchanged"] = kernel.swapaxes(0, 1)
    for axes in ([spatial] if len(spatial) < 2 else [spatial, (0,), (1,)]) if spatial else []:
        turned[f"flipped along axis {' and '.join(map(str, axes))}"] = np.flip(kernel, axes)
    if kernel.shape[-1] == kernel.shape[-2]:
        turned["with input and output channels exchanged"] = kernel.swapaxes(-1, -2)
    for how, candidate in turned.items():
        if evidence.agrees(evidence.predict(kernel=candidate)):
            return f"the port uses the kernel {how}", (
                "copy kernels with transpose(3, 2, 0, 1): HWIO -> OIHW, and HWOI -> IOHW for transposed convolutions"
            )
    if len(spatial) == 2 and _fits(evidence, evidence.expected.swapaxes(1, 2)):
        return "the port's output has height and width exchanged", "do not transpose the image axes"
    return None


def channel_order(evidence: Evidence) -> Answer:
    """The expected channels in another order."""
    got, expected = evidence.got, evidence.expected
    if got is None or got.shape != expected.shape or got.shape[-1] < 2:
        return None
    rows = got.reshape(-1, got.shape[-1]), expected.reshape(-1, expected.shape[-1])
    order = np.argsort(np.argsort(rows[0][0], kind="stable"), kind="stable")
    order = np.argsort(rows[1][0], kind="stable")[order]
    if (order == np.arange(len(order))).all() or not _fits(evidence, expected[..., order]):
        return None
    shown = str(order.tolist()) if len(order) <= 8 else "another order"
    return f"the port holds the reference's channels as {shown}", "bring the channels into the reference's order"


def flatten_order(evidence: Evidence) -> Answer:
    """A dense layer that reads an image in another order than its rows were laid out for."""
    if evidence.kind != "dense" or evidence.given.ndim != 2:
        return None
    images = [step.output_shape[1:] for step in evidence.reference_trace.steps if len(step.output_shape) == 4
              and int(np.prod(step.output_shape[1:])) == evidence.given.shape[1]]  # fmt: skip
    for shape in dict.fromkeys(images):
        moved = np.moveaxis(evidence.given.reshape(len(evidence.given), *shape), -1, 1).reshape(len(evidence.given), -1)
        if evidence.agrees(evidence.predict(moved)):
            return "the port flattens (c, h, w), the kernel's rows stand as (h, w, c)", (
                "permute the rows when copying: kernel.reshape(h, w, c, n).transpose(2, 0, 1, 3).reshape(-1, n).T"
            )
    return None


def spectral_norm(evidence: Evidence) -> Answer:
    """The kernel divided by another number: not normalised, moved more or fewer times, or by another matrix."""
    settings, other = evidence.settings, evidence.match.port.attributes
    factor = _kernel_factor(evidence) if {"spectral_norm"} & (settings.keys() | other.keys()) else None
    if factor is None:
        return None
    kept = evidence.weights.get("original", evidence.weights["kernel"])
    largest = np.argmax(np.abs(kept))
    mine = float(kept.flat[largest] / evidence.weights["kernel"].flat[largest])
    used = mine / factor
    where = "in training" if evidence.training else "in evaluation"
    if abs(used - 1) < FIT:
        return f"the port computes {where} with the kernel as it is kept, the reference with kernel / {mine:.6g}", (
            "normalise it: torch.nn.utils.parametrizations.spectral_norm(layer)"
        )
    if "spectral_norm" not in settings:
        return f"the port divides its kernel by {used:.6g}, the reference does not", "remove the spectral normalisation"
    for order in (U_FIRST, V_FIRST) if evidence.training else ():
        for times in range(MOST_ITERATIONS + 1):
            divisor = sigma(kept, evidence.weights, evidence.kind, settings, times, order)
            if divisor is not None and abs(divisor / used - 1) < FIT:
                return (
                    f"the port makes {times} power iterations in training ({order}), the reference "
                    f"{settings['power_iterations']} ({settings['spectral_order']})"
                ), f"make {settings['power_iterations']} and move {settings['spectral_order']}"
    return f"the port divides its kernel by {used:.6g} {where}, the reference by {mine:.6g}", (
        f"divide by u^T W v of the matrix [{settings['spectral_axis']}, rest]: leave dim to torch's spectral_norm"
    )


def _kernel_factor(evidence: Evidence) -> float | None:
    """By what the port's kernel is larger than the reference's, if that explains its values."""
    got, kernel, bias = evidence.got, evidence.weights.get("kernel"), evidence.weights.get("bias")
    product = evidence.predict(bias=None)
    if got is None or kernel is None or product is None or got.shape[:-1] != product.shape[:-1]:
        return None
    few = slice(0, product.shape[-1])
    linear = got[..., few] - (0.0 if bias is None else bias[few])
    factor = float((linear * product).sum() / max((product * product).sum(), TINY))
    return factor if evidence.agrees(evidence.predict(kernel=factor * kernel)) else None


def batchnorm_epsilon(evidence: Evidence) -> Answer:
    """Another epsilon, solved for from the values."""
    if evidence.kind != "batchnorm" or evidence.got is None or evidence.got.shape != evidence.expected.shape:
        return None
    beta = evidence.weights.get("beta", 0.0)
    bare = evidence.predict(epsilon=0.0)
    if bare is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        shrink = ((bare - beta) / (evidence.got - beta)) ** 2
    variance = _variance(evidence)
    solved = float(np.nanmedian((shrink - 1) * variance))
    if not np.isfinite(solved) or not evidence.agrees(evidence.predict(epsilon=solved)):
        return None
    expected = evidence.settings["epsilon"]
    return f"the port's epsilon is {solved:.3g}, the reference's {expected:g}", f"set eps={expected:g}"


def _variance(evidence: Evidence) -> Array:
    if evidence.training or not evidence.settings.get("tracked", True):
        return evidence.given.reshape(-1, evidence.given.shape[-1]).var(0)
    return evidence.weights["moving_variance"]


def batchnorm_variance(evidence: Evidence) -> Answer:
    """The batch's unbiased variance where the biased one normalises."""
    if evidence.kind != "batchnorm" or not evidence.agrees(evidence.predict(unbiased=True)):
        return None
    return "the port normalises by the unbiased variance n/(n-1)", "normalise by the biased batch variance"


def batchnorm_statistics(evidence: Evidence) -> Answer:
    """Batch statistics where the running ones belong, or the reverse."""
    if evidence.kind != "batchnorm" or not evidence.agrees(evidence.predict(training=not evidence.training)):
        return None
    used, due = ("running", "batch") if evidence.training else ("batch", "running")
    return f"the port normalises with {used} statistics", f"use {due} statistics here: check .train() and .eval()"


def activation_slope(evidence: Evidence) -> Answer:
    """Another slope for negative values."""
    if evidence.kind != "activation" or evidence.got is None or evidence.got.shape != evidence.given.shape:
        return None
    negative = evidence.given < 0
    if not negative.any() or "slope" not in evidence.settings and evidence.settings["function"] != "relu":
        return None
    slope = float(np.median(evidence.got[negative] / evidence.given[negative]))
    if not slope or not _fits(evidence, np.where(negative, slope * evidence.given, evidence.given)):
        return None
    expected = evidence.settings.get("slope", 0.0)
    return f"the port's slope is {slope:.6g}, the reference's {expected:g}", f"set negative_slope={expected:g}"


def activation_kind(evidence: Evidence) -> Answer:
    """Another function, here or unseen between this layer and the one before."""
    if evidence.kind == "activation":
        for name in FUNCTIONS:
            if evidence.agrees(evidence.predict(function=name)):
                return f"the port computes {name}, the reference {_function(evidence)}", f"use {_function(evidence)}"
        return None
    return _unseen_activation(evidence)


def _unseen_activation(evidence: Evidence) -> Answer:
    steps = evidence.reference_trace.steps
    place = next(i for i, step in enumerate(steps) if step.name == evidence.match.key)
    before = [step for step in steps[max(place - 3, 0) : place] if step.kind == "activation"]
    alone = {step.name for step in evidence.matching.only_reference}
    unmatched = [step for step in before if step.name in alone]
    inputs = {"": evidence.given}
    inputs |= {step.attributes["function"]: evidence.reference_trace.inputs.get(step.name) for step in unmatched}
    for due, given in inputs.items():
        if given is None:
            continue
        for name, function in FUNCTIONS.items():
            if (
                name != due
                and not (name == "identity" and not due)
                and evidence.agrees(evidence.predict(function(given)))
            ):
                what = "no activation" if name == "identity" else name
                return f"the port feeds it through {what} where the reference has {due or 'none'}", (
                    f"apply {due} before {evidence.match.port.name}" if due else f"remove {what} before it"
                )
    return None


def _function(evidence: Evidence) -> str:
    slope = evidence.settings.get("slope")
    return evidence.settings["function"] + (f"({slope:g})" if slope is not None else "")


def resize_mode(evidence: Evidence) -> Answer:
    """Another interpolation."""
    if evidence.kind != "upsample":
        return None
    for mode in UPSAMPLING:
        if mode != evidence.settings["mode"] and evidence.agrees(evidence.predict(mode=mode)):
            return f"the port resizes by {mode}", f"resize by {evidence.settings['mode']}"
    return None


def pooling(evidence: Evidence) -> Answer:
    """A mean over the padding too, or not; or windows that begin elsewhere."""
    if evidence.kind != "pool" or not evidence.agrees_on_shape:
        return None
    due = evidence.settings.get("count_padding", False)
    if evidence.settings["mode"] == "average" and evidence.agrees(evidence.predict(count_padding=not due)):
        how = ("counts", "does not") if not due else ("does not count", "does")
        return f"the port {how[0]} the padding in the mean, the reference {how[1]}", f"set count_include_pad={due}"
    return None


def pooling_edges(evidence: Evidence) -> Answer:
    """Windows that begin elsewhere."""
    if evidence.kind != "pool" or not evidence.agrees_on_shape:
        return None
    largest = max(evidence.settings["pool_size"])
    for before, after, count in product(range(largest), range(largest), (False, True)):
        amounts = [(before, after)] * len(evidence.settings["pool_size"])
        if evidence.agrees(evidence.predict(amounts=amounts, count_padding=count)):
            counted = " and counts the padding" if count and before + after else ""
            return f"the port's windows are reproduced by padding ({before}, {after}){counted}", (
                "pad as the reference does (F.pad before a pooling without padding): TensorFlow's SAME puts the larger "
                "half at the bottom right and never counts it"
            )
    return None


def attention_scale(evidence: Evidence) -> Answer:
    """Self-attention whose logits are multiplied by another factor."""
    form = evidence.attention if evidence.kind == "own" and evidence.agrees_on_shape else None
    factor = None if form is None or evidence.got is None else solved(form, evidence.got)
    if form is None or factor is None or not evidence.agrees(evidence.predict(factor=factor)):
        return None
    names = [name for name, value in usual_factors(form).items() if abs(factor / value - 1) < FIT]
    told = f"{factor:.6g}" + (f" = {names[0]}" if names and names[0] != "1" else "")
    return f"the port multiplies the logits by {told}, the reference by {form.factor:.6g}", (
        "take the softmax of q^T k without a scale" if form.factor == 1 else f"multiply the logits by {form.factor:.6g}"
    )


def attention_axis(evidence: Evidence) -> Answer:
    """Self-attention whose softmax runs along another axis, or whose weights are transposed."""
    form = evidence.attention if evidence.kind == "own" and evidence.agrees_on_shape else None
    for softmax, factor in product(VARIANTS, usual_factors(form).values()) if form is not None else ():
        if softmax != RIGHT and evidence.agrees(evidence.predict(softmax=softmax, factor=factor)):
            return f"the port's softmax runs {softmax}, the reference's {RIGHT}", (
                "let each query's weights over all keys sum to one: logits [B, queries, keys], softmax(dim=-1), then "
                "weights @ values"
            )
    return None


def _fits(evidence: Evidence, predicted: Array) -> bool:
    return evidence.got is not None and evidence.got.shape == predicted.shape and evidence.agrees(predicted)


HYPOTHESES: list[tuple[str, Callable[[Evidence], Answer]]] = [
    ("layer-order", layer_order),
    ("padding-alignment", padding_shift),
    ("output-padding", crop),
    ("padding-alignment", padding_size),
    ("missing-bias", missing_bias),
    ("spectral-norm", spectral_norm),
    ("batchnorm-epsilon", batchnorm_epsilon),
    ("batchnorm-variance", batchnorm_variance),
    ("batchnorm-statistics", batchnorm_statistics),
    ("activation-slope", activation_slope),
    ("activation-kind", activation_kind),
    ("resize-mode", resize_mode),
    ("pooling-count", pooling),
    ("padding-alignment", pooling_edges),
    ("attention-scale", attention_scale),
    ("attention-axis", attention_axis),
    ("flatten-order", flatten_order),
    ("kernel-layout", kernel_axes),
    ("channel-order", channel_order),
]
