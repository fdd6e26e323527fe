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


def perturb_constant(name: str, value: Array, rng: np.random.Generator) -> Array:
    """A constant parameter (a fresh bias, a BN scale) with noise of 0.1 around its value; any other as it is.

    A zero bias would hide a missing bias, a unit variance a wrong epsilon. Variances stay positive.
    """
    if value.size and np.ptp(value) > 0 or value.dtype.kind != "f":
        return value
    noise = 0.1 * rng.standard_normal(value.shape)
    return value + (np.abs(noise) if name == "moving_variance" else noise)
