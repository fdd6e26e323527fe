"""Reductions over axes and normalisations by them, masked means, running sums. Plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np

from parity.diagnosis.between.forms import FIT_FLOAT32, Family, Form, Target, axis_name, axis_names, torch_axis, unary

Array = np.ndarray
Axes = tuple[int, ...]
MAX_ROWS = 64
CORNER = 16  # places along each axis from which an epsilon is solved for
MAX_GROUPS = 64


def _subsets(rank: int, batch: bool = True) -> list[Axes]:
    """Sets of axes, those that leave the batch alone first."""
    sets = [axes for count in range(1, rank + 1) for axes in combinations(range(rank), count)]
    return sorted((axes for axes in sets if batch or 0 not in axes), key=lambda axes: (0 in axes, len(axes)))


REDUCTIONS: dict[str, tuple[Callable[[Array, Axes], Array], str]] = {
    "mean": (lambda x, axes: x.mean(axes), "x.mean({})"),
    "maximum": (lambda x, axes: x.max(axes), "x.amax({})"),
    "sum": (lambda x, axes: x.sum(axes), "x.sum({})"),
    "minimum": (lambda x, axes: x.min(axes), "x.amin({})"),
    "standard deviation with n (biased)": (lambda x, axes: x.std(axes), "x.std({}, correction=0)"),
    "standard deviation with n - 1 (unbiased)": (lambda x, axes: x.std(axes, ddof=1), "x.std({})"),
    "variance with n (biased)": (lambda x, axes: x.var(axes), "x.var({}, correction=0)"),
    "variance with n - 1 (unbiased)": (lambda x, axes: x.var(axes, ddof=1), "x.var({})"),
    "L2 norm": (lambda x, axes: np.sqrt((x**2).sum(axes)), "x.pow(2).sum({}).sqrt()"),
    "L1 norm": (lambda x, axes: np.abs(x).sum(axes), "x.abs().sum({})"),
    "root of the mean square": (lambda x, axes: np.sqrt((x**2).mean(axes)), "x.pow(2).mean({}).sqrt()"),
    "mean square": (lambda x, axes: (x**2).mean(axes), "x.pow(2).mean({})"),
    "sum of squares": (lambda x, axes: (x**2).sum(axes), "x.pow(2).sum({})"),
    "log of the sum of exponentials": (
        lambda x, axes: np.log(np.exp(x - x.max()).sum(axes)) + x.max(), "x.logsumexp({})"
    ),
    "median": (lambda x, axes: np.median(x, axes), "the median over {}"),
}  # fmt: skip
DIVISORS = ("standard deviation", "variance")


def _reduced(name: str, x: Array, target: Target) -> Iterator[Form]:
    core = tuple(n for n in target.shape if n != 1)
    for axes in _subsets(x.ndim):
        if tuple(n for axis, n in enumerate(x.shape) if axis not in axes and n != 1) != core:
            continue
        if all(x.shape[axis] == 1 for axis in axes):
            continue
        dims = tuple(sorted(torch_axis(x.ndim, axis) for axis in axes))
        for statistic, (reduce, torch) in REDUCTIONS.items():
            general = next((d for d in DIVISORS if statistic.startswith(d)), statistic)
            yield Form(
                f"takes the {statistic} of {name} over {axis_names(x.ndim, axes)}",
                torch.format(dims if len(dims) > 1 else dims[0]),
                lambda reduce=reduce, axes=axes: reduce(x, axes).reshape(target.shape),  # type: ignore[misc]
                {"statistic": general, "axes": axes, "divisor": statistic, "mask": False},
            )
        if len(axes) == 1:
            yield from _picked(name, x, axes[0], target)
    yield from _masked(name, x, target)


def _picked(name: str, x: Array, axis: int, target: Target) -> Iterator[Form]:
    """One place of an axis, or where its largest value is."""
    words, dim = axis_name(x.ndim, axis), torch_axis(x.ndim, axis)
    places = {0: "first", x.shape[axis] - 1: "last", 1: "second", x.shape[axis] // 2: "middle"}
    for place, which in places.items():
        yield Form(
            f"takes the {which} of {name} along {words}",
            f"x.select({dim}, {place})",
            lambda place=place: x.take(place, axis).reshape(target.shape),  # type: ignore[misc]
            {"statistic": "value", "picked": place, "axes": (axis,)},
        )
    for which, choose in (("largest", np.argmax), ("smallest", np.argmin)):
        yield Form(
            f"takes the place of the {which} value of {name} along {words}",
            f"x.arg{'max' if which == 'largest' else 'min'}({dim})",
            lambda choose=choose: choose(x, axis).astype(float).reshape(target.shape),  # type: ignore[misc]
            {"statistic": f"place of the {which}", "axes": (axis,)},
        )


def _masked(name: str, x: Array, target: Target) -> Iterator[Form]:
    """Means, sums and maxima over the steps of ``[B, T, C]`` that are not masked, the mask found from the values.

    Tried are masks that leave out every step that holds one certain row (what an embedding gives for padding), zeros,
    and steps after a length; where there are as many channels as steps, the weights are solved for.
    """
    if x.ndim != 3 or target.values.size != x.shape[0] * x.shape[2]:
        return
    wanted = target.values.reshape(x.shape[0], -1)
    for words, mask in _masks(x, wanted):
        if mask.all() or not mask.any(1).all():
            continue
        kept = mask[..., None]
        for statistic, values in (
            ("mean", lambda kept=kept: (x * kept).sum(1) / kept.sum(1)),
            ("maximum", lambda kept=kept: np.where(kept, x, -np.inf).max(1)),
            ("sum", lambda kept=kept: (x * kept).sum(1)),
            ("mean (divided by all steps)", lambda kept=kept: (x * kept).mean(1)),
        ):
            yield Form(
                f"takes the {statistic} of {name} over the unmasked steps alone ({words})",
                "mask the steps: (x * m[..., None]).sum(1) / m.sum(1, keepdim=True), with m from the token ids",
                lambda values=values: values().reshape(target.shape),  # type: ignore[misc]
                {"statistic": statistic.split(" (")[0], "mask": True, "axes": (1,), "divisor": statistic},
            )


def _masks(x: Array, wanted: Array) -> Iterator[tuple[str, Array]]:
    yield "rows of zeros left out", (x != 0).any(-1)
    rows, counts = np.unique(x.reshape(-1, x.shape[-1]), axis=0, return_counts=True)
    for row in rows[np.argsort(-counts, kind="stable")][:MAX_ROWS]:
        yield "one row, the padding's, left out", (x != row).any(-1)
    solved = _solved_mask(x, wanted)
    if solved is not None:
        yield "the mask solved for", solved


def _solved_mask(x: Array, wanted: Array) -> Array | None:
    """``[B, T]``, each sample's run of steps whose mean is wanted, or weights solved for where channels suffice."""
    masks = np.zeros(x.shape[:2], bool)
    if x.shape[1] > 256:
        return None
    sums = np.concatenate([np.zeros_like(x[:, :1]), x.cumsum(1)], 1)
    for sample in range(len(x)):
        limit = 1e-10 * max(float(np.abs(x[sample]).max(initial=0)), 1e-300)
        found = None
        for length in range(1, x.shape[1] + 1):
            means = (sums[sample, length:] - sums[sample, :-length]) / length
            fits = np.abs(means - wanted[sample]).max(-1) <= limit
            if fits.any():
                start = int(fits.argmax())
                found = slice(start, start + length)
                break
        if found is not None:
            masks[sample, found] = True
        elif x.shape[2] >= x.shape[1]:
            weights = np.linalg.lstsq(x[sample].T, wanted[sample], rcond=None)[0]
            masks[sample] = weights > 0.5 / x.shape[1]
        else:
            return None
    return masks


