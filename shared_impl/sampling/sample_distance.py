"""A cheap distance of samples from real images, by which a run's best checkpoint is chosen. Plain NumPy."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
CELLS = 16  # images are compared as this many means along each side


class SampleDistance:
    """The Fréchet distance between normal distributions of every cell of real images and of samples.

    It compares the mean of all samples and where they vary, not whether a single one looks right; FID
    (Heusel et al. 2017, arXiv:1706.08500) is the same distance on the features of a large network.
    ``real``: ``[N, H, W, C]``, sides divisible by 16.
    """

    def __init__(self, real: Array) -> None:
        self._mean, self._std = _moments(real)

    def distance(self, samples: Array) -> float:
        """Root mean square over cells; 0 for the real images themselves. ``samples``: ``[M, H, W, C]``."""
        mean, std = _moments(samples)
        return float(np.sqrt(np.mean(np.square(mean - self._mean) + np.square(std - self._std))))


def _moments(images: Array) -> tuple[Array, Array]:
    count, height, width, channels = images.shape
    cells = images.reshape(count, CELLS, height // CELLS, CELLS, width // CELLS, channels).mean((2, 4))
    return cells.mean(0), cells.std(0)
