"""Reading a folder of golden records: settings and arrays of each, or one line about what is wrong. Plain NumPy."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from pydantic import ValidationError

from parity.verdict import UnusableInput
from shared_impl.config.presets import ConfigError, checked
from shared_impl.config.section import Section

OWN = Path(__file__).resolve().parent
# Which files make up each record, by name without suffix: whether a file must be there.
RECORDS: dict[str, dict[str, bool]] = {
    "specgan_forward": {".json": True, ".npz": True},
    "specgan_training": {".json": True, ".npz": True},
    "specgan_spectrogram": {".json": False, ".npz": True},
    "dcgan_training": {".json": True, ".npz": True},
}
# Everything that json and NumPy are known to raise on truncated, overwritten or foreign files.
DAMAGE = (OSError, ValueError, EOFError, KeyError, MemoryError, NotImplementedError, RecursionError, SyntaxError) + (
    zipfile.BadZipFile,
    zlib.error,
)
CONTENT = {"f": "floating-point numbers", "u": "unsigned whole numbers", "U": "text"}
LARGEST_ITEM = 8  # bytes of a number that both frameworks can hold
UNKNOWN_OPTION = {"extra_forbidden", "literal_error"}  # pydantic's names: no such field, none of the choices
SettingT = TypeVar("SettingT", bound=Section)


class UnknownOption(Exception):
    """A setting has an option, or a choice for one, that this reader does not know; the message names it."""


@dataclass(frozen=True)
class Record:
    """One record as read: its path without suffix, settings as plain data, and arrays by key.

    ``damaged`` gives the reason why an array of the archive could not be read.
    """

    path: Path
    settings: dict[str, Any]
    arrays: dict[str, np.ndarray]
    damaged: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The record's name, as in ``RECORDS``."""
        return self.path.name

    @property
    def keys(self) -> list[str]:
        """The names of all arrays, damaged ones included."""
        return [*self.arrays, *self.damaged]

    def unusable(self, suffix: str, problem: str) -> UnusableInput:
        """The error that names this record's file."""
        return UnusableInput(f"{self.path}{suffix}: {problem}")

    def setting(self, schema: type[SettingT], options: Any, name: str = "") -> SettingT:
        """``options`` as an instance of ``schema``.

        Raises:
            UnknownOption: an option that ``schema`` does not have, or none of the choices that it knows.
            UnusableInput: an option is missing, or its value cannot be right.
        """
        where = f"setting {name!r}: " if name else ""
        if not isinstance(options, dict):
            raise self.unusable(".json", f"{where}expected an object, got {type(options).__name__}")
        try:
            return checked(schema, options, "")
        except ConfigError as error:
            problem, cause = str(error).removeprefix(": "), error.__cause__
            faults = cause.errors() if isinstance(cause, ValidationError) else []
            if any(fault["type"] in UNKNOWN_OPTION for fault in faults):
                raise UnknownOption(problem) from error
            raise self.unusable(".json", where + problem) from error

    def expect(self, shapes: Mapping[str, tuple[int, ...]], kind: Literal["f", "u", "U"] = "f") -> None:
        """Raise UnusableInput unless every key of ``shapes`` is there, finite, of that shape and of that kind."""
        missing = [key for key in shapes if key not in self.arrays and key not in self.damaged]
        if missing:
            raise self.unusable(".npz", f"missing {', '.join(missing)}")
        for key, shape in shapes.items():
            if key in self.damaged:
                raise self.unusable(".npz", f"cannot be read as an npz archive: {key}: {self.damaged[key]}")
            array = self.arrays[key]
            if array.shape != shape:
                raise self.unusable(".npz", f"{key} has shape {array.shape}, the settings imply {shape}")
            if array.dtype.kind != kind or (kind != "U" and array.dtype.itemsize > LARGEST_ITEM):
                raise self.unusable(".npz", f"{key} holds {array.dtype}, expected {CONTENT[kind]}")
            if kind == "f" and not np.isfinite(array).all():
                index = np.argwhere(~np.isfinite(array))[0].tolist()
                raise self.unusable(".npz", f"{key} holds {array[tuple(index)]} at {index}")


def read_folder(folder: Path) -> dict[str, Record]:
    """Every record in ``folder`` by name; UnusableInput if there is none, or half of one, or a damaged one."""
    if not folder.is_dir():
        raise UnusableInput(f"{folder}: no such folder of golden records")
    records = {name: _read(folder / name, files) for name, files in RECORDS.items() if _exists(folder / name)}
    if not records:
        files = ", ".join(unknown_files(folder))
        raise UnusableInput(
            f"{folder}: holds no golden record ({', '.join(RECORDS)})" + f", but: {files}" * bool(files)
        )
    return records


def unknown_files(folder: Path) -> list[str]:
    """The names of data files (``.npz``, ``.npy``, ``.json``, in any case) that belong to no record of ``RECORDS``."""
    known = {f"{name}{suffix}" for name, files in RECORDS.items() for suffix in files}
    data = (".npz", ".npy", ".json")
    return sorted(
        path.name for path in folder.iterdir() if path.suffix.lower() in data and path.name not in known
    )  # fmt: skip


def _exists(path: Path) -> bool:
    return any(path.with_suffix(suffix).exists() for suffix in (".json", ".npz"))


def _read(path: Path, files: dict[str, bool]) -> Record:
    for suffix, needed in files.items():
        if needed and not path.with_suffix(suffix).is_file():
            there = [other for other in files if path.with_suffix(other).is_file()]
            beside = f", although {path.name}{there[0]} is there" if there else ""
            raise UnusableInput(f"{path}{suffix}: missing{beside}")
    optional = not files[".json"]
    settings = {}
    if not optional or path.with_suffix(".json").exists():
        settings = _read_json(path.with_suffix(".json"), may_be_empty=optional)
    return Record(path, settings, *_read_npz(path.with_suffix(".npz")))


def _read_json(path: Path, may_be_empty: bool) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except DAMAGE as error:
        raise UnusableInput(f"{path}: cannot be read as JSON: {_one_line(error)}") from error
    if not isinstance(content, dict) or not (content or may_be_empty):
        expected = "a JSON object" if may_be_empty else "a non-empty JSON object"
        raise UnusableInput(f"{path}: expected {expected} of settings")
    return content


def _read_npz(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays by key, in native byte order, and the problems of those that cannot be read."""
    arrays, damaged = {}, {}
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array")
    except DAMAGE as error:
        raise UnusableInput(f"{path}: cannot be read as an npz archive: {_one_line(error)}") from error
    with archive:
        for key in archive.files:
            try:
                array = archive[key]
            except DAMAGE as error:
                damaged[key] = _one_line(error)
                continue
            if isinstance(array, np.ndarray):
                arrays[key] = array.astype(array.dtype.newbyteorder("="), copy=False)
            else:
                damaged[key] = "it is no array"
    return arrays, damaged


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
