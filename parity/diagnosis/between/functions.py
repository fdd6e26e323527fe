"""Elementwise functions: activations and their parameters, logarithms, powers; softmax along each axis. Plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from parity.diagnosis.between.constants import close, nearest_decimal, shown
from parity.diagnosis.between.forms import FIT, Family, Form, Target, axis_name, torch_axis, unary
from parity.numerics.difference import scale
from parity.numerics.reference_ops import activations as ops

Array = np.ndarray
COLOURS = 3
# Forms of one function that only their approximation tells apart.
RELATED = {
    "gelu": "gelu",
    "gelu_tanh": "gelu",
    "quick_gelu": "gelu",
    "hard_sigmoid": "hard_sigmoid",
    "hard_sigmoid(0.2x+0.5)": "hard_sigmoid",
    "hard_silu": "hard_silu",
    "hard_silu(0.2x+0.5)": "hard_silu",
}
SPOKEN = {
    "gelu": "gelu in its exact form (erf)",
    "gelu_tanh": "gelu in its tanh approximation",
    "quick_gelu": "quick gelu, x * sigmoid(1.702 x)",
    "hard_sigmoid": "hard sigmoid as relu6(x + 3) / 6",
    "hard_sigmoid(0.2x+0.5)": "hard sigmoid as clip(0.2 x + 0.5, 0, 1)",
    "hard_silu": "hard silu (hard swish) as x * relu6(x + 3) / 6",
    "hard_silu(0.2x+0.5)": "hard silu as x * clip(0.2 x + 0.5, 0, 1)",
    "identity": "no activation",
}
LOGITS = "; or leave it out and use a loss that expects logits, on both sides"
NEEDS_LOGITS = ("softmax", "sigmoid", "log_softmax", "log_sigmoid")
APART = FIT**0.5  # values that are nearer than this, relative to the largest, are taken for one
BETAS = (0.5, 2.0, 3.0, 5.0, 10.0, 20.0, 100.0)


def speak(name: str) -> str:
    """A function's name in words."""
    if name.startswith("leaky_relu("):
        return f"leaky relu of slope {name[11:-1]}"
    return SPOKEN.get(name, name)


def code(name: str) -> str:
    """How to apply a function in torch, and what else may be done where a loss may take logits."""
    return "apply " + ops.torch_code(name) + (LOGITS if name in NEEDS_LOGITS else "")


def _form(does: str, torch: str, values: object, function: str, **more: object) -> Form:
    return Form(does, torch, values, {"function": function, **more})  # type: ignore[arg-type]


def _functions(name: str, x: Array, target: Target) -> Iterator[Form]:
    if x.shape != target.shape:
        return
    for function, compute in ops.FUNCTIONS.items():
        if function in ("softmax", "log_softmax"):
            continue
        apply = "remove the activation" if function == "identity" else code(function)
        verb = f"passes {name} on without an activation" if function == "identity" else f"applies {speak(function)}"
        yield Form(verb, apply, partial(compute, x), _traits(function))
    yield from _solved(x, target)
    yield from _logarithms(x, target)
    yield from _powers(x)


def _softmax(name: str, x: Array, target: Target) -> Iterator[Form]:
    """Softmax and its logarithm along each axis."""
    for function in ("softmax", "log_softmax") if x.shape == target.shape else ():
        for axis in reversed(range(x.ndim)):
            yield Form(
                f"takes the {function} over {axis_name(x.ndim, axis)}",
                f"apply torch.{function}(x, {torch_axis(x.ndim, axis)}){LOGITS}",
                partial(getattr(ops, function), x, axis),
                {"function": function, "axis": axis},
            )


def _traits(function: str) -> dict[str, object]:
    """What tells a function from the others: its name, its form, and its parameter where it has one."""
    if function.startswith("leaky_relu("):
        return {"function": "leaky_relu", "slope": float(function[11:-1])}
    if function in ("softplus", "elu"):
        return {"function": function, "slope": 1.0}
    return {"function": RELATED.get(function, function), "form": function}


