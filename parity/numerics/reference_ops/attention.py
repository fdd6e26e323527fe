"""Self-attention by definition. Plain NumPy."""

from __future__ import annotations

import numpy as np

from parity.numerics.reference_ops.axes import float64
from parity.verdict import UnusableInput


def attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    factor: float = 1.0,
    axis: int = -1,
    transposed: bool = False,
    rows: int = 1024,
) -> np.ndarray:
    """``softmax(factor * query key^T) value``: ``[B, N, d]``, ``[B, M, d]`` and ``[B, M, C]`` -> ``[B, N, C]``.

    The softmax is over the keys; ``axis=-2`` takes it over the queries, and ``transposed`` sums the values by the
    transposed matrix (both are mistakes seen in ports). ``rows`` of the result are computed at a time.
    """
    if query.shape[-1] != key.shape[-1] or key.shape[1] != value.shape[1]:
        raise UnusableInput(f"attention: queries {query.shape}, keys {key.shape}, values {value.shape} do not fit")
    q, k, v = float64(query) * factor, float64(key), float64(value)
    first, second, over_rows = (k, q, axis == -1) if transposed else (q, k, axis == -2)
    norms = None
    if over_rows:  # every column's sum over all rows, found first
        norms = np.concatenate([_log_sums(first, block) for block in _blocks(second, rows)], 1)[:, None]
    made = []
    for block in _blocks(first, rows):
        logits = block @ second.swapaxes(1, 2)
        logits -= logits.max(-1, keepdims=True) if norms is None else norms
        shares = np.exp(logits, out=logits)
        made.append(shares @ v if norms is not None else shares @ v / shares.sum(-1, keepdims=True))
    return np.concatenate(made, 1)


def _blocks(x: np.ndarray, rows: int) -> list[np.ndarray]:
    return [x[:, start : start + rows] for start in range(0, x.shape[1], rows)]


def _log_sums(over: np.ndarray, of: np.ndarray) -> np.ndarray:
    """``log sum_j exp(of_i . over_j)``, ``[B, i]``."""
    logits = of @ over.swapaxes(1, 2)
    top = logits.max(-1)
    return top + np.log(np.exp(logits - top[..., None]).sum(-1))
