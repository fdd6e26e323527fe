"""VGG19's convolutions: what Keras and torchvision call them, and how the weights of either expect their images.

Simonyan and Zisserman 2015, arXiv:1409.1556, column E of table 1, up to the last ReLU of the fifth block. Both
libraries' published weights were trained on ImageNet, on images that were normalised in different ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared_impl.config.presets import ConfigError

Array = np.ndarray
Shape = tuple[int, ...]
BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))  # convolutions, and channels of each; pools between
STORED = ("float32", "float16")  # dtypes that float32 holds unchanged
LISTED = 3  # faults of a file that its message lists


class Convolution(NamedTuple):
    """A 3x3 convolution: ``name`` is Keras's, torchvision's is ``features.FEATURE``."""

    name: str
    feature: int
    inputs: int
    outputs: int

    @property
    def shapes(self) -> dict[str, Shape]:
        """Of its arrays in Keras's layout."""
        return {f"{self.name}/kernel": (3, 3, self.inputs, self.outputs), f"{self.name}/bias": (self.outputs,)}


class Normalisation(NamedTuple):
    """How images in [-1, 1] become a network's inputs: ``slope * image + shift`` of each channel, which are R, G and B
    or, ``reversed``, B, G and R.
    """

    reversed: bool
    slope: tuple[float, float, float]
    shift: tuple[float, float, float]


@dataclass(frozen=True)
class Weights:
    """Kernels ``[3, 3, C, C']`` and biases ``[C']``, float32, by ``block1_conv1/kernel`` and so on.

    ``images`` is the key in :data:`NORMALISATIONS` of what they were trained on.
    """

    path: Path
    arrays: dict[str, Array]
    images: str

    @property
    def normalisation(self) -> Normalisation:
        """Of the images that the weights were trained on."""
        return NORMALISATIONS[self.images]

    def torchvision(self) -> dict[str, Array]:
        """The arrays by torchvision's names, in torch's layout."""
        return {
            name: array
            for layer in CONVOLUTIONS
            for name, array in (
                (f"features.{layer.feature}.weight", self.arrays[f"{layer.name}/kernel"].transpose(3, 2, 0, 1)),
                (f"features.{layer.feature}.bias", self.arrays[f"{layer.name}/bias"]),
            )
        }


def weights(path: Path, arrays: Mapping[str, Array], images: str) -> Weights:
    """Arrays in Keras's layout and names, checked; ConfigError of one line that names what is missing or of another
    shape, or ``images`` that are no normalisation.
    """
    if images not in NORMALISATIONS:
        raise ConfigError(f"{path}: wants images as {images!r}; valid: {', '.join(NORMALISATIONS)}")
    expected = {name: shape for layer in CONVOLUTIONS for name, shape in layer.shapes.items()}
    faults = [fault for name, shape in expected.items() if (fault := _fault(name, arrays.get(name), shape))]
    if faults:
        more = f" and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
        raise ConfigError(f"{path}: not VGG19's weights: {'; '.join(faults[:LISTED])}{more}. Give {WANTED}")
    return Weights(path, {name: np.ascontiguousarray(arrays[name], np.float32) for name in expected}, images)


def from_torchvision(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """What ``tensors`` hold of VGG19, by Keras's names and in its layout.

    Names are those of torchvision's ``vgg19``, or of its ``features`` by themselves (``0.weight``).
    """
    prefix = "features." if any(name.startswith("features.") for name in tensors) else ""
    found = {}
    for layer in CONVOLUTIONS:
        kernel, bias = (tensors.get(f"{prefix}{layer.feature}.{slot}") for slot in ("weight", "bias"))
        if kernel is not None and kernel.ndim == 4:
            found[f"{layer.name}/kernel"] = kernel.transpose(2, 3, 1, 0)
        if bias is not None:
            found[f"{layer.name}/bias"] = bias
    return found


def _fault(name: str, array: Array | None, shape: Shape) -> str:
    if array is None:
        return f"{name} is missing"
    if array.shape != shape:
        return f"{name}: got shape {list(array.shape)}, expected {list(shape)}"
    if array.dtype.name not in STORED:
        return f"{name}: got {array.dtype.name}, expected {' or '.join(STORED)}"
    return "" if np.isfinite(array).all() else f"{name} holds NaN or infinity"


def _convolutions() -> Iterator[Convolution]:
    feature, inputs = 0, 3
    for block, (count, outputs) in enumerate(BLOCKS, 1):
        for number in range(1, count + 1):
            yield Convolution(f"block{block}_conv{number}", feature, inputs, outputs)
            feature, inputs = feature + 2, outputs  # a ReLU follows
        feature += 1  # and the pool


def _caffe() -> Normalisation:
    """0 ... 255 less the mean colour (keras.applications.vgg19.preprocess_input)."""
    blue, green, red = (127.5 - mean for mean in (103.939, 116.779, 123.68))
    return Normalisation(True, (127.5, 127.5, 127.5), (blue, green, red))


def _torch() -> Normalisation:
    """0 ... 1 less the mean colour, over the deviation (torchvision's VGG19_Weights.IMAGENET1K_V1.transforms())."""
    means, (red, green, blue) = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    r, g, b = ((0.5 - mean) / deviation for mean, deviation in zip(means, (red, green, blue), strict=True))
    return Normalisation(False, (0.5 / red, 0.5 / green, 0.5 / blue), (r, g, b))


CONVOLUTIONS = tuple(_convolutions())
# By the names of keras.applications.imagenet_utils.preprocess_input's modes.
NORMALISATIONS: dict[str, Normalisation] = {"caffe": _caffe(), "torch": _torch()}
WANTED = (
    "the file of keras.applications.VGG19's weights (vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5) or of "
    "torchvision's vgg19 (.pth, or .safetensors of its state dict)"
)
