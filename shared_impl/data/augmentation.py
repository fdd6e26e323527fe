"""Random changes of each image shown, as configured and drawn: the same in both frameworks. Plain NumPy.

A sample draws one number for each of COLUMNS, whatever is switched on. The functions use arithmetic alone, so that they
take tensors of either framework as well as arrays.
"""

from __future__ import annotations

import math
from typing import Any

from shared_impl.config.data import DataConfig

COLUMNS = ("across", "down", "turn", "brightness", "contrast", "saturation")
AUGMENTATION = len(COLUMNS)  # numbers U[0, 1) that a sample draws
# Shares of red, green and blue in a grey of the same luminance (ITU-R BT.601, as rounded by torchvision and Pillow)
LUMINANCE = (0.2989, 0.587, 0.114)


def flips(cfg: DataConfig, numbers: Any) -> tuple[Any, Any]:
    """Which samples are mirrored left to right, and which upside down: bool ``[B]`` each."""
    across, down = (cfg.flip in (way, "both") for way in ("horizontal", "vertical"))
    return numbers[:, 0] < 0.5 * across, numbers[:, 1] < 0.5 * down


def angles(cfg: DataConfig, numbers: Any) -> Any:
    """By how much each sample is turned, in radians, counter-clockwise as one sees it: ``[B]``."""
    return (2 * numbers[:, 2] - 1) * math.radians(cfg.rotate)


def factors(cfg: DataConfig, numbers: Any) -> tuple[Any, Any, Any]:
    """Of brightness, contrast and saturation: ``[B]`` each."""
    brightness, contrast, saturation = (1 + (2 * numbers[:, column] - 1) * cfg.jitter for column in (3, 4, 5))
    return brightness, contrast, saturation
