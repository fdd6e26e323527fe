"""Two usual scores of generated samples, on any classifier's chances and any features. Plain NumPy.

Published figures rest on the Inception network; these are comparable only to others of the same classifier or features.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def inception_score(chances: Array) -> float:
    """Of a classifier's chances ``[N, K]``: from 1, if all samples are one to it, to K, if it is sure of all classes.

    The exponential of the mean divergence of a sample's chances from the average ones (Salimans et al. 2016,
    arXiv:1606.03498, section 4).
    """
    known, average = (np.maximum(shares, np.finfo(np.float64).tiny) for shares in (chances, chances.mean(0)))
    return float(np.exp(np.mean(np.sum(chances * np.log(known / average), axis=1))))  # 0 log 0 is 0


def frechet_distance(a: Array, b: Array) -> float:
    """Between normal distributions with the moments of features ``[N, F]`` and ``[M, F]``, squared as FID is.

    Dowson and Landau 1982, doi:10.1016/0047-259X(82)90077-X; Heusel et al. 2017, arXiv:1706.08500, equation 6. Few
    samples make it larger: hold it against that of as many real ones.
    """
    between = a.mean(0) - b.mean(0)
    left, right = (np.cov(features.T, bias=True).reshape(a.shape[1], -1) for features in (a, b))
    values, vectors = np.linalg.eigh(left)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ right @ root), 0)).sum()  # the trace of (left right)^(1/2)
    return float(max(0.0, between @ between + np.trace(left) + np.trace(right) - 2 * shared))
