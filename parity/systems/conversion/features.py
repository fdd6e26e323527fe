"""VGG19's weights converted from one library's file to another's, which is kept only if its features agree."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import safetensors.numpy
import tensorflow as tf
import torch

import tf_impl.features
import torch_impl.features
from parity.numerics.difference import TINY, difference, scale
from parity.numerics.tolerance import float64_limit
from parity.systems.conversion.networks import channels_first, channels_last
from parity.verdict import NotFaithful, UnusableInput, first_line
from shared_impl import files
from shared_impl.draws import Draws
from shared_impl.features.vgg import CONVOLUTIONS, Weights
from shared_impl.features.vgg_files import IMAGES, PICKLES

Array = np.ndarray
SIDE, COUNT = 32, 2  # of the images whose features are compared


@dataclass(frozen=True)
class Written:
    """What was written, and how far its features in torch are from those of the source in Keras, in float64, over the
    largest; ``limit`` is :func:`parity.numerics.tolerance.float64_limit`.
    """

    path: Path
    source: Weights
    apart: float
    limit: float


def convert_features(origin: Path, path: Path) -> Written:
    """Write the weights in a file to another one, whose suffix names its format, and check it.

    Raises ConfigError for a source without VGG19's weights, UnusableInput for a target that cannot hold them or be
    written, NotFaithful if the file gives other features (it is gone then).
    """
    write = _writer(path)
    source = torch_impl.features.read(origin)
    if path.suffix in PICKLES and source.images != "torch":
        raise UnusableInput(
            f"{path}: cannot say that these weights want their images as Keras's do, and would be taken for "
            f"torchvision's own: write {path.with_suffix('.safetensors').name}, which can"
        )
    try:
        with files.replacing(path) as draft:
            write(source, draft)
            found = torch_impl.features.read(draft)
            changed = [name for name, array in source.arrays.items() if found.arrays[name].tobytes() != array.tobytes()]
            done = _compared(source, found, path)
            if changed or found.images != source.images or not done.apart <= done.limit:
                raise NotFaithful(
                    f"{path}: read again it gives other features than {origin}: {done.apart:.2g} of the largest apart, "
                    f"expected at most {done.limit:.2g}; {len(changed)} of {len(source.arrays)} arrays are others, "
                    f"for images as {found.images} wants them{_unlike(found, source)}; nothing was written"
                )
    except OSError as error:
        raise UnusableInput(f"{path}: cannot be written: {error.strerror or first_line(error)}") from error
    return done


def _unlike(found: Weights, source: Weights) -> str:
    return "" if found.images == source.images else f", expected {source.images}"


def _compared(source: Weights, written: Weights, path: Path) -> Written:
    images = 2 * Draws(0).uniform("convert", (COUNT, SIDE, SIDE, 3)) - 1
    exact, rounded = (_in_keras(source, images, precision) for precision in ("float64", "float32"))
    largest = max(scale(exact), TINY)
    apart = difference(_in_torch(written, images), exact).absolute
    return Written(path, source, apart / largest, float64_limit(exact, rounded) / largest)


def _in_keras(weights: Weights, images: Array, precision: str) -> Array:
    return tf_impl.features.Features(weights, precision)(tf.constant(images, precision)).numpy()


def _in_torch(weights: Weights, images: Array) -> Array:
    with torch.no_grad():
        return channels_last(
            torch_impl.features.Features(weights, "float64")(torch.from_numpy(channels_first(images))).numpy()
        )


def _writer(path: Path) -> Callable[[Weights, Path], None]:
    for ending, write in WRITERS.items():
        if path.name.endswith(ending):
            return write
    raise UnusableInput(f"{path}: VGG19's weights are written as {', '.join(WRITERS)}")


def _write_safetensors(weights: Weights, path: Path) -> None:
    tensors = {name: np.ascontiguousarray(array) for name, array in weights.torchvision().items()}
    path.write_bytes(safetensors.numpy.save(tensors, {"format": "pt", IMAGES: weights.images}))


def _write_keras(weights: Weights, path: Path) -> None:
    """As ``keras.applications.VGG19(include_top=False)`` loads it."""
    import h5py

    model = keras.applications.VGG19(weights=None, include_top=False)
    for layer in CONVOLUTIONS:
        model.get_layer(layer.name).set_weights([weights.arrays[name] for name in layer.shapes])
    model.save_weights(path)
    with h5py.File(path, "a") as file:
        file.attrs[IMAGES] = weights.images


def _write_pickle(weights: Weights, path: Path) -> None:
    content = io.BytesIO()  # on a full disk torch's own writer takes the process down
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in weights.torchvision().items()}
    torch.save(tensors, content)
    path.write_bytes(content.getbuffer())


WRITERS: dict[str, Callable[[Weights, Path], None]] = {
    ".safetensors": _write_safetensors,
    ".weights.h5": _write_keras,
    **dict.fromkeys(PICKLES, _write_pickle),
}
