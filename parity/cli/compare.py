"""``parity compare``: a user's own pair, named as ``MODULE:FACTORY`` or ``FILE.py:FACTORY``."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from parity.verdict import UnusableInput, Verdict, first_line

if TYPE_CHECKING:
    import numpy as np


def compare(
    reference: str,
    port: str,
    shapes: Sequence[str],
    *,
    rungs: Sequence[str] | None,
    seed: int,
    mapping: Path | None,
    mirrored: bool,
) -> Verdict:
    """Build both models and verify them.

    Raises:
        UnusableInput: a factory that cannot be found or fails, a shape that cannot be read, or an unusable pair.
    """
    from parity.verification import verify

    inputs = [draw(shape, seed + place) for place, shape in enumerate(shapes)] or None
    names = read_mapping(mapping)
    keras_model, torch_model = make(reference), make(port)
    if inputs is not None:
        _build(keras_model, inputs)
    return verify(
        keras_model,
        torch_model,
        inputs,
        rungs=rungs,
        seed=seed,
        mapping=names,
        mirrored=mirrored,
        name=f"{reference} / {port}",
    )


def make(spec: str) -> Any:
    """The model that ``MODULE:FACTORY`` names: a function or class called without arguments, or a model itself."""
    module_name, colon, factory_name = spec.rpartition(":")
    if not colon or not module_name or not factory_name:
        raise UnusableInput(f"{spec!r}: expected MODULE:FACTORY or FILE.py:FACTORY, for example mymodels.gan:build")
    module = _import(module_name, spec)
    try:
        factory = getattr(module, factory_name)
    except AttributeError as error:
        offered = ", ".join(name for name in vars(module) if not name.startswith("_")) or "nothing"
        raise UnusableInput(f"{spec}: {module_name} has no {factory_name!r}; it has {offered}") from error
    if not callable(factory) or _is_model(factory):
        return factory
    try:
        return factory()
    except Exception as error:
        raise UnusableInput(f"{spec}: calling {factory_name}() failed: {first_line(error)}") from error


def draw(shape: str, seed: int) -> np.ndarray:
    """Normal random values of a shape written ``N,H,W,C``."""
    import numpy as np

    try:
        sizes = [int(size) for size in shape.split(",")]
    except ValueError as error:
        raise UnusableInput(f"--input {shape!r}: expected whole numbers, batch first, for example 2,64,64,3") from error
    if len(sizes) < 2 or min(sizes) < 1:
        raise UnusableInput(f"--input {shape!r}: expected at least two positive sizes, batch first, for example 2,100")
    return np.random.default_rng(seed).standard_normal(sizes)


def read_mapping(path: Path | None) -> dict[str, str] | None:
    """A YAML or JSON file of ``reference layer: port layer``."""
    if path is None:
        return None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnusableInput(f"--mapping {path}: cannot be read as YAML or JSON: {first_line(error)}") from error
    if not isinstance(content, dict) or not all(isinstance(item, str) for pair in content.items() for item in pair):
        raise UnusableInput(f"--mapping {path}: expected lines 'reference layer: port layer'")
    return content


def _import(name: str, spec: str) -> Any:
    sys.path.insert(0, os.getcwd())
    try:
        if name.endswith(".py"):
            return _import_file(Path(name), spec)
        return importlib.import_module(name)
    except UnusableInput:
        raise
    except Exception as error:
        raise UnusableInput(f"{spec}: importing {name} failed: {first_line(error)}") from error
    finally:
        sys.path.remove(os.getcwd())


def _import_file(path: Path, spec: str) -> Any:
    if not path.is_file():
        raise UnusableInput(f"{spec}: there is no file {path}")
    described = importlib.util.spec_from_file_location(path.stem, path)
    assert described is not None and described.loader is not None
    module = importlib.util.module_from_spec(described)
    sys.modules[path.stem] = module
    described.loader.exec_module(module)
    return module


def _is_model(thing: Any) -> bool:
    import keras
    from torch import nn

    return isinstance(thing, (keras.Model, nn.Module))


def _build(model: Any, inputs: list[np.ndarray]) -> None:
    """A subclassed model has no weights until it is called once; the model is the command's own, so it may be."""
    import keras

    if isinstance(model, keras.Model) and not model.built:
        arrays = [x.astype("float32") for x in inputs]
        try:
            model(arrays[0] if len(arrays) == 1 else arrays)
        except Exception as error:
            shapes = [x.shape for x in inputs]
            raise UnusableInput(f"the reference does not accept --input {shapes}: {first_line(error)}") from error
