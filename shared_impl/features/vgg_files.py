"""Files of VGG19's weights, Keras's and torchvision's, read without either framework."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from shared_impl.config.presets import ConfigError
from shared_impl.features.vgg import CONVOLUTIONS, WANTED, Weights, from_torchvision, weights

Array = np.ndarray
Arrays = dict[str, Array]
Unpickle = Callable[[Path], Mapping[str, Array]]
IMAGES = "images"  # an attribute of .h5, an entry of .safetensors: how images are normalised, if not as is usual there
INSIDE = "model.weights.h5"  # of a .keras
PICKLES = (".pth", ".pt")
FAULTS = (OSError, EOFError, KeyError, RuntimeError, TypeError, ValueError, SafetensorError, zipfile.BadZipFile)


def read(path: Path, unpickle: Unpickle | None = None) -> Weights:
    """The weights in a file of the format that its suffix names; ``unpickle`` reads torch's pickles.

    Raises ConfigError of one line for a file that is missing, damaged, of another format or of another network.
    """
    readers = READERS if unpickle is None else {**READERS, **dict.fromkeys(PICKLES, _pickle(unpickle))}
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: unknown suffix {path.suffix!r}; valid: {', '.join(SUFFIXES)}. Give {WANTED}")
    if path.suffix not in readers:
        raise ConfigError(
            f"{path}: a pickle, which torch alone reads: carry it across with "
            f"`parity convert {path} {path.with_suffix('.safetensors')}` and name that file"
        )
    if not path.is_file():
        raise ConfigError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}. Give {WANTED}")
    try:
        arrays, images = readers[path.suffix](path)
    except ConfigError:
        raise
    except FAULTS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{path}: cannot be read as {path.suffix}: {reason}. Give {WANTED}") from error
    return weights(path, arrays, images)


def _pickle(unpickle: Unpickle) -> Callable[[Path], tuple[Arrays, str]]:
    return lambda path: (from_torchvision(unpickle(path)), "torch")


def _safetensors(path: Path) -> tuple[Arrays, str]:
    with safe_open(path, framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if "classifier" not in name}  # noqa: SIM118
        return from_torchvision(tensors), (file.metadata() or {}).get(IMAGES, "torch")


def _h5(path: Path) -> tuple[Arrays, str]:
    with path.open("rb") as file:
        return _layers(file, path)


def _keras(path: Path) -> tuple[Arrays, str]:
    with zipfile.ZipFile(path) as archive, archive.open(INSIDE) as file:
        return _layers(file, path)


def _layers(file: Any, path: Path) -> tuple[Arrays, str]:
    """The arrays of every layer that VGG19 has, wherever in an HDF5 file it stands."""
    wanted = {layer.name for layer in CONVOLUTIONS}
    with _opened(file, path) as content:
        found = {
            f"{name}/{slot}": dataset[()]
            for name, datasets in _weighted(content)
            if name in wanted
            for slot, dataset in zip(("kernel", "bias"), datasets, strict=False)
        }
        images = content.attrs.get(IMAGES, "caffe")
    return found, str(images)


@contextmanager
def _opened(file: Any, path: Path) -> Iterator[Any]:
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(
            f"{path}: to read {path.suffix} needs h5py, which comes with Keras: pip install h5py, or where Keras is, "
            f"`parity convert {path} {path.with_suffix('').with_suffix('.safetensors')}`"
        ) from error
    with h5py.File(file, "r") as content:
        yield content


def _weighted(content: Any) -> list[tuple[str, list[Any]]]:
    """Layers and their datasets in order: Keras 3 keeps them as ``…/vars/0``, Keras 2 lists its ``weight_names``."""
    found = []

    def visit(place: str, item: Any) -> None:
        name = place.rpartition("/")[2]
        if name == "vars" and "name" in item.attrs:
            found.append((_text(item.attrs["name"]), [item[key] for key in sorted(item, key=int)]))
        elif "weight_names" in item.attrs:
            found.append((name, [item[_text(weight)] for weight in item.attrs["weight_names"]]))

    content.visititems(visit)
    return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


READERS: dict[str, Callable[[Path], tuple[Arrays, str]]] = {
    ".h5": _h5,
    ".keras": _keras,
    ".safetensors": _safetensors,
}
SUFFIXES = (*READERS, *PICKLES)