REDUCTION = Family(
    "reduction",
    unary(_reduced),
    {
        "mask": "mask-ignored",
        "axes": "reduction-axis",
        "statistic": "pooling-mode",
        "divisor": "variance-divisor",
        "picked": "step-picked",
        "": "pooling-mode",
    },
)


def _normalised(name: str, x: Array, target: Target) -> Iterator[Form]:
    """Normalised by mean and deviation, root mean square, norms or largest value of each set of axes, or group."""
    if x.shape != target.shape or x.ndim < 2:
        return
    yield Form(
        f"leaves {name} as it is, without a normalisation", "remove the normalisation", lambda: x,
        {"statistic": "none"},
    )  # fmt: skip
    for axes in _subsets(x.ndim):
        if np.prod([x.shape[axis] for axis in axes]) < 2:
            continue
        dims = tuple(sorted(torch_axis(x.ndim, axis) for axis in axes))
        yield from _scaled_by(
            name, x, x, axes, target.values, axis_names(x.ndim, axes), {"axes": axes, "groups": 0}, dims
        )
    for groups in (g for g in range(1, min(x.shape[-1], MAX_GROUPS + 1)) if x.ndim > 2 and x.shape[-1] % g == 0):
        split = x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
        wanted = target.values.reshape(split.shape)
        words = f"space and channels in {groups} groups"
        yield from _scaled_by(name, x, split, (1, 3), wanted, words, {"axes": "groups", "groups": groups}, ())


