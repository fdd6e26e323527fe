"""Each hypothesis about what happens between layers: the right cause, nothing on equal data, nothing on a neighbour."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from parity.diagnosis.between import Between, explain_between
from parity.numerics.reference_ops import activations, pool, resize

Array = np.ndarray
RNG = np.random.default_rng(0)
IMAGE = RNG.standard_normal((3, 6, 8, 4))
OTHER = RNG.standard_normal((3, 6, 8, 4))
THIRD = RNG.standard_normal((3, 6, 8, 4))
SQUARE = RNG.standard_normal((2, 6, 6, 8))
STEPS = RNG.standard_normal((3, 7, 5))
ROWS = RNG.standard_normal((4, 9))
POSITIVE = np.abs(IMAGE) + 0.1
GATE = RNG.standard_normal((3, 4))
F = activations.FUNCTIONS


@dataclass
class Case:
    """``kind`` and ``words`` that the message must hold; ``fix`` words that the fix must hold."""

    name: str
    kind: str
    words: tuple[str, ...]
    expected: Array
    got: Array
    sources: dict[str, Array] = field(default_factory=lambda: {"conv": IMAGE})
    elsewhere: dict[str, Array] = field(default_factory=dict)
    fix: tuple[str, ...] = ()


def nhwc(order: tuple[int, ...], x: Array = IMAGE) -> Array:
    return x.transpose(order)


def layer_norm(x: Array, epsilon: float, axes: tuple[int, ...] = (-1,)) -> Array:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def unit(x: Array, axis: int = -1) -> Array:
    return x / np.sqrt((x**2).sum(axis, keepdims=True))


def padded(
    x: Array, amounts: tuple[tuple[int, int], tuple[int, int]], mode: str = "constant", **options: float
) -> Array:
    return np.pad(x, [(0, 0), *amounts, (0, 0)], mode=mode, **options)


def resized(mode: str, *sizes: int) -> Array:
    return resize(IMAGE, sizes, mode)


def deep(order: str) -> Array:
    b, h, w, c = SQUARE.shape
    if order == "DCR":
        return SQUARE.reshape(b, h, w, 2, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(b, 12, 12, 2)
    return SQUARE.reshape(b, h, w, 2, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(b, 12, 12, 2)


def shallow(order: tuple[int, ...]) -> Array:
    return SQUARE.reshape(2, 3, 2, 3, 2, 8).transpose(order).reshape(2, 3, 3, 32)


def tokens() -> tuple[Array, Array]:
    """Embedded tokens ``[3, 7, 5]`` with one row for padding, and the mask."""
    table = RNG.standard_normal((6, 5))
    ids = np.array([[1, 2, 3, 0, 0, 0, 0], [4, 0, 0, 0, 0, 0, 0], [5, 1, 2, 4, 3, 1, 0]])
    return table[ids], ids != 0


EMBEDDED, MASK = tokens()
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
RGB = RNG.uniform(0, 255, (2, 5, 6, 3))
TWO = {"left": IMAGE, "right": OTHER}
HALF = np.concatenate([IMAGE, OTHER], -1)

CASES = [
    # axes
    Case("height and width", "axes-exchanged", ("exchanges height and width",), IMAGE[:, :, :6], nhwc((0, 2, 1, 3),
         IMAGE[:, :, :6]),
         {"conv": IMAGE[:, :, :6]}, fix=("transpose",)),
    Case("height and width, other shape", "axes-exchanged", ("exchanges height and width",), IMAGE, nhwc((0, 2, 1, 3))),
    Case("the reference transposes", "axes-exchanged", ("the reference exchanges height and width",), nhwc((0, 2, 1,
         3)), IMAGE),
    Case("height and width exchanged, source unknown", "axes-exchanged", ("height and width",), SQUARE, nhwc((0, 2, 1,
         3), SQUARE), {}),
    Case("flip", "axis-reversed", ("reverses", "width"), IMAGE, IMAGE[:, :, ::-1]),
    Case("batch reversed", "axis-reversed", ("batch",), IMAGE, IMAGE[::-1]),
    Case("roll", "axis-shifted", ("shifts", "by 1", "steps"), STEPS, np.roll(STEPS, 1, 1), {"x": STEPS}),
    Case("view for a transpose", "axes-exchanged", ("reshapes", "exchanges"), STEPS.transpose(0, 2, 1),
         STEPS.reshape(3, 5, 7), {"x": STEPS}),
    Case("flatten", "flatten-order", ("flattens conv as (batch, channels, height, width)",
         "(batch, height, width, channels)"),
         IMAGE.reshape(3, -1), nhwc((0, 3, 1, 2)).reshape(3, -1)),
    Case("channels reversed", "channel-order", ("in reverse",), RGB, RGB[..., ::-1], {"x": RGB}),
    Case("channel shuffle left out", "channel-order", ("2 groups",), SQUARE.reshape(2, 6, 6, 2, 4).swapaxes(3,
         4).reshape(SQUARE.shape),
         SQUARE, {"x": SQUARE}),
    Case("depth to space", "depth-to-space", ("DCR", "CRD"), deep("DCR"), deep("CRD"), {"x": SQUARE}, fix=("permute",)),
    Case("pixel shuffle", "depth-to-space", ("the port", "DCR", "the reference", "CRD"), deep("CRD"), deep("DCR"),
         {"x": SQUARE},
         fix=("F.pixel_shuffle(x, 2)",)),
    Case("space to depth", "depth-to-space", ("DCR", "CRD"), shallow((0, 1, 3, 2, 4, 5)), shallow((0, 1, 3, 5, 2, 4)),
         {"x": SQUARE}),
    # factors
    Case("sqrt(d)", "scale-factor", ("sqrt(9)",), ROWS * 3, ROWS, {"x": ROWS}),
    Case("embedding scaled by sqrt(d)", "scale-factor", ("sqrt(5)",), STEPS * 5**0.5, STEPS, {"x": STEPS}),
    Case("1/d for 1/sqrt(d)", "scale-factor", ("1 / 9", "1 / sqrt(9)"), ROWS / 3, ROWS / 9, {"x": ROWS}),
    Case("sqrt(8)", "scale-factor", ("sqrt(8)",), ROWS, ROWS * 8**0.5, {}),
    Case("255", "scale-factor", ("1 / 255",), RGB / 255, RGB, {"x": RGB}),
    Case("127.5", "scale-factor", ("1 / 127.5", "1 / 255", "- 1"), RGB / 127.5 - 1, RGB / 255, {"x": RGB}),
    Case("an offset", "scale-factor", ("adds 0.5",), ROWS, ROWS + 0.5, {}),
    Case("ImageNet", "scale-factor", ("ImageNet",), (RGB / 255 - MEAN) / DEVIATION, RGB / 255, {"x": RGB}),
    Case("mean and deviation per channel", "scale-factor", ("channel",), (IMAGE - GATE[0]) / (GATE[1] ** 2), IMAGE),
    Case("sign", "scale-factor", ("sign",), ROWS, -ROWS, {}),
    # functions
    Case("log10", "log-base", ("log10",), np.log(POSITIVE), np.log10(POSITIVE), {"x": POSITIVE}, fix=("torch.log",)),
    Case("log2", "log-base", ("log2",), np.log2(POSITIVE), np.log(POSITIVE), {"x": POSITIVE}, fix=("torch.log2",)),
    Case("log base, source unknown", "log-base", ("1 / ln 10",), np.log(POSITIVE), np.log10(POSITIVE), {}),
    Case("log of 1 + x", "log-offset", ("1 + x",), np.log(1 + POSITIVE), np.log(POSITIVE), {"x": POSITIVE}),
    Case("log of x + eps", "log-offset", ("x + 1e-06", "x + 0.001"), np.log(POSITIVE + 1e-6), np.log(POSITIVE + 1e-3),
         {"x": POSITIVE}),
    Case("gelu tanh", "activation-form", ("exact", "tanh"), F["gelu"](IMAGE), F["gelu_tanh"](IMAGE),
         fix=("F.gelu(x)",)),
    Case("quick gelu", "activation-form", ("quick",), F["gelu"](IMAGE), F["quick_gelu"](IMAGE)),
    Case("hard sigmoid", "activation-form", ("0.2 x + 0.5", "relu6"), F["hard_sigmoid(0.2x+0.5)"](3 * IMAGE),
         F["hard_sigmoid"](3 * IMAGE), {"x": 3 * IMAGE}),
    Case("hard silu", "activation-form", ("relu6",), F["hard_silu"](3 * IMAGE), F["hard_silu(0.2x+0.5)"](3 * IMAGE),
         {"x": 3 * IMAGE}),
    Case("silu for relu", "activation-kind", ("silu", "relu"), F["relu"](IMAGE), F["silu"](IMAGE)),
    Case("missing activation", "activation-kind", ("passes conv on as it is", "relu"), F["relu"](IMAGE), IMAGE,
         fix=("F.relu",)),
    Case("missing softmax", "activation-kind", ("softmax",), F["softmax"](ROWS), ROWS, {"x": ROWS}, fix=("softmax",
         "logits")),
    Case("activation twice", "activation-kind", ("tanh",), np.tanh(ROWS), np.tanh(np.tanh(ROWS)), {}),
    Case("missing sigmoid, source unknown", "activation-kind", ("sigmoid",), F["sigmoid"](ROWS), ROWS, {},
         fix=("sigmoid",)),
    Case("slope", "activation-slope", ("slope 0.3", "slope 0.17"), activations.leaky_relu(IMAGE, 0.17),
         activations.leaky_relu(IMAGE, 0.3)),
    Case("beta", "activation-slope", ("beta 2",), activations.softplus(IMAGE), activations.softplus(IMAGE, 2.0)),
    Case("sigmoid for softmax", "activation-kind", ("sigmoid", "softmax"), F["softmax"](ROWS), F["sigmoid"](ROWS),
         {"x": ROWS}),
    Case("softmax axis", "softmax-axis", ("over channels", "over steps"), activations.softmax(STEPS, -1),
         activations.softmax(STEPS, 1), {"x": STEPS}),
    Case("softmax over the batch", "softmax-axis", ("over batch",), activations.softmax(ROWS, 1),
         activations.softmax(ROWS, 0), {"x": ROWS}),
    Case("log softmax", "activation-kind", ("log_softmax",), F["softmax"](ROWS), F["log_softmax"](ROWS), {"x": ROWS}),
    Case("relu6", "activation-kind", ("relu6",), F["relu6"](9 * IMAGE), F["relu"](9 * IMAGE), {"x": 9 * IMAGE}),
    Case("clamp", "clamp", ("clamps", "min=-0.5", "max=0.5"), np.clip(IMAGE, -0.5, 0.5), IMAGE),
    Case("clamp, source unknown", "clamp", ("clamps", "max=0.7"), IMAGE, np.minimum(IMAGE, 0.7), {}),
    # resizing
    *(
        Case(f"resize {a} for {b} to {sizes}", "resize-mode", (a.split(" ")[0], b.split(" ")[0]), resized(b, *sizes),
             resized(a, *sizes))
        for a, b, sizes in [
            ("nearest", "nearest-exact", (3, 3)), ("nearest", "bilinear", (12, 16)), ("bilinear", "linear-legacy", (12,
                 16)),
            ("bilinear (align_corners=True)", "bilinear", (12, 16)), ("bicubic", "bicubic (a=-0.5)", (12, 16)),
            ("bilinear (antialias=True)", "bilinear", (3, 4)), ("bilinear", "bilinear (antialias=True)", (3, 4)),
            ("bicubic", "cubic-legacy", (9, 12)), ("area", "bilinear", (2, 4)), ("nearest", "lanczos3", (12, 16)),
            ("bilinear", "linear-legacy", (9, 10)), ("nearest", "nearest-exact", (4, 5)),
        ]
    ),
    # padding
    Case("reflect for zeros", "padding-mode", ("reflect", "zeros"), padded(IMAGE, ((1, 2), (2, 1))), padded(IMAGE, ((1,
         2), (2, 1)), "reflect")),
    Case("symmetric", "padding-mode", ("symmetric", "reflect"), padded(IMAGE, ((2, 2), (2, 2)), "symmetric"),
         padded(IMAGE, ((2, 2), (2, 2)), "reflect")),
    Case("replicate", "padding-mode", ("edge", "circular"), padded(IMAGE, ((1, 1), (1, 1)), "wrap"), padded(IMAGE, ((1,
         1), (1, 1)), "edge"), fix=("circular",)),
    Case("value", "padding-value", ("-inf", "zeros"), padded(IMAGE, ((1, 1), (1, 1)), constant_values=-np.inf),
         padded(IMAGE, ((1, 1), (1, 1))), fix=("-inf",)),
    Case("other value", "padding-value", ("with 0.5",), padded(IMAGE, ((1, 1), (1, 1)), constant_values=0.5),
         padded(IMAGE, ((1, 1), (1, 1)))),
    Case("height and width of F.pad", "padding-alignment", ("(2, 1), (1, 0)", "(1, 0), (2, 1)"), padded(IMAGE, ((1, 0),
         (2, 1))), padded(IMAGE, ((2, 1), (1, 0)))),
    Case("before and after", "padding-alignment", ("(0, 1)", "(1, 0)"), padded(IMAGE, ((0, 1), (0, 1))), padded(IMAGE,
         ((1, 0), (1, 0)))),
    Case("crop elsewhere", "padding-alignment", ("crops", "(0, 1)", "(1, 0)"), IMAGE[:, 1:, 1:], IMAGE[:, :-1, :-1]),
    Case("other stride phase", "stride", ("2::3", "0::3"), IMAGE[:, ::3, ::3], IMAGE[:, 2::3, 2::3]),
    # pooling
    Case("average for max", "pooling-mode", ("average", "max"), pool(IMAGE, 2, 2, [(0, 0)] * 2, "max"), pool(IMAGE, 2,
         2, [(0, 0)] * 2, "average")),
    Case("sum for average", "pooling-mode", ("sum",), pool(IMAGE, 2, 2, [(0, 0)] * 2, "average"), pool(IMAGE, 2, 2,
         [(0, 0)] * 2, "sum")),
    Case("pool size", "pooling-size", ("windows of 2", "windows of 3"), pool(IMAGE, 3, 2, [(0, 1)] * 2, "max"),
         pool(IMAGE, 2, 2, [(0, 0)] * 2, "max")),
    Case("zeros before max", "padding-value", ("-inf", "padding as zeros"), pool(-POSITIVE, 3, 2, [(1, 1)] * 2, "max"),
         pool(-POSITIVE, 3, 2, [(1, 1)] * 2, "max", padding_value=0.0), {"x": -POSITIVE}),
    Case("padding counted", "pooling-count", ("counts the padding",), pool(IMAGE, 3, 1, [(1, 1)] * 2, "average"),
         pool(IMAGE, 3, 1, [(1, 1)] * 2, "average", True)),
    Case("ceil_mode", "padding-alignment", ("ceil_mode",), pool(SQUARE[:, :5, :5], 2, 2, [(0, 0)] * 2, "max"),
         pool(SQUARE[:, :5, :5], 2, 2, [(0, 1)] * 2, "max"), {"x": SQUARE[:, :5, :5]}),
    Case("same against symmetric", "padding-alignment", ("(0, 1)", "(1, 1)"), pool(SQUARE, 3, 2, [(0, 1)] * 2, "max"),
         pool(SQUARE, 3, 2, [(1, 1)] * 2, "max"), {"x": SQUARE}),
    # reductions
    Case("global maximum for mean", "pooling-mode", ("maximum", "mean"), IMAGE.mean((1, 2)), IMAGE.max((1, 2))),
    Case("mean over other axes", "reduction-axis", ("over height and width", "over"), SQUARE[..., :6].mean((1, 2)),
         SQUARE[..., :6].mean((2, 3)), {"x": SQUARE[..., :6]}),
    Case("last for first", "step-picked", ("last", "first"), STEPS[:, 0], STEPS[:, -1], {"x": STEPS}),
    Case("mean for last", "pooling-mode", ("mean", "last"), STEPS[:, -1], STEPS.mean(1), {"x": STEPS}),
    Case("std", "variance-divisor", ("n - 1",), ROWS.std(1, keepdims=True), ROWS.std(1, ddof=1, keepdims=True),
         {"x": ROWS}, fix=("correction=0",)),
    Case("var", "variance-divisor", ("n - 1",), IMAGE.var((1, 2), ddof=1), IMAGE.var((1, 2))),
    Case("argmax axis", "reduction-axis", ("channels", "steps"), STEPS[:, :5].argmax(2).astype(float), STEPS[:,
         :5].argmax(1).astype(float), {"x": STEPS[:, :5]}),
    Case("mask ignored", "mask-ignored", ("mask",), (EMBEDDED * MASK[..., None]).sum(1) / MASK.sum(1)[:, None],
         EMBEDDED.mean(1), {"embedding": EMBEDDED}),
    Case("maximum without its mask", "mask-ignored", ("mask",), np.where(MASK[..., None], EMBEDDED, -np.inf).max(1),
         EMBEDDED.max(1), {"embedding": EMBEDDED}),
    # normalisation
    Case("unit norm missing", "normalisation", ("as it is", "unit norm"), unit(ROWS), ROWS, {"x": ROWS},
         fix=("F.normalize",)),
    Case("unit norm, source unknown", "normalisation", ("unit norm",), unit(ROWS), ROWS, {}),
    Case("unit norm axis", "norm-axis", ("over channels", "over steps"), unit(STEPS), unit(STEPS, 1), {"x": STEPS}),
    Case("layer norm epsilon", "norm-epsilon", ("0.001", "1e-05"), layer_norm(ROWS, 1e-3), layer_norm(ROWS, 1e-5),
         {"x": ROWS}),
    Case("layer norm axes", "norm-axis", ("channels",), layer_norm(STEPS, 1e-3), layer_norm(STEPS, 1e-3, (1, 2)),
         {"x": STEPS}),
    Case("unbiased", "variance-divisor", ("unbiased",), layer_norm(ROWS, 1e-3), (ROWS - ROWS.mean(1,
         keepdims=True)) / np.sqrt(ROWS.var(1, ddof=1, keepdims=True) + 1e-3), {"x": ROWS}),
    Case("group count", "groups", ("2 groups", "4 groups"), *(
        layer_norm(SQUARE.reshape(2, 36, g, 8 // g), 1e-3, (1, 3)).reshape(SQUARE.shape) for g in (2, 4)),
             {"x": SQUARE}),
    Case("min-max", "normalisation", ("[0, 1]",), (ROWS - ROWS.min(1, keepdims=True)) / np.ptp(ROWS, 1, keepdims=True),
         ROWS, {"x": ROWS}),
    # merging
    Case("sum for product", "merge-operation", ("adds left and right", "multiplies left and right"), IMAGE * OTHER,
         IMAGE + OTHER, TWO),
    Case("average for sum", "merge-operation", ("averages", "adds"), IMAGE + OTHER, (IMAGE + OTHER) / 2, TWO),
    Case("b - a", "operand-order", ("subtracts left from right", "subtracts right from left"), IMAGE - OTHER,
         OTHER - IMAGE, TWO),
    Case("concat order", "concat-order", ("right and left", "left and right"), np.concatenate([IMAGE, OTHER], -1),
         np.concatenate([OTHER, IMAGE], -1), TWO),
    Case("concat axis", "concat-axis", ("height", "width"), *(np.concatenate([SQUARE, SQUARE[::-1]], a) for a in (1,
         2)), {"a": SQUARE, "b": SQUARE[::-1]}),
    Case("skip left out", "missing-term", ("left alone",), IMAGE + OTHER, IMAGE, TWO),
    Case("third left out", "missing-term", ("a and b",), IMAGE + OTHER + THIRD, IMAGE + OTHER, {"a": IMAGE, "b": OTHER,
         "c": THIRD}),
    Case("residual scale", "scale-factor", ("0.17",), IMAGE + 0.17 * OTHER, IMAGE + OTHER, TWO),
    Case("relu after the sum", "activation-kind", ("relu",), np.maximum(IMAGE + OTHER, 0), IMAGE + OTHER, TWO),
    Case("relu before the sum", "activation-kind", ("relu",), np.maximum(IMAGE + OTHER, 0), IMAGE + np.maximum(OTHER,
         0), TWO),
    Case("skip from elsewhere", "wrong-source", ("third", "right"), IMAGE + OTHER, IMAGE + THIRD, TWO,
         {"third": THIRD}),
    Case("concat from elsewhere", "wrong-source", ("third", "left"), np.concatenate([IMAGE, OTHER], -1),
         np.concatenate([THIRD, OTHER], -1), TWO, {"third": THIRD}),
    Case("pre-activation skip", "wrong-source", ("before", "right"), IMAGE + np.maximum(OTHER, 0), IMAGE + OTHER,
         {"left": IMAGE, "right": np.maximum(OTHER, 0)}, {"before": OTHER}),
    Case("gate", "operand-order", ("first half", "second half"), IMAGE * F["sigmoid"](OTHER),
         OTHER * F["sigmoid"](IMAGE), {"x": HALF}),
    Case("gate added", "merge-operation", ("adds", "multiplies"), IMAGE * GATE[:3, None, None], IMAGE + GATE[:3, None,
         None], {"x": IMAGE, "gate": GATE[:3]}),
    Case("logits scaled", "scale-factor", ("1 / sqrt(5)",), STEPS @ STEPS[:, ::-1].swapaxes(1, 2) / 5**0.5,
         STEPS @ STEPS[:, ::-1].swapaxes(1, 2), {"q": STEPS, "k": STEPS[:, ::-1]}),
    # relations
    Case("term missing", "missing-term", ("less", "third"), IMAGE, IMAGE - THIRD, {}, {"third": THIRD}),
    Case("term twice", "extra-term", ("third",), IMAGE, IMAGE + THIRD, {}, {"third": THIRD}),
    Case("another layer's output", "wrong-source", ("third",), OTHER, THIRD, {}, {"third": THIRD}),
    Case("float16", "precision", ("float16",), IMAGE, IMAGE.astype(np.float16).astype(float), {}),
    Case("float32", "precision", ("float32",), IMAGE, IMAGE.astype(np.float32).astype(float), {}),
    Case("truncated", "precision", ("cuts off",), 9 * IMAGE, np.trunc(9 * IMAGE), {}),
    Case("uint8", "precision", ("1 / 255",), F["sigmoid"](IMAGE), np.rint(F["sigmoid"](IMAGE) * 255) / 255, {}),
    Case("dropout", "dropout-rate", ("drops",), IMAGE, IMAGE * (OTHER > 0) * 2, {}),
    Case("masked places", "mask-ignored", ("mask", "channels"), IMAGE * (OTHER[..., :1] > 0), IMAGE, {}),
    Case("cumulative", "cumulative", ("cumsum", "steps"), STEPS.cumsum(1), STEPS, {"x": STEPS}),
    Case("exclusive", "cumulative", ("before each place",), STEPS.cumsum(1), STEPS.cumsum(1) - STEPS, {"x": STEPS}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_cause_is_named(case: Case) -> None:
    found = explain_between(Between(case.sources, case.expected, case.got, case.elsewhere, "here"))
    assert found is not None
    kind, message, fix = found
    assert kind == case.kind, found
    assert message.startswith("here: ")
    assert all(word in message for word in case.words), found
    assert fix and all(word in fix for word in case.fix), found


@pytest.mark.parametrize("case", CASES[::5], ids=lambda case: case.name)
def test_nothing_is_said_about_equal_values_or_noise(case: Case) -> None:
    noise = np.random.default_rng(1).standard_normal(case.got.shape)
    assert explain_between(Between(case.sources, case.expected, case.expected, case.elsewhere)) is None
    assert explain_between(Between(case.sources, case.expected, None, case.elsewhere)) is None
    size = float(np.abs(case.got[np.isfinite(case.got)]).max())
    spoilt = np.where(np.isfinite(case.got), case.got, 0) + 0.01 * size * noise
    assert explain_between(Between(case.sources, case.expected, spoilt, case.elsewhere)) is None
