"""Models named on the command line, as ``MODULE:FACTORY`` or ``FILE.py:FACTORY``, and the inputs drawn for them."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.verdict import UnusableInput, first_line

if TYPE_CHECKING:
    import numpy as np


@contextmanager
def working_folder_first() -> Iterator[None]:
    """Within: imports look into the working folder first, as in ``python -m``; the script ``parity`` has its own."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def make(name: str, seed: int) -> Any:
    """The model that ``MODULE:FACTORY`` names: a function or class called without arguments, or a model itself.

    Both frameworks, NumPy and ``random`` are seeded first, so that a command gives the same figures each time.

    Raises:
        UnusableInput: there is no such module, file or factory, or it fails.
    """
    module_name, colon, factory_name = name.rpartition(":")
    if not colon or not module_name or not factory_name:
        raise UnusableInput(f"{name!r}: expected MODULE:FACTORY or FILE.py:FACTORY, for example mymodels.gan:build")
    _seed_everything(seed)
    module = _import(module_name, name)
    try:
        factory = getattr(module, factory_name)
    except AttributeError as error:
        offered = ", ".join(name for name in vars(module) if not name.startswith("_")) or "nothing"
        raise UnusableInput(f"{name}: {module_name} has no {factory_name!r}; it has {offered}") from error
    if not callable(factory) or _is_model(factory):
        return factory
    _seed_everything(seed)
    try:
        return factory()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UnusableInput(f"{name}: calling {factory_name}() failed: {first_line(error)}") from error


def draw_input(shape: str, seed: int) -> np.ndarray:
    """Normal random values of a shape written ``N,H,W,C``.

    Raises:
        UnusableInput: ``shape`` is not at least two positive whole numbers.
    """
    import numpy as np

    try:
        sizes = [int(size) for size in shape.split(",")]
    except ValueError as error:
        raise UnusableInput(f"--input {shape!r}: expected whole numbers, batch first, for example 2,64,64,3") from error
    if len(sizes) < 2 or min(sizes) < 1:
        raise UnusableInput(f"--input {shape!r}: expected at least two positive sizes, batch first, for example 2,100")
    return np.random.default_rng(seed).standard_normal(sizes)


def build(model: Any, inputs: list[np.ndarray]) -> None:
    """Call a subclassed Keras model once: until then it has no weights. The model is the command's own.

    Raises:
        UnusableInput: the model does not accept ``inputs``.
    """
    import keras

    if isinstance(model, keras.Model) and not model.built:
        arrays = [x.astype("float32") for x in inputs]
        try:
            model(arrays[0] if len(arrays) == 1 else arrays)
        except Exception as error:
            shapes = [x.shape for x in inputs]
            raise UnusableInput(f"the reference does not accept --input {shapes}: {first_line(error)}") from error


def _import(module: str, name: str) -> Any:
    try:
        if module.endswith(".py"):
            return _import_file(Path(module), name)
        return importlib.import_module(module)
    except (UnusableInput, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise UnusableInput(f"{name}: importing {module} failed: {first_line(error)}") from error


def _import_file(path: Path, name: str) -> Any:
    if not path.is_file():
        raise UnusableInput(f"{name}: there is no file {path}")
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = module
    specification.loader.exec_module(module)
    return module


def _seed_everything(seed: int) -> None:
    import keras
    import torch

    keras.utils.set_random_seed(seed)  # TensorFlow, NumPy and random, too
    torch.manual_seed(seed)


def _is_model(thing: Any) -> bool:
    import keras
    from torch import nn

    return isinstance(thing, (keras.Model, nn.Module))
