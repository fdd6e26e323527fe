"""Pictures of what a run makes: sample grids, grids with a name for each row, spectrograms of clips."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image, ImageDraw, ImageFont

from shared_impl import files
from shared_impl.config.presets import ConfigError

Array = np.ndarray

PAPER = 255  # grey level between and beside images
DECIBELS = 80.0  # below the loudest, where the picture turns black; librosa's default (amplitude_to_db, top_db)
FONT = 12  # pixels


def to_uint8(images: Array) -> Array:
    """Floats in [-1, 1] as grey levels 0 ... 255, rounded and clipped, NaN as 0; uint8 stays as it is."""
    if images.dtype == np.uint8:
        return images
    shown = np.nan_to_num(np.clip(images.astype(np.float64), -1, 1), nan=-1.0)
    return np.rint((shown + 1) * 127.5).astype(np.uint8)


def grid(images: Array, columns: int | None = None, padding: int = 2) -> Array:
    """Images ``[N, H, W, C]``, row by row, as one uint8 picture ``[H', W', C]`` with ``padding`` pixels around each.

    ``images`` are uint8 or floats in [-1, 1]; ``columns`` is chosen to come near a square. Raises ValueError for
    another shape, for no image and for a number of channels that a picture cannot have.
    """
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(f"a grid is made of images [N, H, W, 1 or 3], got shape {list(images.shape)}")
    count, height, width, channels = images.shape
    columns = min(columns or _columns(count), count)
    rows = math.ceil(count / columns)
    down, right = height + padding, width + padding
    paper = np.full((rows * down + padding, columns * right + padding, channels), PAPER, np.uint8)
    for index, image in enumerate(to_uint8(images)):
        row, column = divmod(index, columns)
        top, left = padding + row * down, padding + column * right
        paper[top : top + height, left : left + width] = image
    return paper  # [rows * (H + padding) + padding, columns * (W + padding) + padding, C]


def labelled_grid(images: Array, labels: Sequence[str], padding: int = 2) -> Array:
    """A grid ``[H', W', C]`` of one row for each of ``labels``, whose name stands to its left; N must be a multiple.

    Raises ValueError if the rows do not come out even, and as :func:`grid` does.
    """
    if not labels or len(images) % len(labels):
        raise ValueError(f"{len(images)} images do not make {len(labels)} equal rows: give as many for each label")
    picture = grid(images, len(images) // len(labels), padding)
    font = ImageFont.load_default(FONT)
    margin = math.ceil(max(font.getlength(label) for label in labels)) + 8
    names = Image.new("L", (margin, len(picture)), PAPER)
    pen, pitch = ImageDraw.Draw(names), images.shape[1] + padding
    for row, label in enumerate(labels):
        pen.text((margin - 4, padding + (row + 0.5) * pitch - padding / 2), label, fill=0, font=font, anchor="rm")
    return np.concatenate([np.repeat(np.asarray(names)[..., None], picture.shape[-1], -1), picture], axis=1)


def spectrogram(clip: Array, rate: int, frame: int = 256, hop: int = 128) -> Array:
    """A picture ``[H, W, 3]`` of a clip ``[T]``: time in seconds, frequency in kHz, level in dB below its loudest.

    ``frame`` and ``hop`` in samples, SpecGAN's own by default: given the network's, the picture shows what it sees.
    Raises ValueError for another shape or an empty clip, ConfigError without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("a spectrogram picture needs matplotlib: pip install matplotlib") from error
    levels = _decibels(clip, frame, hop)  # [bins, frames]
    seconds, kilohertz = hop / rate, rate / frame / 1000
    figure = Figure(figsize=(6, 3.2), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="time (s)", ylabel="frequency (kHz)")
    drawn = axes.imshow(
        levels,
        cmap="magma",
        vmin=-DECIBELS,
        vmax=0,
        origin="lower",
        aspect="auto",
        extent=(
            -seconds / 2,
            (levels.shape[1] - 0.5) * seconds,
            -kilohertz / 2,
            (levels.shape[0] - 0.5) * kilohertz,
        ),
    )
    axes.set(xlim=(0, len(clip) / rate), ylim=(0, rate / 2000))
    figure.colorbar(drawn, label="level (dB)")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def png(picture: Array) -> bytes:
    """A uint8 picture ``[H, W, 1 or 3]`` as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file, "PNG")
    return file.getvalue()


def save_png(path: Path, picture: Array) -> None:
    """Write a uint8 picture ``[H, W, 1 or 3]``; the file is whole or not there. Raises OSError as writing does."""
    with files.replacing(path) as draft:
        draft.write_bytes(png(picture))


def _columns(count: int) -> int:
    """The divisor of ``count`` from its root to twice that, if there is one: no cell stays empty."""
    root = math.ceil(math.sqrt(count))
    return next((columns for columns in range(root, 2 * root + 1) if count % columns == 0), root)


def _decibels(clip: Array, frame: int = 256, hop: int = 128) -> Array:
    """Magnitudes ``[frame / 2 + 1, frames]`` of frames centred every ``hop`` samples, in dB below the loudest."""
    if clip.ndim != 1 or not len(clip):
        raise ValueError(f"a spectrogram is made of one clip [T], got shape {list(clip.shape)}")
    padded = np.pad(clip.astype(np.float64), frame // 2)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)
    magnitudes = np.abs(np.fft.rfft(sliding_window_view(padded, frame)[::hop] * window)).T
    loudest = max(magnitudes.max(), np.finfo(np.float64).tiny)
    return 20 * np.log10(np.maximum(magnitudes / loudest, 10 ** (-DECIBELS / 20)))
