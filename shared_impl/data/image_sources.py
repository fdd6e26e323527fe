"""Images: decoded, squared and resized once, by one library (Pillow), so that both frameworks get the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from shared_impl.config.data import DataConfig
from shared_impl.data.errors import BrokenFile, DataError
from shared_impl.data.file_index import FileIndex
from shared_impl.data.pixels import PixelError, kinds, notes, upright
from shared_impl.data.source_interface import Source, fingerprint

MODES = {1: "L", 3: "RGB"}
METHODS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}


class Squares:
    """How images become uint8 ``[side, side, nc]``: the middle square, resized by ``method``."""

    def __init__(self, side: int, nc: int, method: str) -> None:
        if nc not in MODES:
            raise DataError(f"model.nc={nc}: images have {' or '.join(map(str, MODES))} channels")
        self.side, self.nc, self.method = side, nc, method

    def __call__(self, image: Image.Image) -> np.ndarray:
        """The array of one image, turned upright as its EXIF data says."""
        whole = upright(image, MODES[self.nc])
        edge = min(whole.size)
        left, top = ((length - edge) // 2 for length in whole.size)
        middle = whole.crop((left, top, left + edge, top + edge))
        resized = middle.resize((self.side, self.side), METHODS[self.method])
        return np.asarray(resized).reshape(self.side, self.side, self.nc)

    def settings(self) -> list[object]:
        """What the resulting arrays depend on, for the fingerprint."""
        return [self.side, self.nc, self.method]


class Digits(Source):
    """scikit-learn's 1797 handwritten digits, enlarged from 8x8 pixels of 17 grey levels."""

    kind: ClassVar[Literal["image"]] = "image"

    def __init__(self, data: DataConfig, squares: Squares) -> None:
        from sklearn.datasets import load_digits

        super().__init__(data, [str(digit) for digit in range(10)])
        small, classes = load_digits(return_X_y=True)
        self._pixels = np.round(small.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
        self._squares = squares
        self._digits = [int(digit) for digit in classes]
        self.fingerprint = fingerprint(self.kind, squares.settings(), self._digits, self._pixels.tobytes())

    def __len__(self) -> int:
        return len(self._pixels)

    def place(self, index: int) -> str:
        """The digit's number."""
        return f"{self.name}[{index}]"

    def read(self, index: int, share: float) -> tuple[np.ndarray, int]:
        """The enlarged digit and its value; ``share`` is not used."""
        return self._squares(Image.fromarray(self._pixels[index])), self._digits[index]

    def read_classes(self) -> Iterable[int]:
        """The digits' values."""
        return self._digits


class ImageFiles(Source):
    """Image files. A file that is no image is skipped at once, by its first bytes; a damaged one when it is read."""

    kind: ClassVar[Literal["image"]] = "image"

    def __init__(self, data: DataConfig, squares: Squares, index: FileIndex) -> None:
        super().__init__(data, index.labels)
        self._squares = squares
        found = self.usable(index, probe)
        self._files = [file for file, _ in found]
        about = [[file.name, file.label, *header.size, *header.unusual] for file, header in found]
        self.fingerprint = fingerprint(self.kind, squares.settings(), self.labels, about)
        self.notes += [*index.notes, *notes(Counter(kind for _, header in found for kind in header.unusual))]

    def __len__(self) -> int:
        return len(self._files)

    def place(self, index: int) -> str:
        """The file's path."""
        return str(self._files[index].path)

    def read(self, index: int, share: float) -> tuple[np.ndarray, int]:
        """The image and its class; ``share`` is not used."""
        file = self._files[index]
        with _broken_file_named(file.path), Image.open(file.path) as image:
            return self._squares(image), file.label

    def read_classes(self) -> Iterable[int]:
        """The files' classes."""
        return (file.label for file in self._files)


def suffixes() -> list[str]:
    """The endings of every format that Pillow reads."""
    return [suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN]


class Header(NamedTuple):
    """Width and height of an image, and what is unusual about its pixels."""

    size: tuple[int, int]
    unusual: list[str]


def probe(path: Path) -> Header:
    """What the file's header says. Raises BrokenFile for what is no image."""
    with _broken_file_named(path), Image.open(path) as image:
        return Header(image.size, kinds(image))


@contextmanager
def _broken_file_named(path: Path) -> Iterator[None]:
    """Turn what Pillow raises into a BrokenFile with a reason."""
    try:
        yield
    except Exception as error:  # its decoders raise OSError, SyntaxError, ValueError, struct.error and others
        raise BrokenFile(str(path), _reason(path, error)) from error


def _reason(path: Path, error: Exception) -> str:
    if not path.exists():
        return "no such file"
    if path.stat().st_size == 0:
        return "is empty"
    if isinstance(error, PixelError):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return "is no image of a known format"
    return f"cannot be read as an image ({' '.join(str(error).split())})"
