"""Reading golden records: files into checked settings and arrays, or one line about what is wrong. Plain NumPy."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import Field, Strict

from parity.verdict import UnusableInput
from shared_impl.config.loss import Loss
from shared_impl.config.presets import ConfigError, checked
from shared_impl.config.section import Count, Section
from shared_impl.config.systems import KernelLength

OWN = Path(__file__).resolve().parent
# Which files make up each record, by name without suffix.
RECORDS: dict[str, tuple[str, ...]] = {
    "specgan_forward": (".json", ".npz"),
    "specgan_training": (".json", ".npz"),
    "specgan_spectrogram": (".npz",),
    "dcgan_training": (".json", ".npz"),
}
# Everything that json and NumPy are known to raise on truncated, overwritten or foreign files.
DAMAGE = (OSError, ValueError, EOFError, KeyError, MemoryError, NotImplementedError, RecursionError, SyntaxError) + (
    zipfile.BadZipFile,
    zlib.error,
)
CONTENT = {"f": "floating-point numbers", "u": "unsigned whole numbers", "U": "text"}
Variable = Annotated[tuple[str, Annotated[tuple[Count, ...], Strict(False)]], Strict(False)]  # JSON has no tuples
Variables = list[Variable]
Seed = Annotated[int, Field(ge=0, le=2**32 - 3)]  # seed + 2 must suit RandomState too
SettingT = TypeVar("SettingT", bound=Section)


class SpecGANSetting(Section):
    """One setting of ``specgan_forward.json``; variables are ``[name, shape]`` in creation order."""

    dim: Count
    kernel_len: KernelLength
    use_bn: bool
    upsample: Literal["zeros", "nn", "linear", "cubic"]
    latent: Count
    seed: Seed
    batch: Count
    train: bool
    generator_variables: Variables
    discriminator_variables: Variables


class SpecGANTrainingSetting(Section):
    """One setting of ``specgan_training.json``: ``loops`` times ``disc_nupdates`` updates of D and one of G."""

    loss: Loss
    dim: Count
    batch: Count
    latent: Count
    seed: Annotated[int, Field(ge=0, le=2**32 - 101)]  # seed + 100 must suit RandomState too
    loops: Count
    disc_nupdates: Count
    generator_variables: Variables
    discriminator_variables: Variables


class DCGANSetting(Section):
    """``dcgan_training.json``; parameters are ``[name, shape]`` in ``named_parameters()`` order."""

    latent: Count
    gf: Count
    df: Count
    ch: Count
    batch: Count
    seed: Seed
    steps: Count
    generator_parameters: Variables
    discriminator_parameters: Variables


@dataclass(frozen=True)
class Record:
    """One record as read: settings as plain data, arrays by their keys, and the path without suffix."""

    path: Path
    settings: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def unusable(self, suffix: str, complaint: str) -> UnusableInput:
        """The error that names this record's file."""
        return UnusableInput(f"{self.path}{suffix}: {complaint}")

    def setting(self, schema: type[SettingT], options: Any, name: str = "") -> SettingT:
        """``options`` as the schema has them."""
        where = f"{self.path}.json: setting {name!r}" if name else f"{self.path}.json"
        if not isinstance(options, dict):
            raise UnusableInput(f"{where}: expected an object, got {type(options).__name__}")
        try:
            return checked(schema, options, where)
        except ConfigError as error:
            raise UnusableInput(str(error)) from error

    def expect(self, shapes: Mapping[str, tuple[int, ...]], kind: Literal["f", "u", "U"] = "f") -> None:
        """Raise UnusableInput unless every key of ``shapes`` is there, of that shape and of that kind."""
        missing = [key for key in shapes if key not in self.arrays]
        if missing:
            raise self.unusable(".npz", f"missing {', '.join(missing)}")
        for key, shape in shapes.items():
            if self.arrays[key].shape != shape:
                raise self.unusable(".npz", f"{key} has shape {self.arrays[key].shape}, the settings imply {shape}")
            if self.arrays[key].dtype.kind != kind:
                raise self.unusable(".npz", f"{key} holds {self.arrays[key].dtype}, expected {CONTENT[kind]}")


def read_folder(folder: Path) -> dict[str, Record]:
    """Every record in ``folder`` by name; UnusableInput if there is none, or half of one, or a damaged one."""
    if not folder.is_dir():
        raise UnusableInput(f"{folder}: no such folder of golden records")
    records = {name: _read(folder / name, suffixes) for name, suffixes in RECORDS.items() if _stands(folder / name)}
    if not records:
        raise UnusableInput(f"{folder}: holds no golden record ({', '.join(RECORDS)})")
    return records


def _stands(path: Path) -> bool:
    return any(path.with_suffix(suffix).exists() for suffix in (".json", ".npz"))


def _read(path: Path, suffixes: tuple[str, ...]) -> Record:
    for suffix in suffixes:
        if not path.with_suffix(suffix).is_file():
            there = [other for other in suffixes if path.with_suffix(other).is_file()]
            beside = f", although {path.name}{there[0]} is there" if there else ""
            raise UnusableInput(f"{path}{suffix}: missing{beside}")
    settings = _read_json(path.with_suffix(".json")) if ".json" in suffixes else {}
    return Record(path, settings, _read_npz(path.with_suffix(".npz")))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except DAMAGE as error:
        raise UnusableInput(f"{path}: cannot be read as JSON: {_one_line(error)}") from error
    if not isinstance(content, dict) or not content:
        raise UnusableInput(f"{path}: expected a non-empty JSON object of settings")
    return content


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array")
        with archive:
            arrays = {key: archive[key] for key in archive.files}
    except DAMAGE as error:
        raise UnusableInput(f"{path}: cannot be read as an npz archive: {_one_line(error)}") from error
    for key, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            index = np.argwhere(~np.isfinite(array))[0].tolist()
            raise UnusableInput(f"{path}: {key} holds {array[tuple(index)]} at {index}")
    return arrays


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
