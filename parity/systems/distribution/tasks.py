"""The files that an engine's processes read and write: tasks of some steps each, and their results."""

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
    """Steps ``first`` to ``last`` (excluded) of a run of ``steps`` steps.

    Args:
        trainer: ``MODULE:CLASS``.
        config: the whole configuration, as JSON.
        traced: TensorFlow traces the steps; otherwise it takes them eagerly.
        resume: the folder of the result whose state the steps start from; None: the initial state.
        out: the folder of the result: the last state, in the implementation's names and layout, and all losses.
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
    """Write a file of tasks for :func:`parity.systems.distribution.worker.main`."""
    path.write_text(json.dumps([asdict(task) for task in tasks]), encoding="utf-8")


def read_tasks(path: Path) -> list[Task]:
    """The tasks of a file."""
    return [Task(**task) for task in json.loads(path.read_text(encoding="utf-8"))]


def write_result(folder: Path, state: Arrays, losses: list[dict[str, float]]) -> None:
    """Write a result, whole or not at all."""
    draft = folder.with_name(f"{files.PARTIAL}{folder.name}")
    draft.mkdir(parents=True)
    save_file(
        {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in state.items()}, draft / "state"
    )
    (draft / LOSSES).write_text(json.dumps(losses), encoding="utf-8")
    draft.rename(folder)


def read_result(folder: Path) -> tuple[Arrays, list[dict[str, float]]]:
    """The state and the losses of each step."""
    return load_file(folder / "state"), json.loads((folder / LOSSES).read_text(encoding="utf-8"))


def done(folder: Path) -> bool:
    """Whether the result is complete."""
    return (folder / LOSSES).is_file()