def _solved(x: Array, target: Target) -> Iterator[Form]:
    """Functions with a parameter, solved for from the values."""
    y = target.values
    low, high = float(y.min(initial=0)), float(y.max(initial=0))
    negative = x < -1e-3 * max(float(np.abs(x).max(initial=0)), 1e-300)
    if negative.any():
        slope = nearest_decimal(float(np.median(y[negative] / x[negative])))
        yield _form(
            f"applies leaky relu of slope {slope:.6g}", f"apply F.leaky_relu(x, {slope:.6g})",
            partial(ops.leaky_relu, x, slope), "leaky_relu", slope=slope,
        )  # fmt: skip
        alpha = nearest_decimal(float(np.median(y[negative] / np.expm1(x[negative]))))
        yield _form(
            f"applies elu of alpha {alpha:.6g}", f"apply F.elu(x, {alpha:.6g})", partial(ops.elu, x, alpha),
            "elu", slope=alpha,
        )  # fmt: skip
    for alpha in (0.1, 0.5, 2.0):
        yield _form(
            f"applies celu of alpha {alpha:g}", f"apply F.celu(x, {alpha:g})", partial(ops.celu, x, alpha),
            "celu", slope=alpha,
        )  # fmt: skip
    for beta in BETAS:
        yield _form(
            f"applies softplus of beta {beta:g}", f"apply F.softplus(x, beta={beta:g})", partial(ops.softplus, x, beta),
            "softplus", slope=beta,
        )  # fmt: skip
    if low < high and (y == low).any() | (y == high).any():
        low, high = float(y.min()), float(y.max())
        for bounds in ((low, high), (low, np.inf), (-np.inf, high)):
            limits = ", ".join(f"{name}={value:.6g}" for name, value in zip(("min", "max"), bounds, strict=True)
                               if np.isfinite(value))  # fmt: skip
            yield Form(
                f"clamps the values ({limits})", f"x.clamp({limits})",
                lambda bounds=bounds: np.clip(x, *bounds), {"function": "clamp", "bounds": bounds},  # type: ignore[misc]
            )  # fmt: skip
        zeroed = (y == 0) & (x != 0)
        if zeroed.any():
            threshold = float(x[zeroed].max())
            yield _form(
                f"sets to zero what is at most {threshold:.4g} (a threshold)",
                f"apply F.threshold(x, {threshold:.4g}, 0)",
                lambda: np.where(x > threshold, x, 0), "threshold", slope=threshold,
            )  # fmt: skip
    if x.ndim > 1 and negative.reshape(-1, x.shape[-1]).any(0).all():
        rows = np.where(negative, y / np.where(negative, x, 1), np.nan).reshape(-1, x.shape[-1])
        slopes = np.nanmedian(rows, 0)
        yield _form(
            "applies a leaky relu of a slope per channel (PReLU)", "use nn.PReLU with one slope per channel",
            lambda: np.where(x > 0, x, slopes * x), "prelu",
        )  # fmt: skip


def _logarithms(x: Array, target: Target) -> Iterator[Form]:
    """Logarithms of each base, of x, 1 + x, x plus a small number, and of what is at least a small number."""
    if (x < 0).any() and not (x <= 0).all():
        magnitudes: dict[str, Array] = {"|x|": np.abs(x)}
    else:
        magnitudes = {"x": x}
    y = target.values
    for words, base in magnitudes.items():
        for call, factor, named in (
            ("log", 1.0, "natural logarithm, log"),
            ("log2", 1 / np.log(2), "logarithm of base 2, log2"),
            ("log10", 1 / np.log(10), "logarithm of base 10, log10"),
            ("10 * torch.log10", 10 / np.log(10), "decibels, 10 log10"),
            ("20 * torch.log10", 20 / np.log(10), "decibels, 20 log10"),
        ):
            spelled = call if " " in call else f"torch.{call}"
            solved = float(np.median(np.exp(y / factor) - base)) if np.isfinite(y).all() else 0.0
            floor = float(np.exp(y.min(initial=np.inf) / factor)) if np.isfinite(y).all() else 0.0
            offset = nearest_decimal(solved) if abs(solved) > 1e-13 else 0.0
            for inside, values in (
                (words, base),
                (f"1 + {words}", 1 + base),
                *([(f"{words} + {offset:.3g}", base + offset)] if offset and not close(offset, 1.0) else []),
                *([(f"max({words}, {floor:.3g})", np.maximum(base, floor))] if floor else []),
            ):
                yield Form(
                    f"takes the {named}({inside})",
                    f"{spelled}({inside})",
                    lambda values=values, factor=factor: factor * np.log(values),  # type: ignore[misc]
                    {"function": "log", "base": call, "inside": inside},
                )


