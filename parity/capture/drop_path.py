"""Layers of one's own that drop what they are given at random, known by what they do: paths, channels or values.

Plain NumPy, for both frameworks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray
VALUES, CHANNELS, SAMPLES = "values", "channels", "samples"
TRIED = (64, 3, 5, 2, 4)  # shape of what is dropped from: the first sizes, the last one for the channels
SIGMAS = 4  # of a share of draws: beyond, a fair draw is seen once in 16,000
AGREES = 1e-5  # relative: a product with a quotient, both rounded to float32, is within a few roundings


def drop_settings(
    call: Callable[[Array, bool], Any], rank: int, channels_first: bool, settings: Mapping[str, Any]
) -> dict[str, Any] | None:
    """``rate`` and what is ``dropped``, if ``call(x, training)`` drops at random and scales what is left; else None.

    ``x`` has ``rank`` axes, batch first. In evaluation it must come back as it is. ``settings`` are the layer's own
    numbers: one that is the rate, or what it leaves, tells it to its last digit.
    """
    if not 2 <= rank <= len(TRIED):
        return None
    shape = TRIED[: rank - 1] + TRIED[-1:]
    x = np.random.default_rng(0).uniform(0.5, 1.5, shape)
    try:
        kept, first, second = (np.asarray(call(x, training)) for training in (False, True, True))
    except Exception:
        return None
    if any(y.shape != shape or y.dtype.kind != "f" for y in (kept, first, second)):
        return None
    factors = np.stack([first, second]) / x
    factor = float(factors.max())
    drawn = not np.array_equal(first, second)
    if not np.allclose(kept, x, rtol=AGREES, atol=0) or not drawn or factor < 1 - AGREES:
        return None
    gone = factors == 0
    if not (gone | (np.abs(factors - factor) <= AGREES * factor)).all():
        return None
    dropped = _dropped(gone, channels_first)
    if factor > 1 + AGREES:
        return {"rate": _rate(1 - 1 / factor, AGREES, settings), "dropped": dropped, "always": False}
    share = float(gone.mean())
    spread = (share * (1 - share) / (len(gone) * len(x))) ** 0.5
    return {"rate": _rate(share, SIGMAS * spread, settings), "dropped": dropped, "always": False, "scaled": False}


def _rate(measured: float, within: float, settings: Mapping[str, Any]) -> float:
    """The number among the settings that is nearest to what was measured; what was measured if none is as near."""
    numbers = [float(x) for x in settings.values() if isinstance(x, (int, float))]
    declared = min((rate for x in numbers for rate in (x, 1 - x)), key=lambda rate: abs(rate - measured), default=None)
    return declared if declared is not None and abs(declared - measured) <= within else float(f"{measured:.5g}")


def _dropped(gone: Array, channels_first: bool) -> str:
    """What is dropped at once: ``gone`` is [runs, batch, ...]."""
    by_sample = gone.reshape(*gone.shape[:2], -1)
    if (by_sample == by_sample[..., :1]).all():
        return SAMPLES
    last = np.moveaxis(gone, 2, -1) if channels_first else gone
    by_channel = last.reshape(*gone.shape[:2], -1, last.shape[-1])
    return CHANNELS if (by_channel == by_channel[:, :, :1]).all() else VALUES


def dropped_by(noise_shape: Any) -> str:
    """What Keras's ``Dropout`` drops at once, by its ``noise_shape``."""
    if not noise_shape or 1 not in noise_shape:
        return VALUES
    *space, channels = noise_shape[1:]
    if all(n == 1 for n in space):
        return SAMPLES if channels == 1 else CHANNELS
    return f"values of shape {tuple(noise_shape)}"
