"""Checkpoints on disk: ``step-00000500/`` with ``state.safetensors`` and ``manifest.json``, whole or not there at all.

A checkpoint is written beside its place, forced to the disk and renamed, so that a kill or a full disk at any moment
leaves the last good one. :func:`load` validates a checkpoint: schema, checksums of both files, framework and
configuration; :func:`validate_arrays` its arrays against a network's. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from shared_impl import files
from shared_impl.config.differences import FREE, differences, plain
from shared_impl.storage.next_commands import resume_command
from shared_impl.storage.package_versions import package_versions

SCHEMA = "parity-checkpoint/1"
TENSORS, MANIFEST = "state.safetensors", "manifest.json"
FOLDER = "checkpoints"  # of a run's folder
REPLACED = ".replaced-"  # prefix of a checkpoint while another of its step takes its place
STEP = re.compile(r"step-(\d{8,})")
DTYPES = (
    "float64",
    "float32",
    "float16",
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)

Array = np.ndarray


class CheckpointError(ValueError):
    """A checkpoint that cannot be written or is not valid: damaged, of another schema, framework or configuration."""


class Checkpoint(NamedTuple):
    """The arrays of a training state by name, and the manifest that describes them."""

    path: Path
    arrays: dict[str, Array]
    manifest: dict[str, Any]

    @property
    def step(self) -> int:
        """Steps done."""
        return self.manifest["step"]


def save(
    folder: Path, step: int, arrays: Mapping[str, Array], manifest: Mapping[str, Any], value: float | None = None
) -> Path:
    """Write ``arrays`` as the checkpoint of ``step`` and return its folder; a kill leaves all of it or nothing.

    ``manifest`` gives ``config`` (a mapping or pydantic model), ``framework``, ``stream`` and whatever else is JSON;
    schema, step, versions and checksums are added. ``value`` ranks checkpoints for :func:`prune`, lowest first. Raises
    CheckpointError if the disk is full or refuses, or if an array cannot be stored.
    """
    path = folder / f"step-{step:08d}"
    draft = folder / f"{files.PARTIAL}{path.name}"
    state = {name: _storable(name, array) for name, array in arrays.items()}
    try:
        recover(folder)
        draft.mkdir(parents=True)
        _write_tensors(state, draft / TENSORS)
        content = {
            "versions": package_versions(str(manifest.get("framework"))),
            **manifest,
            "schema": SCHEMA,
            "step": step,
            "value": value if value is not None and math.isfinite(value) else None,
            "config": plain(manifest.get("config", {})),
            "tensors": {"bytes": (draft / TENSORS).stat().st_size, "sha256": _digest(draft / TENSORS)},
        }
        content = json.loads(json.dumps(content, allow_nan=False))  # as it will be read: no tuples, keys are strings
        text = json.dumps({**content, "seal": _seal(content)}, indent=1)
        (draft / MANIFEST).write_text(text, encoding="utf-8")
        for item in (draft / TENSORS, draft / MANIFEST, draft):
            files.sync(item)
        _into_place(draft, path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(_save_failed(path, error, sum(array.nbytes for array in state.values()))) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return path


def load(
    path: Path,
    *,
    config: BaseModel | Mapping[str, Any] | None = None,
    framework: str | None = None,
    free: tuple[str, ...] = FREE,
) -> Checkpoint:
    """Validate a checkpoint, also against ``config`` and ``framework`` where they are given, and read it.

    Fields of the configuration that match ``free`` may differ.

    Raises CheckpointError if it is missing, damaged, truncated, of another schema or framework, or if it was made with
    another configuration (see :mod:`shared_impl.config.differences`), naming each field that differs.
    """
    manifest = read_manifest(path)
    tensors = path / TENSORS
    expected = manifest["tensors"]
    if framework is not None and manifest.get("framework") != framework:
        raise CheckpointError(
            f"{path}: belongs to another framework: got {manifest.get('framework')}, expected {framework}; "
            "carry it over with `parity convert`"
        )
    if config is not None and (found := differences(manifest["config"], plain(config), free)):
        raise CheckpointError(
            f"{path}: made with another configuration: {'; '.join(map(str, found))}. "
            "Resume with the checkpoint's values, or start a new run"
        )
    try:
        size = tensors.stat().st_size
        if size != expected["bytes"]:
            raise CheckpointError(
                f"{tensors}: truncated: got {size:,} bytes, expected {expected['bytes']:,}{_other_checkpoint(path)}"
            )
        if _digest(tensors) != expected["sha256"]:
            raise CheckpointError(f"{tensors}: damaged: its checksum is not the manifest's{_other_checkpoint(path)}")
        return Checkpoint(path, load_file(tensors), manifest)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{tensors}: cannot be read: {error}{_other_checkpoint(path)}") from error


def validate_arrays(got: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    """CheckpointError unless both have the same arrays with the same shapes; each difference is named."""
    if found := differences(got, expected, free=()):
        raise CheckpointError(f"the checkpoint's arrays are not this run's: {'; '.join(map(str, found))}")


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint without its arrays; CheckpointError if missing, damaged or of another schema."""
    file = path / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        schema = manifest.get("schema")
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no checkpoint: it holds no {MANIFEST}{_other_checkpoint(path)}") from error
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{file}: damaged: {' '.join(str(error).split())}{_other_checkpoint(path)}") from error
    if schema != SCHEMA:
        raise CheckpointError(f"{file}: not of this program or version: got schema {schema!r}, expected {SCHEMA!r}")
    if manifest.pop("seal", None) != _seal(manifest):
        raise CheckpointError(f"{file}: damaged or edited: its content does not fit its seal{_other_checkpoint(path)}")
    return manifest


