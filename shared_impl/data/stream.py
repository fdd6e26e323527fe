"""Endless batches in one seeded order, from any number of workers, resumable at any batch.

Order, random offsets and batches are a pure function of (source, seed, batch size, position): grain shuffles every
epoch anew and numbers every example that is ever shown; example ``n`` draws its offset from ``n``. So the position is
all there is to save. A balanced stream shows some examples several times in an epoch
(:mod:`shared_impl.data.classes`). Epochs follow each other without a gap: a batch may hold the last examples of one and
the first of the next, and none is dropped.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from multiprocessing import parent_process, resource_tracker
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shared_impl.data.classes import AllExamples, Balanced, balanced
from shared_impl.data.errors import DataError
from shared_impl.data.source_interface import Example, Source
from shared_impl.draws import Draws

if TYPE_CHECKING:
    import grain

Batch = dict[str, np.ndarray]
LAST_EXAMPLE = 2**52  # end of the stream: grain computes with example numbers in float64
THREADS = 2  # that prepare batches beside the training loop; decoders release the GIL


class Stream:
    """Endless batches ``{"x": [B, ...], "label": int64 [B]}`` of a source.

    Device ``i`` of ``n`` (``shard=(i, n)``) gets the ``i``-th slice of each batch of ``batch_size``; the batches
    themselves are the same for every ``n``, and for any ``workers`` (processes; 0: threads of this one). ``prefetch``
    batches are prepared ahead. With ``balance`` every class is shown as often as the largest one. Raises DataError if
    the source has fewer examples than a batch, or lacks the classes to be balanced.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        seed: int,
        *,
        workers: int = 0,
        prefetch: int = 4,
        shard: tuple[int, int] = (0, 1),
        balance: bool = False,
    ) -> None:
        if len(source) < batch_size:
            raise DataError(
                f"{source}: fewer examples than one batch (training.batch_size={batch_size}); "
                f"use at most {len(source)}, or more data"
            )
        if batch_size % shard[1] or not 0 <= shard[0] < shard[1]:
            raise DataError(
                f"training.batch_size={batch_size} cannot be split evenly for device {shard[0]} of {shard[1]}"
            )
        self.source, self.batch_size, self.seed, self.balance = source, batch_size, seed, balance
        self.epoch_examples: AllExamples | Balanced = balanced(source, seed) if balance else AllExamples(len(source))
        self._workers, self._prefetch, self._shard = workers, prefetch, shard
        self._position = 0
        self._batches: grain.DatasetIterator | None = None

    @property
    def epoch_batches(self) -> float:
        """How many batches an epoch takes: they show every example once, of a balanced stream at least once."""
        return len(self.epoch_examples) / self.batch_size

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        if self._batches is None:
            self._batches = self._opened()
            with _interrupts_blocked() if self._workers else nullcontext():
                batch = next(self._batches)  # starts the workers
        else:
            batch = next(self._batches)
        self._position += 1
        indices, passed = batch.pop("index"), batch.pop("passed")
        for first, count in zip(indices[passed > 0], passed[passed > 0], strict=True):
            for index in range(first, first + count):  # skipped by a worker's copy of the source
                self.source.example(index % len(self.source))
        return {name: np.asarray(values) for name, values in batch.items()}

    def state(self) -> dict[str, Any]:
        """The position as JSON: batches given out so far, and of which stream."""
        return {"batches": self._position, **self.identity()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was taken, with any number of workers and devices.

        Raises DataError for the state of another stream.
        """
        state = {"balance": False, **state}  # states written before data.balance existed
        differences = [
            f"{name}: got {state.get(name)!r}, expected {value!r}"
            for name, value in self.identity().items()
            if state.get(name) != value
        ]
        if differences:
            raise DataError(f"{self.source}: the saved position belongs to another stream ({'; '.join(differences)})")
        self.close()
        self._position = state["batches"]

    def close(self) -> None:
        """End workers and threads; the next batch starts them again."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def identity(self) -> dict[str, Any]:
        """What the batches are a function of besides the position, as JSON."""
        return {
            "batch_size": self.batch_size,
            "seed": self.seed,
            "source": self.source.fingerprint,
            "balance": self.balance,
        }

    def _opened(self) -> grain.DatasetIterator:
        grain = _grain()
        device, devices = self._shard
        epochs = LAST_EXAMPLE // len(self.epoch_examples)
        order = int(Draws(self.seed).uniform("order", (1,))[0] * 2**32)
        examples = grain.MapDataset.range(len(self.epoch_examples)).shuffle(order).repeat(epochs)
        drawn = examples.map_with_index(_Reader(self.source, self.epoch_examples, self.seed))
        slices = drawn.batch(self.batch_size // devices)[self._position * devices + device :: devices]
        if not self._workers:
            return iter(slices.to_iter_dataset(grain.ReadOptions(min(THREADS, self._prefetch), self._prefetch)))
        each = grain.MultiprocessingOptions(self._workers, max(1, self._prefetch // self._workers))
        return iter(slices.to_iter_dataset(grain.ReadOptions(0, 0)).mp_prefetch(each, worker_init_fn=_exit_with_parent))


class _Reader:
    """Reads the example at a place of an epoch, the ``shown``-th that the stream shows."""

    def __init__(self, source: Source, epoch_examples: AllExamples | Balanced, seed: int) -> None:
        self._source, self._epoch_examples, self._draws = source, epoch_examples, Draws(seed)

    def __call__(self, shown: int, place: int) -> Example:
        index = self._epoch_examples(shown // len(self._epoch_examples), place)
        share = float(self._draws.uniform("offset", (1,), shown)[0]) if self._source.random else 0.0
        example, passed = self._source.example(index, share)
        return {**example, "index": index, "passed": passed}


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Processes started within ignore Ctrl-C and SIGHUP, so that the run can still take batches and end in order.

    They inherit this thread's signal mask, which holds from their first moment; a handler of their own would not.
    multiprocessing's resource tracker, which starts with the first process, unblocks SIGINT here: start it before.
    """
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _exit_with_parent(worker: int, workers: int) -> None:
    """Runs in each worker process: exit when the run's process does."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    run = parent_process()
    if run is not None:
        run.join()
        os._exit(1)


def _grain() -> Any:
    """The package, loaded when first needed, without its warning that jax is missing."""
    from absl import logging

    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        import grain
    finally:
        logging.set_verbosity(level)
    return grain
