"""What the processes of an engine are asked to do, as files: runs of some steps each, and the states they end in."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from shared_impl import files

Array = np.ndarray
Arrays = dict[str, Array]
LOSSES = "losses.json"
POLL = 0.05  # seconds


@dataclass(frozen=True)
class Task:
    """Steps ``first`` to ``last`` of a run of ``steps`` steps, from the state in the folder ``resume`` if one is named.

    ``trainer`` is ``MODULE:CLASS``, ``config`` the whole configuration as JSON, ``out`` the folder of the state that it
    ends in, in the implementation's own names and layout, and of each step's losses. TensorFlow takes the steps operation by
    operation unless they are to be ``traced``.
    """

    trainer: str
    config: dict[str, Any]
    steps: int
    first: int
    last: int
    traced: bool
    resume: str | None
    out: str


def write_tasks(path: Path, tasks: list[Task]) -> None:
    """A file that :func:`parity.systems.distribution.worker.main` works through."""
    path.write_text(json.dumps([asdict(task) for task in tasks]), encoding="utf-8")


def read_tasks(path: Path) -> list[Task]:
    """The tasks of a file."""
    return [Task(**task) for task in json.loads(path.read_text(encoding="utf-8"))]


def write_result(folder: Path, state: Arrays, losses: list[dict[str, float]]) -> None:
    """All of a result, or nothing."""
    draft = folder.with_name(f"{files.PARTIAL}{folder.name}")
    draft.mkdir(parents=True)
    save_file(
        {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in state.items()}, draft / "state"
    )
    (draft / LOSSES).write_text(json.dumps(losses), encoding="utf-8")
    draft.rename(folder)


def read_result(folder: Path) -> tuple[Arrays, list[dict[str, float]]]:
    """A state and the losses of each step."""
    return load_file(folder / "state"), json.loads((folder / LOSSES).read_text(encoding="utf-8"))


def done(folder: Path) -> bool:
    """Whether a result is there."""
    return (folder / LOSSES).is_file()
