"""Pixels that are not eight bits deep, or not there: how each kind of image becomes grey or coloured bytes."""

from __future__ import annotations

from collections import Counter

import numpy as np
from PIL import Image, ImageOps

TRANSPARENT, FLOATS, WIDE, MOVING = "transparent", "floats", "int32", "moving"
# Kind of image -> the note for the user about so many of them.
NOTES = {
    TRANSPARENT: "{} images are transparent: shown on white",
    FLOATS: "{} images hold floats: values up to 1 are taken for shares of white, larger ones for 0 to 255",
    WIDE: "{} images hold 32-bit integers: values up to 255 are taken as they are, larger ones for 16 bits",
    MOVING: "{} images have several frames: the first one is used",
}
WHITE = "white"


class PixelError(ValueError):
    """Values of which nobody knows what they mean."""


def kinds(image: Image.Image) -> list[str]:
    """What is unusual about an image that has been opened, by its header."""
    found = {
        TRANSPARENT: image.has_transparency_data,
        FLOATS: image.mode == "F",
        WIDE: image.mode == "I",
        MOVING: getattr(image, "is_animated", False),
    }
    return [kind for kind, present in found.items() if present]


def notes(found: Counter[str]) -> list[str]:
    """A sentence for each kind that there is."""
    return [text.format(found[kind]) for kind, text in NOTES.items() if found[kind]]


def upright(image: Image.Image, mode: str) -> Image.Image:
    """The image in ``mode`` (``L`` or ``RGB``), turned as its EXIF data says. Raises PixelError."""
    turned = ImageOps.exif_transpose(image)
    if turned.mode == "F" or turned.mode.startswith("I"):
        turned = Image.fromarray(_eight_bits(np.asarray(turned), turned.mode))
    if turned.has_transparency_data:
        coloured = turned.convert("RGBA")
        paper = Image.new("RGBA", coloured.size, WHITE)
        turned = Image.alpha_composite(paper, coloured).convert("RGB")
    return turned.convert(mode)


def _eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Grey levels 0 ... 255 of 16-bit, 32-bit or float pixels ``[H, W]``."""
    if mode.startswith("I;16"):
        return (values >> 8).astype(np.uint8)
    least, most = float(values.min()), float(values.max())
    if not np.isfinite([least, most]).all():
        raise PixelError("holds NaN or infinity")
    top = 255 if mode == "F" else 65535
    if least < 0 or most > top:
        expected = "0 to 1, or 0 to 255" if mode == "F" else "0 to 255, or 0 to 65535"
        raise PixelError(f"holds values from {least:g} to {most:g}: expected {expected}; scale them to 8 bits")
    if mode == "F":
        return np.rint(values.astype(np.float64) * (255 if most <= 1 else 1)).astype(np.uint8)
    return (values >> (0 if most <= 255 else 8)).astype(np.uint8)