def _scaled_by(
    name: str, x: Array, split: Array, axes: Axes, wanted: Array, over: str, traits: dict[str, object], dims: Axes
) -> Iterator[Form]:
    mean = split.mean(axes, keepdims=True)
    squares = (split**2).sum(axes, keepdims=True)
    count = int(np.prod([split.shape[axis] for axis in axes]))
    biased = split.var(axes, keepdims=True)
    for words, above, below, ddof in (
        ("standardises", split - mean, biased, "n"),
        ("standardises with the unbiased variance", split - mean, biased * count / max(count - 1, 1), "n - 1"),
        ("divides by the root of the mean square", split, squares / count, ""),
        ("divides by the L2 norm (unit norm)", split, squares, ""),
        ("divides by the standard deviation alone", split, biased, ""),
    ):
        for placed, epsilon, divisor in _epsilons(above, below, wanted):
            if not _fits_corner(above, divisor, wanted):
                continue
            verb, rest = words.split(" ", 1) if " " in words else (words, "")
            sentence = f"{verb} {name}{' ' + rest if rest else ''} over {over}"
            yield Form(
                sentence + (f", epsilon {epsilon:.3g} {placed}" if epsilon else ""),
                _norm_code(words, dims, epsilon, placed),
                lambda above=above, divisor=divisor: (above / divisor).reshape(x.shape),  # type: ignore[misc]
                {**traits, "statistic": words.split(" with the un")[0], "divisor": ddof, "epsilon": (placed, epsilon)},
            )
    for words, above, divisor in (
        ("divides {} by the L1 norm", split, np.abs(split).sum(axes, keepdims=True)),
        ("divides {} by the sum", split, split.sum(axes, keepdims=True)),
        ("divides {} by the largest magnitude", split, np.abs(split).max(axes, keepdims=True)),
        ("divides {} by the maximum", split, split.max(axes, keepdims=True)),
        ("scales {} to [0, 1] by minimum and maximum", split - split.min(axes, keepdims=True),
         split.max(axes, keepdims=True) - split.min(axes, keepdims=True)),
        ("subtracts the mean from {}", split - mean, np.ones_like(mean)),
        ("subtracts the maximum from {}", split - split.max(axes, keepdims=True), np.ones_like(mean)),
    ):  # fmt: skip
        yield Form(
            f"{words.format(name)} over {over}",
            f"{words.format('x')} over {dims or over}",
            lambda above=above, divisor=divisor: (above / divisor).reshape(x.shape),  # type: ignore[misc]
            {**traits, "statistic": words},
        )


def _corner(values: Array) -> Array:
    """Some values at the beginning of each axis; axes of one keep it, so that the results broadcast together."""
    return values[tuple(slice(0, CORNER) for _ in values.shape)]


