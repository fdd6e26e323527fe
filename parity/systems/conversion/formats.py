"""The files that a network goes out to, each written and read back by the library whose format it is."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import safetensors.torch
import torch
from torch import nn

from parity.systems.conversion.networks import (
    Function,
    channels_first,
    channels_last,
    joined,
    keras_function,
    torch_function,
)
from tf_impl.layers import names_of

Array = np.ndarray
Notes = Mapping[str, str]
NOTES = "parity.json"  # what a .pt2 file is, inside it
OPSET = 20  # of ONNX: the newest that torch 2.13 writes unconverted
BATCH = "batch"


class Loaded(NamedTuple):
    """A file read again: what it computes, and its arrays by name (none of ``.onnx``, which folds and renames them)."""

    function: Function
    arrays: dict[str, Array]


@dataclass(frozen=True)
class Format:
    """How a file is written from a network of ``framework`` and read back in its ``runtime``.

    ``write`` is given the network, the file, inputs in the framework's layout and notes; ``read`` the file and what
    makes a fresh network, for formats that hold weights alone. ``loading`` is how anyone reads it. ``dtype`` is the
    only one that the runtime computes in; packages that it ``needs`` may be missing.
    """

    framework: str
    what: str
    runtime: str
    write: Callable[[Any, Path, Sequence[Array], Notes], None]
    read: Callable[[Path, Callable[[], Any]], Loaded]
    loading: str = ""
    needs: tuple[str, ...] = ()
    dtype: str | None = None

    @property
    def missing(self) -> list[str]:
        """The packages it needs that are not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]

    @property
    def version(self) -> str:
        """The runtime and its version."""
        return f"{self.runtime} {version(self.runtime)}"


def _write_keras(model: keras.Model, path: Path, given: Sequence[Array], notes: Notes) -> None:
    model.save(path)


def _read_keras(path: Path, fresh: Callable[[], Any]) -> Loaded:
    model = keras.saving.load_model(path)
    return Loaded(keras_function(model), held("tensorflow", model))


def _exported(module: nn.Module, given: Sequence[Array]) -> torch.export.ExportedProgram:
    batch = {0: torch.export.Dim(BATCH)}
    tensors = tuple(torch.from_numpy(x) for x in given)
    return torch.export.export(module, tensors, dynamic_shapes=(batch,) * len(tensors))


def _write_program(module: nn.Module, path: Path, given: Sequence[Array], notes: Notes) -> None:
    content = io.BytesIO()  # on a full disk torch's own writer takes the process down
    torch.export.save(_exported(module, given), content, extra_files={NOTES: json.dumps(dict(notes))})
    path.write_bytes(content.getbuffer())


def _read_program(path: Path, fresh: Callable[[], Any]) -> Loaded:
    program = torch.export.load(path)
    return Loaded(torch_function(program.module()), _arrays(program.state_dict))


def _write_safetensors(module: nn.Module, path: Path, given: Sequence[Array], notes: Notes) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    path.write_bytes(safetensors.torch.save(tensors, {"format": "pt", **notes}))


def _read_safetensors(path: Path, fresh: Callable[[], Any]) -> Loaded:
    return _filled(fresh(), safetensors.torch.load_file(path))


def _write_pt(module: nn.Module, path: Path, given: Sequence[Array], notes: Notes) -> None:
    content = io.BytesIO()
    torch.save(module.state_dict(), content)
    path.write_bytes(content.getbuffer())


def _read_pt(path: Path, fresh: Callable[[], Any]) -> Loaded:
    return _filled(fresh(), torch.load(path, weights_only=True))


def _filled(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> Loaded:
    module.load_state_dict(tensors, strict=True)
    return Loaded(torch_function(module), _arrays(module.state_dict()))


def _write_onnx(module: nn.Module, path: Path, given: Sequence[Array], notes: Notes) -> None:
    import onnx

    with _quiet():
        program = torch.onnx.export(
            _exported(module, given), dynamo=True, opset_version=OPSET, external_data=False, verbose=False,
            input_names=_names(notes["input"]), output_names=_names(notes["output"]),
        )  # fmt: skip
    assert program is not None
    program.model.metadata_props.update(notes)
    path.write_bytes(program.model_proto.SerializeToString())
    onnx.checker.check_model(str(path), full_check=True)


def _read_onnx(path: Path, fresh: Callable[[], Any]) -> Loaded:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(*given: Array) -> Array:
        outputs = session.run(None, dict(zip(names, map(channels_first, given), strict=True)))
        return joined(outputs if len(outputs) > 1 else outputs[0], channels_last)

    return Loaded(run, {})


def _names(note: str) -> list[str]:
    """The first words of a note's parts."""
    return [part.split()[0] for part in note.split("; ")]


def held(framework: str, network: Any) -> dict[str, Array]:
    """A network's arrays as the files of its framework name them."""
    if framework == "tensorflow":
        names = names_of(network)
        return {names[id(variable)]: variable.numpy() for variable in network.variables}
    return _arrays(network.state_dict())


def _arrays(tensors: Mapping[str, Any]) -> dict[str, Array]:
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """The ONNX exporter without its remarks on packages that it does not need."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


FORMATS: dict[str, Format] = {
    ".keras": Format(
        "tensorflow", "Keras model", "keras", _write_keras, _read_keras,
        loading="import tf_impl.systems; keras.saving.load_model({path!r})",
    ),
    ".pt2": Format(
        "torch", "exported torch program", "torch", _write_program, _read_program,
        loading="torch.export.load({path!r}).module()",
    ),
    ".safetensors": Format(
        "torch", "torch state dict", "torch", _write_safetensors, _read_safetensors,
        loading="module.load_state_dict(safetensors.torch.load_file({path!r}))",
    ),
    ".pt": Format(
        "torch", "torch state dict", "torch", _write_pt, _read_pt,
        loading="module.load_state_dict(torch.load({path!r}, weights_only=True))",
    ),
    ".onnx": Format(
        "torch", f"ONNX model, opset {OPSET}", "onnxruntime", _write_onnx, _read_onnx,
        loading="onnxruntime.InferenceSession({path!r})",
        needs=("onnx", "onnxscript", "onnxruntime"),
        dtype="float32",  # onnxruntime has no float64 convolutions for processors
    ),
}  # fmt: skip
