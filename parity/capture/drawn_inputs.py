"""Adversarial test inputs: random values, impulses and index ramps, never constants. Plain NumPy."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
# Free image sizes are drawn with H != W, so that swapped axes show; later ones for networks that need divisible sizes.
FREE_SIZES = ((37, 29, 23), (40, 28, 20), (64, 48, 32), (96, 64, 32), (224, 192, 64))


def draw(shapes: list[tuple[int | None, ...]], integers: list[int | None], batch: int, seed: int, size: int) -> list:
    """One random batch per input, batch first; ``integers[i]`` is the vocabulary of an integer input, else None.

    Free dimensions (None) take the ``size``-th entry of :data:`FREE_SIZES`.
    """
    rng = np.random.default_rng([seed, batch])
    return [
        _draw(full_shape(shape, batch, size), vocabulary, rng)
        for shape, vocabulary in zip(shapes, integers, strict=True)
    ]


def full_shape(shape: tuple[int | None, ...], batch: int, size: int) -> tuple[int, ...]:
    """The shape with its batch and free dimensions filled in."""
    free = iter(FREE_SIZES[size])
    return (batch, *(int(n) if n is not None else next(free) for n in shape[1:]))


# Added to the free sizes of the first run: 37 x 29 becomes 40 x 28, 38 x 30 ..., so that every axis is odd and even,
# and leaves every rest that a stride of 2, 3 or 4 can leave.
MORE_PER_FREE_AXIS = ((3, -1), (1, 1), (2, -2))


def resized(random: list[Array], shapes: list[tuple[int | None, ...]], more: tuple[int, int], seed: int) -> list[Array]:
    """One sample of each input with ``more`` added to its free sizes, by turns; integers stay in their range."""
    rng = np.random.default_rng([seed, 2, *(n % 7 for n in more)])
    found = []
    for x, shape in zip(random, shapes, strict=True):
        added = iter(more * 3)
        sizes = [n + (next(added) if free is None else 0) for n, free in zip(x.shape[1:], shape[1:], strict=True)]
        drawn = rng.standard_normal((1, *sizes))
        found.append(drawn if x.dtype.kind == "f" else rng.integers(x.min(), x.max() + 1, (1, *sizes)))
    return found


def _draw(shape: tuple[int, ...], vocabulary: int | None, rng: np.random.Generator) -> Array:
    if vocabulary is not None:
        return rng.integers(0, vocabulary, shape)
    return rng.standard_normal(shape)


def adversarial(random: list[Array], brief: bool = False) -> list[Array]:
    """``random`` with an impulse and an index ramp, or if ``brief`` the impulse alone, appended to the batch of every
    floating input.

    The impulse is off-centre (a third down, a quarter across) and different in every channel; the ramp runs from -1 to
    1 over all positions, so that no two positions hold the same value.
    """
    probes = (_impulse,) if brief else (_impulse, _ramp)
    return [
        np.concatenate([x, *(probe(x) for probe in probes)])
        if x.dtype.kind == "f"
        else np.concatenate([x, x[[0, -1][: len(probes)]]])
        for x in random
    ]


def _impulse(x: Array) -> Array:
    shape = x.shape[1:]
    array = np.zeros((1, *shape))
    if not array.size:
        return array
    if len(shape) == 1:
        array[0, shape[0] // 3] = 1.0
        return array
    place = tuple(n // (3 + axis) for axis, n in enumerate(shape[:-1]))
    array[(0, *place)] = 1.0 + np.arange(shape[-1])
    return array


def _ramp(x: Array) -> Array:
    count = int(np.prod(x.shape[1:]))
    return np.linspace(-1.0, 1.0, max(count, 2))[:count].reshape(1, *x.shape[1:])


DRIVING = 8.0
"""Factor of the inputs that drive non-linearities through their range: the widest known one ends at 6 (ReLU6)."""


def driving(random: list[Array]) -> list[Array]:
    """``random`` and the same :data:`DRIVING` times as large, joined along the batch; integers are only repeated."""
    return [np.concatenate([x, DRIVING * x if x.dtype.kind == "f" else x]) for x in random]


def draw_weight(slot: str, value: Array, products: int, rng: np.random.Generator) -> Array:
    """A fresh value for a parameter of a layer that sums ``products`` products: kernels keep the variance of what a
    ReLU passes on (He et al. 2015, arXiv:1502.01852), biases and means are spread around zero, scales around one.

    Vectors of a spectral norm belong to their kernel's values and are kept.
    """
    if slot.startswith("singular_"):
        return value
    if slot in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.8, value.shape)
    if slot == "kernel":
        return rng.standard_normal(value.shape) * np.sqrt(2.0 / max(products, 1))
    return rng.standard_normal(value.shape) * (float(value.std()) or 0.3)


def perturb_constant(name: str, value: Array, rng: np.random.Generator) -> Array:
    """A constant parameter (a fresh bias, a BN scale) with noise of 0.1 around its value; any other as it is.

    A zero bias would hide a missing bias, a unit variance a wrong epsilon. Variances stay positive.
    """
    if value.size and np.ptp(value) > 0 or value.dtype.kind != "f":
        return value
    noise = 0.1 * rng.standard_normal(value.shape)
    return value + (np.abs(noise) if name == "moving_variance" else noise)