def _fits_corner(above: Array, divisor: Array, wanted: Array) -> bool:
    """Whether the quotient is what is wanted at some places: a quick look before all are computed."""
    few = _corner(wanted)
    return bool(np.abs(_corner(above) / _corner(divisor) - few).max() <= 2 * FIT_FLOAT32 * np.abs(wanted).max())


def _epsilons(above: Array, below: Array, wanted: Array) -> Iterator[tuple[str, float, Array]]:
    """``(where epsilon stands, epsilon, divisor)``: none, inside the root, beside it, or as a floor; solved for."""
    yield "", 0.0, np.sqrt(below)
    if below.size < 2:  # one divisor for all values: any factor would fit
        return
    above, below, wanted, whole = _corner(above), _corner(below), _corner(wanted), below
    with np.errstate(all="ignore"):
        ratio = np.abs(above / wanted)
        strong = np.isfinite(ratio) & (np.abs(wanted) > 1e-3 * np.abs(wanted).max(initial=0))
        if not strong.any():
            return
        widened = np.broadcast_to(below, ratio.shape)[strong]
        inside = _round(float(np.median(ratio[strong] ** 2 - widened)), float(np.median(widened)))
        beside = _round(float(np.median(ratio[strong] - np.sqrt(widened))), float(np.median(np.sqrt(widened))))
    if inside > 0:
        yield "inside the root", inside, np.sqrt(whole + inside)
    if beside > 0:
        yield "added to the divisor", beside, np.sqrt(whole) + beside


def _round(solved: float, size: float) -> float:
    """A short decimal where rounding keeps a solved epsilon from it; 0 where there is none above rounding."""
    if not np.isfinite(solved) or solved <= 1e-12 * size:
        return 0.0
    for digits in (1, 2, 3):
        candidate = float(f"{solved:.{digits}g}")
        if abs(candidate - solved) <= max(1e-12 * size, 1e-6 * solved):
            return candidate
    return solved


def _norm_code(words: str, dims: Axes, epsilon: float, placed: str) -> str:
    eps = f", eps {epsilon:.3g} {placed}" if epsilon else ""
    if "unit norm" in words:
        return f"F.normalize(x, dim={dims[0] if len(dims) == 1 else dims}){eps}"
    if words.startswith("standardises"):
        correction = 1 if "unbiased" in words else 0
        over = dims or "each group"
        return f"(x - x.mean({over})) / sqrt(x.var({over}, correction={correction}) + eps), keepdim=True{eps}"
    return f"{words} over {dims or 'each group'}{eps}"


NORMALISATION = Family(
    "normalisation",
    unary(_normalised),
    {
        "statistic": "normalisation",
        "groups": "groups",
        "axes": "norm-axis",
        "divisor": "variance-divisor",
        "epsilon": "norm-epsilon",
        "": "normalisation",
    },
)


def _running(name: str, x: Array, target: Target) -> Iterator[Form]:
    if x.shape != target.shape:
        return
    for axis in sorted(range(x.ndim), key=lambda axis: axis == 0):
        words, dim = axis_name(x.ndim, axis), torch_axis(x.ndim, axis)
        total = x.cumsum(axis)
        for does, torch, values in (
            (f"sums {name} up along {words} (cumsum)", f"x.cumsum({dim})", lambda total=total: total),
            (f"sums up what stands before each place along {words} (exclusive cumsum)", f"x.cumsum({dim}) - x",
             lambda total=total: total - x),
            (f"sums up from the end along {words}", f"x.flip({dim}).cumsum({dim}).flip({dim})",
             lambda axis=axis: np.flip(np.flip(x, axis).cumsum(axis), axis)),
            (f"multiplies {name} up along {words} (cumprod)", f"x.cumprod({dim})",
             lambda axis=axis: x.cumprod(axis)),
            (f"takes differences along {words}", f"torch.diff(x, dim={dim})",
             lambda axis=axis: np.diff(x, axis=axis, prepend=0)),
        ):  # fmt: skip
            yield Form(does, torch, values, {"running": (axis, torch)})


RUNNING = Family("running", unary(_running), {"": "cumulative"})