def _powers(x: Array) -> Iterator[Form]:
    for words, torch, values in (
        ("takes the square", "x ** 2", lambda: x**2),
        ("takes the square root", "x.sqrt()", lambda: np.sqrt(x)),
        ("takes the absolute value", "x.abs()", lambda: np.abs(x)),
        ("takes the exponential", "x.exp()", lambda: np.exp(x)),
        ("takes the exponential less one", "torch.expm1(x)", lambda: np.expm1(x)),
        ("takes 2 to the power of x", "2 ** x", lambda: np.exp2(x)),
        ("takes 10 to the power of x", "10 ** x", lambda: 10.0**x),
        ("takes the reciprocal", "1 / x", lambda: 1 / x),
        ("takes 1 / sqrt(x)", "torch.rsqrt(x)", lambda: 1 / np.sqrt(x)),
        ("takes the sine", "torch.sin(x)", lambda: np.sin(x)),
        ("takes the cosine", "torch.cos(x)", lambda: np.cos(x)),
        ("takes the sign", "torch.sign(x)", lambda: np.sign(x)),
        ("rounds to whole numbers, half to even", "torch.round(x)", lambda: np.rint(x)),
        ("rounds down (floor)", "torch.floor(x)", lambda: np.floor(x)),
        ("cuts the fraction off (truncates to an integer)", "torch.trunc(x)", lambda: np.trunc(x)),
    ):
        yield Form(words, words.split(" ", 1)[0] + f": {torch}", values, {"function": words})


FUNCTIONS = Family(
    "functions",
    unary(_functions),
    {
        "base": "log-base",
        "inside": "log-offset",
        "bounds": "clamp",
        "function": "activation-kind",
        "form": "activation-form",
        "slope": "activation-slope",
        "": "activation-kind",
    },
)


SOFTMAX = Family(
    "softmax", unary(_softmax), {"function": "activation-kind", "axis": "softmax-axis", "": "activation-kind"}
)


def affine_solution(x: Array, y: Array) -> tuple[float, float] | None:
    """``(a, b)`` with ``y = a x + b``, from the two most distant values of ``x``; None if x does not vary."""
    low, high = int(np.argmin(x)), int(np.argmax(x))
    a, b = float(x.flat[low]), float(x.flat[high])
    if not np.isfinite([a, b, y.flat[low], y.flat[high]]).all() or b - a <= 1e-12 * max(abs(a), abs(b)):
        return None
    factor = float((y.flat[high] - y.flat[low]) / (b - a))
    offset = float(y.flat[high] - factor * b)
    size = max(abs(float(y.flat[high])), abs(factor * b))
    offset = 0.0 if abs(offset) <= 1e-12 * size else offset
    return (nearest(factor), nearest(offset)) if np.isfinite([factor, offset]).all() else None


def nearest(number: float) -> float:
    """A whole number where rounding alone keeps a solved one from it."""
    return float(round(number)) if abs(number) < 1e6 and abs(number - round(number)) <= 1e-12 * abs(number) else number


def _affine(name: str, x: Array, target: Target) -> Iterator[Form]:
    if x.shape != target.shape or x.size < 3:
        return
    solved = affine_solution(x, target.values)
    if solved is not None and solved[0]:  # what is constant follows from no factor
        factor, offset = solved
        yield Form(
            *affine_words(name, factor, offset, x.shape[1:]),
            lambda: factor * x + offset,
            {"scale": (factor, offset), "log": 0, "channels": "as they are"},
        )
    yield from _per_channel(name, x, target)
    if x.shape[-1] == COLOURS:
        yield from map(_of_reversed, _per_channel(name, x[..., ::-1], target))