def latest(folder: Path) -> Path | None:
    """The checkpoint of the highest step in ``folder``, None without one."""
    found = stored(folder)
    return found[max(found)] if found else None


def stored(folder: Path) -> dict[int, Path]:
    """The checkpoints in ``folder`` by their steps, ascending."""
    found: dict[int, Path] = {}
    for prefix in (REPLACED, ""):  # the replaced one counts until its successor is there
        for path in folder.glob(f"{prefix}step-*/{MANIFEST}"):
            if match := STEP.fullmatch(path.parent.name.removeprefix(prefix)):
                found[int(match[1])] = path.parent
    return dict(sorted(found.items()))


def best(folder: Path) -> Path | None:
    """The checkpoint in ``folder`` whose ``value`` is lowest, the latest of equals; None if none has a value."""
    values = [(value, -step, path) for step, path in stored(folder).items() if (value := _value(path)) is not None]
    return min(values)[2] if values else None


def prune(folder: Path, keep: int, keep_best: bool = True) -> None:
    """Remove all checkpoints but the last ``keep`` and the :func:`best`, unless ``keep_best`` is off."""
    found = list(stored(folder).values())
    kept = {*found[-keep:], best(folder) if keep_best else None}
    for path in found:
        if path not in kept:
            removed = path.with_name(f"{files.PARTIAL}{path.name}")  # no half-deleted checkpoint after a kill
            path.rename(removed)
            shutil.rmtree(removed)


def set_aside(folder: Path, step: int) -> None:
    """Rename the checkpoints after ``step`` to ``….abandoned``: a run that continues from ``step`` makes its own."""
    for later, path in stored(folder).items():
        if later > step:
            abandoned = folder / f"step-{later:08d}.abandoned"
            shutil.rmtree(abandoned, ignore_errors=True)
            path.rename(abandoned)


def recover(folder: Path) -> None:
    """Clear away what killed saves left behind; only for the one process that writes to ``folder``."""
    for path in folder.glob(f"{REPLACED}step-*"):
        original = folder / path.name.removeprefix(REPLACED)
        if original.exists():
            shutil.rmtree(path)
        else:
            path.rename(original)
    for path in folder.glob(f"{files.PARTIAL}*"):
        shutil.rmtree(path)


def _storable(name: str, array: Array) -> Array:
    if array.dtype.name not in DTYPES:
        raise CheckpointError(f"array {name!r}: dtype {array.dtype} cannot be stored; valid: {', '.join(DTYPES)}")
    return np.ascontiguousarray(array).reshape(array.shape)  # safetensors stores strided arrays wrongly


def _write_tensors(state: Mapping[str, Array], path: Path) -> None:
    """Write arrays for whoever the umask allows to read; safetensors by itself allows the owner alone."""
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(state), path)
    path.chmod(mode)


def _into_place(draft: Path, path: Path) -> None:
    replaced = path.with_name(f"{REPLACED}{path.name}")
    if path.exists():
        os.rename(path, replaced)
    os.rename(draft, path)
    files.sync(path.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _save_failed(path: Path, error: Exception, size: int) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    free = shutil.disk_usage(next(parent for parent in path.parents if parent.exists())).free
    last = latest(path.parent)
    rest = f"the last good checkpoint is {last}: resume from it" if last else "there is no earlier checkpoint"
    return f"{path}: cannot be saved: {reason} ({size / 1e6:,.1f} MB are needed, {free / 1e6:,.1f} MB are free); {rest}"


def _other_checkpoint(path: Path) -> str:
    """Which checkpoint to read or resume from instead, as the end of a message; empty if none is sound."""
    others = stored(path.parent) | stored(path / FOLDER)
    for step, other in sorted(others.items(), reverse=True):
        if other != path and (manifest := _sound(other)):
            framework, folder = str(manifest.get("framework")), other.parent
            command = resume_command(framework, folder.parent, step) if folder.name == FOLDER else ""
            return f"; the last sound one is {other}" + (f": go on from there with: {command}" if command else "")
    return ""


def _sound(path: Path) -> dict[str, Any] | None:
    """The manifest of a checkpoint whose files are as they were written, else None."""
    manifest = _manifest(path)
    tensors = path / TENSORS
    if manifest is None or not tensors.is_file() or _digest(tensors) != manifest["tensors"]["sha256"]:
        return None
    return manifest


def _value(path: Path) -> float | None:
    manifest = _manifest(path)
    return None if manifest is None else manifest["value"]


def _manifest(path: Path) -> dict[str, Any] | None:
    """The manifest; None if it is missing or damaged."""
    try:
        content = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        intact = content.get("schema") == SCHEMA and content.pop("seal", None) == _seal(content)
    except (OSError, ValueError, AttributeError):
        return None
    return content if intact else None


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
