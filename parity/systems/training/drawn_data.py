"""The batches that lockstep runs train on, drawn so that no data set is needed, and values that must not start at zero.

Plain NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from shared_impl.config.schema import Config
from shared_impl.data.moments import Accumulator, Moments
from shared_impl.draws import Draws

Array = np.ndarray
WEIGHTS = {"generator": "generator", "ema": "generator", "discriminator": "discriminator"}


def batch(config: Config, number: int) -> dict[str, Array]:
    """Batch ``number`` in the format of the stream: uint8 ``[B, H, W, C]``, or float32 ``[B, samples]``."""
    draws, size = Draws(config.training.seed), config.training.batch_size
    classes = max(config.model.labels, 1)
    labels = (classes * draws.uniform("drawn labels", (size,), number)).astype(np.int64)
    if config.model.medium == "image":
        side = config.model.side
        shades = draws.uniform("drawn images", (size, side, side, config.model.nc), number)
        return {"x": (256 * shades).astype(np.uint8), "label": labels}
    _, hop, samples = config.model.framing
    noise = 2 * draws.uniform("drawn clips", (size, samples), number) - 1
    loudness = draws.uniform("drawn loudness", (size, samples // hop), number) ** 3  # of each hop
    return {"x": (noise * np.repeat(loudness, hop, 1)).astype(np.float32), "label": labels}


def batches(config: Config, start: int = 0, observe: Callable[[], object] | None = None) -> Iterator[dict[str, Array]]:
    """Endless batches from number ``start``; ``observe`` is called before each one."""
    while True:
        if observe is not None:
            observe()
        yield batch(config, start)
        start += 1


def perturbed_zeros(state: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """Scalar weights that start at zero, drawn from U(0.5, 1) instead.

    An attention's gamma multiplies the layer's output: at zero, nothing of the layer could be compared. Names may be
    either implementation's; a moving average gets the value of its network.
    """
    draws, found = Draws(seed), {}
    for name, array in state.items():
        scope, _, rest = name.partition("/")
        if scope in WEIGHTS and array.dtype.kind == "f" and not array.ndim and not array:
            place = f"{WEIGHTS[scope]}/{rest.replace('.', '/')}"
            found[name] = np.asarray(0.5 + draws.uniform(place, (1,))[0] / 2, array.dtype)
    return found


def moments(config: Config, log_magnitude: Callable[[Array, int, int], Array]) -> Moments | None:
    """The moments of the first batch's spectrograms; None for a system that learns from images.

    ``log_magnitude`` takes waveforms ``[B, T]``, frame and hop to ``[B, frames, bins]``.
    """
    if config.model.medium == "image":
        return None
    accumulator = Accumulator({"source": "drawn"})
    frame, hop, _ = config.model.framing
    accumulator.add(log_magnitude(batch(config, 0)["x"].astype(np.float64), frame, hop))
    return accumulator.result()
