"""Pairs verified side by side, in a pool of worker processes. Imports no framework.

Most of a verdict is the frameworks' Python code, which uses one core.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack
from queue import Empty
from types import TracebackType
from typing import TYPE_CHECKING, Any

from parity.systems import worker_processes
from parity.systems.distribution import device_runs
from parity.systems.training.training_pair import TrainingPair
from parity.systems.worker_processes import MOST_JOBS
from parity.verdict import UnusableInput
from shared_impl.storage.experiments import cores

if TYPE_CHECKING:
    from parity.systems.registry import AnyPair
    from parity.verdict import Verdict

PAIRS_PER_JOB = 6  # pairs that are worth another process, which costs the import of both frameworks
POLL_SECONDS = 0.1  # between two looks at the workers' progress
Progress = Callable[[str], None]
"""Called with the name of each rung as it begins."""


def default_jobs(pairs: int) -> int:
    """How many worker processes so many pairs are verified in."""
    return max(1, min(cores(), MOST_JOBS, pairs // PAIRS_PER_JOB))


def verify_all(
    pairs: Sequence[AnyPair], rungs: Sequence[str] | None, seed: int, begin: Callable[[str], Progress], jobs: int
) -> list[Verdict]:
    """Every pair's verdict on those of ``rungs`` (None: all) that it has, in the order of ``pairs``.

    ``begin(name)`` is called when a pair is started; it returns the callback for the pair's rungs.
    """
    start_device_runs(pairs, rungs, seed)
    order = in_running_order(pairs)
    if jobs == 1:
        found = {pair: verify_one(pair, rungs, seed, begin(pair.name)) for pair in order}
        return [found[pair] for pair in pairs]
    with WorkerPool(min(jobs, len(pairs))) as pool:
        futures = {pair: pool.submit(pair, rungs, seed) for pair in order}
        running, callbacks = set(futures.values()), dict[str, Progress]()
        while running:
            done, running = wait(running, POLL_SECONDS)
            for name, rung in pool.poll():
                callbacks[name] = callbacks.get(name) or begin(name)
                callbacks[name](rung)
            for future in done:
                future.result()  # raises the worker's exception
        return [futures[pair].result() for pair in pairs]


def start_device_runs(pairs: Iterable[AnyPair], rungs: Sequence[str] | None = None, seed: int = 0) -> None:
    """Start the runs on many devices that the verdicts on these pairs need, in the background."""
    if rungs is None or "distribution" in rungs:
        needing = (pair for pair in pairs if isinstance(pair, TrainingPair) and "distribution" in pair.rungs)
        device_runs.start(pair.config(seed) for pair in needing)


def in_running_order(pairs: Iterable[AnyPair]) -> list[AnyPair]:
    """Pairs that need runs on many devices come last: the others are verified while those runs are made."""
    return sorted(pairs, key=lambda pair: "distribution" in pair.rungs)


def verify_one(pair: AnyPair, rungs: Sequence[str] | None, seed: int, progress: Progress) -> Verdict:
    """One pair's verdict, in this process."""
    own = None if rungs is None else [rung for rung in rungs if rung in pair.rungs]
    return pair.verify(rungs=own, seed=seed, progress=progress)


class WorkerPool(AbstractContextManager["WorkerPool"]):
    """Worker processes that verify pairs, each with its share of the cores; killed when the context is left.

    Leaving the context raises UnusableInput if a worker ended before its work was done.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def __enter__(self) -> WorkerPool:
        context, self._others = worker_processes.context(), set(multiprocessing.active_children())
        worker_processes.await_imports(context)
        self._messages = context.Queue()
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="parity-workers-"))
            arguments = (self.jobs, device_runs.started(), self._messages, folder)
            self._executor = ProcessPoolExecutor(self.jobs, context, _initialise, arguments)
            stack.callback(self._stop)
            with worker_processes.uninterrupted():
                self._executor.submit(int)  # starts all processes
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
        if isinstance(error, BrokenProcessPool):
            raise UnusableInput(f"verifying pairs side by side: {error} For memory perhaps; try --jobs 1") from error

    def submit(self, pair: AnyPair, rungs: Sequence[str] | None = None, seed: int = 0) -> Future[Verdict]:
        """Have a pair verified as by :func:`verify_one`."""
        return self._executor.submit(_verify, pair, rungs, seed)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have a function called, both of which can be pickled."""
        return self._executor.submit(function, *arguments)

    def poll(self) -> list[tuple[str, str]]:
        """The progress since the last call: names of pairs, each with the rung that began ("" as the pair begins)."""
        found = []
        try:
            while True:
                found.append(self._messages.get_nowait())
        except Empty:
            return found

    def _stop(self) -> None:
        for process in set(multiprocessing.active_children()) - self._others:
            process.kill()
        self._executor.shutdown(cancel_futures=True)


_messages: Any = None  # of the pool that this process works for


def _initialise(jobs: int, known: list[Any], messages: Any, folder: str) -> None:
    """Set a worker process up: temporary files, frameworks with their share of the cores, an end with its parent's."""
    global _messages
    worker_processes.end_with_parent()
    tempfile.tempdir = folder
    from parity.systems import frameworks

    frameworks.load(threads=max(1, cores() // jobs))
    device_runs.attach(known)
    _messages = messages


def _verify(pair: AnyPair, rungs: Sequence[str] | None, seed: int) -> Verdict:
    _messages.put((pair.name, ""))
    return verify_one(pair, rungs, seed, lambda rung: _messages.put((pair.name, rung)))
