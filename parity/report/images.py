"""Pictures from arrays: PNG data URIs without an image library, and the amplified difference of two outputs."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from typing import Any

import numpy as np

MINUS = np.array([0, 114, 178], float)  # Okabe-Ito blue: the port is darker
ZERO = np.array([247, 247, 245], float)
PLUS = np.array([213, 94, 0], float)  # Okabe-Ito vermilion: the port is brighter


def data_uri(pixels: np.ndarray) -> str:
    """``data:image/png;base64,…`` of uint8 pixels ``[H, W]`` (grey) or ``[H, W, 3]``."""
    pixels = np.ascontiguousarray(pixels, np.uint8)
    height, width = pixels.shape[:2]
    colour_type = 2 if pixels.ndim == 3 else 0
    rows = pixels.reshape(height, -1)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(raw, 9)) + _chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode("ascii")


def picture(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Uint8 pixels of ``[H, W]`` or ``[H, W, C]`` values between ``low`` and ``high``; NaN is black, C is 1 or 3."""
    scaled = np.nan_to_num((values - low) / ((high - low) or 1.0), nan=0.0, posinf=1.0, neginf=0.0)
    pixels = np.round(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] != 3 else pixels


def difference(delta: np.ndarray, amplification: float) -> np.ndarray:
    """Signed difference ``[H, W]`` in two colours that a colour-blind eye can tell apart; NaN is black."""
    strength = np.clip(np.nan_to_num(delta * amplification), -1, 1)[..., None]
    pixels = np.where(strength < 0, ZERO + (MINUS - ZERO) * -strength, ZERO + (PLUS - ZERO) * strength)
    return np.where(np.isfinite(delta)[..., None], np.round(pixels), 0).astype(np.uint8)


def comparison(title: str, reference: Any, port: Any) -> dict[str, Any]:
    """Two images of the same ``[H, W]``, ``[H, W, C]`` or ``[N, H, W, C]`` layout, drawn beside their difference.

    Returns the title, both shapes, the largest difference, the count of values that are not finite, the
    amplification (a power of ten) and up to three data URIs; a batch is drawn as a row.
    """
    first, second = _row(np.asarray(reference, float)), _row(np.asarray(port, float))
    result: dict[str, Any] = {
        "title": title,
        "reference_shape": list(np.shape(reference)),
        "port_shape": list(np.shape(port)),
    }
    values = np.concatenate([first.ravel(), second.ravel()])
    finite = values[np.isfinite(values)]
    low, high = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
    result["not_finite"] = values.size - finite.size
    result["reference"] = data_uri(picture(first, low, high))
    result["port"] = data_uri(picture(second, low, high))
    result["largest"] = result["amplification"] = result["difference"] = None
    if first.shape == second.shape:
        delta = second - first
        result["largest"] = largest = float(np.abs(delta[np.isfinite(delta)]).max(initial=0.0))
        result["amplification"] = _amplification(largest)
        worst = delta if delta.ndim == 2 else delta[..., np.nan_to_num(np.abs(delta)).max(axis=(0, 1)).argmax()]
        result["difference"] = data_uri(difference(worst, result["amplification"]))
    return result


def _amplification(largest: float) -> float:
    """The roundest factor (1, 2 or 5 times a power of ten) that brings ``largest`` up to at most one."""
    if not largest:
        return 1.0
    power = 10.0 ** math.floor(-math.log10(largest))
    return max(factor * power for factor in (1, 2, 5) if factor * power * largest <= 1 + 1e-9)


def _row(values: np.ndarray) -> np.ndarray:
    if values.ndim == 4:
        return np.concatenate(list(values), axis=1)
    if values.ndim not in (2, 3):
        raise ValueError(f"an image must be [H, W], [H, W, C] or [N, H, W, C], got shape {list(values.shape)}")
    return values


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