def _of_reversed(form: Form) -> Form:
    """A form that is applied to colours in reverse order."""
    return replace(
        form,
        does=f"{form.does}, of the channels reversed (RGB or BGR)",
        torch=f"x.flip(1), then {form.torch}",
        traits={**form.traits, "channels": "reversed"},
    )


def affine_words(name: str, factor: float, offset: float, sizes: tuple[int, ...]) -> tuple[str, str]:
    """What an affine map does, and its torch code."""
    plus = "" if not offset else f" {'+' if offset > 0 else '-'} {abs(offset):.6g}"
    if factor == 1 and not offset:
        return f"passes {name} on as it is", "leave the values as they are: no factor, no offset"
    if factor == 1:
        return f"adds {shown(offset, sizes)}", f"x{plus}"
    if factor == -1 and not offset:
        return "changes the sign", "-x"
    known = shown(factor, sizes)
    verb = f"multiplies {name} by {known}" if not offset else f"computes {known} * {name}{plus}"
    return verb, f"x * {factor:.10g}{plus}"


def _per_channel(name: str, x: Array, target: Target) -> Iterator[Form]:
    """A factor and an offset for each channel, where three different values or more of each channel pin them down."""
    if x.ndim < 2 or not 1 < x.shape[-1] <= 4096 or x.size // x.shape[-1] < 3:
        return
    steps = np.diff(np.sort(x.reshape(-1, x.shape[-1]), axis=0), axis=0)
    if ((steps > APART * scale(x)).sum(0) < 2).any():
        return
    rows, wanted = x.reshape(-1, x.shape[-1]), target.values.reshape(-1, x.shape[-1])
    low, high = rows.argmin(0), rows.argmax(0)
    columns = np.arange(x.shape[-1])
    span = rows[high, columns] - rows[low, columns]
    if (span <= 0).any():
        return
    factors = (wanted[high, columns] - wanted[low, columns]) / span
    offsets = wanted[high, columns] - factors * rows[high, columns]
    offsets[np.abs(offsets) <= 1e-12 * np.abs(wanted).max(initial=0)] = 0
    does, torch = _per_channel_words(name, factors, offsets)
    traits = {"scale": (tuple(factors.tolist()), tuple(offsets.tolist())), "channels": "as they are"}
    yield Form(does, torch, lambda: factors * x + offsets, traits)


PREPROCESSING: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "ImageNet's mean and standard deviation in [0, 1] (keras 'torch' mode, torchvision)": (
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    ),
    "ImageNet's mean and standard deviation in [0, 255]": (
        (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    ),
    "ImageNet's mean in [0, 255] (keras 'caffe' mode, after RGB -> BGR)": ((103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
    "ImageNet's mean in [0, 255], RGB": ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
    "CLIP's mean and standard deviation": (
        (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    ),
}  # fmt: skip


def _per_channel_words(name: str, factors: Array, offsets: Array) -> tuple[str, str]:
    deviations = 1 / factors
    means = -offsets * deviations
    brief = lambda values: "[" + ", ".join(f"{v:.6g}" for v in values[:8]) + (", ...]" if len(values) > 8 else "]")  # noqa: E731
    for words, (mean, deviation) in PREPROCESSING.items():
        for scaled in (1.0, 255.0):
            if (
                len(mean) == len(factors)
                and np.allclose(means, np.array(mean) * scaled, rtol=1e-6)
                and np.allclose(deviations, np.array(deviation) * scaled, rtol=1e-6)
            ):
                return f"subtracts and divides by {words}" + (" after x / 255" if scaled > 1 and mean[0] < 1 else ""), (
                    f"(x - {brief(means)}) / {brief(deviations)}, by channel"
                )
    if (factors == 1).all():
        return f"adds {brief(offsets)} by channel", f"add {brief(offsets)} by channel"
    if not offsets.any():
        return f"multiplies {name} by {brief(factors)}, channel by channel", f"multiply by {brief(factors)} by channel"
    return f"computes (x - {brief(means)}) / {brief(deviations)}, channel by channel", (
        f"(x - mean) / deviation with mean {brief(means)} and deviation {brief(deviations)}, by channel"
    )


AFFINE = Family("affine", unary(_affine), {"channels": "channel-order", "": "scale-factor"})
