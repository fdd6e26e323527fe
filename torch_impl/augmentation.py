"""Images changed at random before D sees them, in torch; twin of tf_impl/augmentation.py.

Written out, so that both frameworks give the same images: gathers, products and sums, no gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from shared_impl.config.data import DataConfig
from shared_impl.data.augmentation import LUMINANCE, angles, factors, flips


def augment(cfg: DataConfig, images: Tensor, numbers: Tensor) -> Tensor:
    """Flip, turn, then jitter images ``[B, C, H, W]`` in [-1, 1]; what is switched off changes no bit.

    ``numbers``: U[0, 1) ``[B, AUGMENTATION]`` in the dtype of the images; see :mod:`shared_impl.data.augmentation`.
    """
    images = images.detach()
    if cfg.flip != "none":
        across, down = flips(cfg, numbers)
        images = _mirrored(_mirrored(images, across, 3), down, 2)
    if cfg.rotate:
        images = _turned(images, angles(cfg, numbers))
    if cfg.jitter:
        images = _jittered(images, *factors(cfg, numbers))
    return images


def _mirrored(images: Tensor, which: Tensor, axis: int) -> Tensor:
    return torch.where(which[:, None, None, None], images.flip(axis), images)


def _turned(images: Tensor, angle: Tensor) -> Tensor:
    """Each image about its centre, bilinearly; what turns in from outside repeats the edge."""
    batch, channels, height, width = images.shape
    rows = torch.arange(height).to(images)[:, None] - (height - 1) / 2  # [H, 1]
    columns = torch.arange(width).to(images)[None] - (width - 1) / 2  # [1, W]
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    y = torch.clamp(sin * columns + cos * rows + (height - 1) / 2, 0, height - 1)  # [B, H, W]
    x = torch.clamp(cos * columns - sin * rows + (width - 1) / 2, 0, width - 1)
    top, left = torch.floor(y), torch.floor(x)
    below, beside = torch.clamp(top + 1, max=height - 1), torch.clamp(left + 1, max=width - 1)
    pixels = images.reshape(batch, channels, height * width)

    def at(row: Tensor, column: Tensor) -> Tensor:
        index = (row * width + column).long().reshape(batch, 1, height * width)
        return pixels.gather(2, index.expand(-1, channels, -1)).reshape(images.shape)

    down, right = (y - top)[:, None], (x - left)[:, None]
    upper = (1 - right) * at(top, left) + right * at(top, beside)
    lower = (1 - right) * at(below, left) + right * at(below, beside)
    return ((1 - down) * upper + down * lower).contiguous(memory_format=torch.channels_last)


def _jittered(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Each image mixed with black, with its mean grey and with its own greys, as torchvision's ColorJitter does."""
    shades = (images + 1) / 2
    shades = _blended(shades, torch.zeros_like(shades), brightness)
    shades = _blended(shades, _grey(shades).mean((1, 2, 3), keepdim=True), contrast)
    shades = _blended(shades, _grey(shades), saturation)
    return 2 * shades - 1


def _blended(shades: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    factor = factor[:, None, None, None]
    return torch.clamp(factor * shades + (1 - factor) * other, 0, 1)


def _grey(shades: Tensor) -> Tensor:
    """Luminance ``[B, 1, H, W]`` of colours; any other images are their own."""
    if shades.shape[1] != 3:
        return shades
    red, green, blue = (share * shades[:, i : i + 1] for i, share in enumerate(LUMINANCE))
    return red + green + blue
