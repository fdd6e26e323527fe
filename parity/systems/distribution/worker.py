"""One process of an engine: it takes the steps of its tasks."""

from __future__ import annotations

from importlib import import_module
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from parity.systems import frameworks
from parity.systems.distribution.tasks import Task, read_result, read_tasks, write_result
from parity.systems.training import drawn_data
from shared_impl.config.schema import Config
from shared_impl.storage.next_commands import IMPLEMENTATIONS
from shared_impl.training.replicas import Replicas


def main(framework: str, path: str) -> None:
    """Perform the tasks of a file, all of which are of one engine."""
    frameworks.compute_in(1)  # networks this small gain nothing from more threads
    tasks = read_tasks(Path(path))
    engine = import_module(f"{IMPLEMENTATIONS[framework]}.distribution")
    with engine.Replicas(Config.model_validate(tasks[0].config)) as replicas:
        for _, alike in groupby(tasks, lambda task: (task.trainer, task.config, task.steps)):
            perform(IMPLEMENTATIONS[framework], list(alike), replicas)


def perform(implementation: str, tasks: list[Task], replicas: Replicas) -> None:
    """Take the steps of one configuration's tasks in one trainer, together with the other processes; the chief writes
    the results.
    """
    spectrogram, checkpoints = (import_module(f"{implementation}.{name}") for name in ("spectrogram", "checkpoints"))
    module, _, name = tasks[0].trainer.partition(":")
    config = Config.model_validate(tasks[0].config)
    moments = drawn_data.moments(config, lambda *framing: np.asarray(spectrogram.log_magnitude(*framing)))
    trainer = getattr(import_module(module), name)(config, tasks[0].steps, moments, replicas)
    start = checkpoints.state(trainer)
    start |= drawn_data.perturbed_zeros(start, config.training.seed)
    for task in tasks:
        frameworks.trace(task.traced)
        if task.resume is not None:
            checkpoints.restore(trainer, read_result(Path(task.resume))[0])
        else:
            checkpoints.restore(trainer, start)
        losses = [take(trainer, step, config, replicas) for step in range(task.first, task.last)]
        trainer.settle()
        if replicas.chief:
            write_result(Path(task.out), checkpoints.state(trainer), losses)


def take(trainer: Any, step: int, config: Config, replicas: Replicas) -> dict[str, float]:
    """One step on this process's part of the drawn batches."""
    updates, processes = config.training.d_updates, replicas.processes
    share = config.training.batch_size // processes
    rows = slice(replicas.process * share, (replicas.process + 1) * share)
    batches = islice(drawn_data.batches(config, step * updates), updates)
    return replicas.mean(
        trainer.step(step, ({name: values[rows] for name, values in batch.items()} for batch in batches))
    )
