"""Batches that lockstep runs learn from: drawn, so that no data set is needed. Plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from common.draws import Draws
from common.moments import Accumulator, Moments
from common.schema import Config

Array = np.ndarray
SAMPLES = 16384  # of a clip
BLOCK = 128  # samples between changes of loudness


def batch(config: Config, number: int) -> dict[str, Array]:
    """Batch ``number`` as the stream would give it: uint8 ``[B, H, W, C]``, or float32 ``[B, 16384]``."""
    draws, size = Draws(config.training.seed), config.training.batch_size
    classes = max(config.model.labels, 1)
    labels = (classes * draws.uniform("drawn labels", (size,), number)).astype(np.int64)
    if config.model.medium == "image":
        side = config.model.side
        shades = draws.uniform("drawn images", (size, side, side, config.model.nc), number)
        return {"x": (256 * shades).astype(np.uint8), "label": labels}
    noise = 2 * draws.uniform("drawn clips", (size, SAMPLES), number) - 1
    loudness = draws.uniform("drawn loudness", (size, SAMPLES // BLOCK), number) ** 3
    return {"x": (noise * np.repeat(loudness, BLOCK, 1)).astype(np.float32), "label": labels}


def batches(config: Config, start: int = 0, look: Callable[[], object] | None = None) -> Iterator[dict[str, Array]]:
    """Batches without end from number ``start``; ``look`` is called whenever one is asked for."""
    while True:
        if look is not None:
            look()
        yield batch(config, start)
        start += 1


def moments(config: Config, log_magnitude: Callable[[Array], Array]) -> Moments | None:
    """The moments of the first batch's spectrograms; None for a system that learns from images."""
    if config.model.medium == "image":
        return None
    accumulator = Accumulator({"source": "drawn"})
    accumulator.add(log_magnitude(batch(config, 0)["x"].astype(np.float64)))
    return accumulator.result()
